"""A field of another type than usual fails no delivery that does not need the field, whatever the provider."""

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import cycle, islice
from operator import getitem
from typing import Any

import pytest

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from tests.support.builders import NO_PAYLOAD, at
from tests.support.provider_examples import Example, examples
from tests.support.road import RULES

NEEDED: Mapping[str, frozenset[str]] = {
    "github": frozenset(
        {
            *("action", "repository.full_name", "ref", "after", "deployment.sha", "deployment_status.state"),
            *("issue.number", "pull_request.number", "pull_request.head.sha"),
            *("check_run.head_sha", "check_suite.head_sha", "merge_group.head_sha", "merge_group.head_ref"),
            *("sha", "state"),
            *("workflow_run.head_sha", "workflow_run.updated_at", "deployment_status.created_at"),
        }
    ),
    "gitlab": frozenset(
        {
            *("object_kind", "event_name", "ref", "status", "path_with_namespace", "old_path_with_namespace"),
            *("object_attributes.iid", "object_attributes.sha", "object_attributes.status"),
            *("issue.iid", "merge_request.iid"),
        }
    ),
    "jira": frozenset({"webhookEvent", "issue.key", "timestamp"}),
    "jenkins": frozenset({"build.phase"}),
    "buildkite": frozenset(),
    "circleci": frozenset(),
}
"""The fields without which a delivery cannot be read."""
TELLING: Mapping[str, frozenset[str]] = {
    "github": frozenset(
        {
            *("issue.labels.[].name", "pull_request.labels.[].name", "pull_request.body", "workflow_run.conclusion"),
            *("check_run.conclusion", "check_run.completed_at", "check_suite.conclusion", "check_suite.updated_at"),
            "updated_at",
            *("deployment_status.environment", "deployment.environment", "changes.repository.name.from"),
            *("changes.new_issue.number", "changes.new_repository.full_name", "changes.old_issue.number"),
            *(
                "changes.old_repository.full_name",
                "parent_issue.number",
                "sub_issue.number",
                "sub_issue_repo.full_name",
            ),
        }
    ),
    "gitlab": frozenset(
        {
            *("commit_url", "status_changed_at", "labels.[].title", "object_attributes.description"),
            *("object_attributes.finished_at", "commits.[].timestamp"),
        }
    ),
    "jira": frozenset({"issue.fields.issuetype.name"}),
    "jenkins": frozenset({"build.scm.commit", "build.status", "build.timestamp"}),
    "buildkite": frozenset({"event", "build.commit", "build.finished_at", "build.state"}),
    "circleci": frozenset({"type", "pipeline.vcs.revision", "workflow.status"}),
}
"""The fields that decide whether a delivery counts, such as labels. Without them, it is ignored."""
# None of these values is a text with letters: in a field with a time, such a text is a malformed time.
OTHERS: tuple[Any, ...] = (7, "", True, [], {}, None, 7.5)


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path of each value that contains no other. Only the first element of a list counts."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, *path, name)
    elif isinstance(value, list) and value:
        yield from leaves(value[0], *path, 0)
    elif path:
        yield path


def name_of(path: tuple[Any, ...]) -> str:
    return ".".join("[]" if step == 0 else step for step in path)


def verdict(name: str, example: Example, payload: Any) -> str:
    provider = PROVIDERS[name]
    headers = {header: value for header, value in example.headers.items() if header in provider.kept_headers}
    delivery = Delivery(name, name, "1", headers, json.dumps(payload).encode(), at(9))
    try:
        return apply_rules(RULES, name, provider.observe(delivery), NO_PAYLOAD).verdict
    except UnreadableDelivery:
        return "failed"


def distinct(name: str) -> Iterator[tuple[Example, tuple[Any, ...]]]:
    """Each field of each kind of payload, once, with an example that has the field."""
    known: set[tuple[str, str]] = set()
    for example in examples(name):
        payload = example.payload
        kind = example.headers.get("x-github-event") or str(
            [payload.get(one) for one in ("webhookEvent", "object_kind")]
        )
        for path in leaves(payload):
            if (kind, name_of(path)) not in known:
                known.add((kind, name_of(path)))
                yield example, path


def changed(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = json.loads(json.dumps(payload))
    reduce(getitem, path[:-1], copied)[path[-1]] = value
    return copied


@pytest.mark.parametrize("name", NEEDED)
def test_no_field_of_another_type_changes_the_verdict_unless_the_delivery_needs_the_field(name: str) -> None:
    others = cycle(OTHERS)
    for example, path in distinct(name):
        if name_of(path) in NEEDED[name]:
            continue
        before, usual = verdict(name, example, example.payload), reduce(getitem, path, example.payload)
        for other in islice(others, 3):
            if type(other) is type(usual):
                continue
            after = verdict(name, example, changed(example.payload, path, other))
            assert after == before or (
                after == "ignored" and (name_of(path) in TELLING[name] or "created_at" in path)
            ), f"{name_of(path)} is {other!r} instead of {type(usual).__name__}: {before} became {after}"


@pytest.mark.parametrize("name", NEEDED)
def test_the_fields_that_a_delivery_needs_are_needed(name: str) -> None:
    failing = {name_of(path) for example, path in distinct(name) if fails_without(name, example, path)}
    assert failing >= NEEDED[name] - {"webhookEvent", "deployment_status.created_at"}


def fails_without(name: str, example: Example, path: tuple[Any, ...]) -> bool:
    return name_of(path) in NEEDED[name] and verdict(name, example, changed(example.payload, path, {})) == "failed"

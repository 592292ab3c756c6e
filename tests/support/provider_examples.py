"""Example deliveries of every provider, for the tests of the contract that every provider must keep."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, reduce
from operator import getitem
from typing import Any

from tests.support.builders import at
from tests.support.corpus import posted
from tests.support.payloads import one_of_each
from tests.support.signing import SCHEMES, event

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

EVENT_HEADERS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "github": [
        {"x-github-event": event}
        for event in (
            *("deployment_status", "issues", "issue_comment", "pull_request", "push", "repository", "sub_issues"),
            *("workflow_run", "check_run", "check_suite", "status", "merge_group", "ping", "star"),
        )
    ],
    "jira": [{}],
    "gitlab": [{}],
    "circleci": [{}, *({"circleci-event-type": event} for event in ("workflow-completed", "job-completed", "ping"))],
    "buildkite": [{}, *({"x-buildkite-event": event} for event in ("build.finished", "job.finished", "ping"))],
    "jenkins": [{}],
    "cloudevents": [{"content-type": STRUCTURED}, {"content-type": BATCHED}],
}
"""For each provider, the headers of each kind of event; no headers if the body names the event."""


@dataclass(frozen=True, slots=True)
class Example:
    """A delivery of a provider: the headers that name the event, and the payload."""

    headers: Mapping[str, str]
    payload: Any

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload).encode()


@cache
def examples(provider: str) -> Sequence[Example]:
    """Valid deliveries of a provider: built ones, and published ones if the corpus is installed."""
    return [*_built(provider), *published(provider)]


@cache
def published(provider: str) -> Sequence[Example]:
    """The provider's payloads in the corpus, each of them once for each content type."""
    files: dict[tuple[str, str], Example] = {}
    for request in posted():
        if request.scheme.provider == provider:
            key = request.file, request.headers["content-type"]
            files.setdefault(key, Example(request.headers, json.loads(request.body)))
    return list(files.values())


def unix_seconds(time: str) -> int:
    """A time in ISO 8601 as a provider writes it that counts the seconds since 1970. The calendar does not bound it."""
    return (datetime.fromisoformat(time) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def unix_milliseconds(time: str) -> int:
    return 1000 * unix_seconds(time)


@dataclass(frozen=True, slots=True)
class Timed:
    """A time in the payloads of a provider.

    Attributes:
        kind: the event that has the time.
        path: the dotted path of the time in the payload.
        write: writes a time in ISO 8601 as the provider does.
    """

    kind: str
    path: str
    write: Callable[[str], str | int] = str


TIMED: Mapping[str, Sequence[Timed]] = {
    "github": [Timed("issues", "issue.created_at"), Timed("push", "repository.pushed_at", unix_seconds)],
    "jira": [Timed("jira:issue_created", "issue.fields.created")],
    "gitlab": [Timed("issue", "object_attributes.created_at")],
    "circleci": [Timed("workflow-completed", "workflow.stopped_at")],
    "buildkite": [Timed("build.finished", "build.finished_at")],
    "jenkins": [
        Timed("COMPLETED", "build.timestamp"),
        Timed("COMPLETED", "build.timestamp", unix_milliseconds),
    ],
    "cloudevents": [Timed("dev.loopgauge.experiment.proposed", "time")],
}
"""For each provider, times in its payloads, one for each form in which the provider writes times."""


def timed(provider: str, place: Timed, time: str) -> Example:
    """A delivery with this time, in ISO 8601, at a place that `TIMED` names."""
    return changed(provider, place.kind, {place.path: place.write(time)})


MISSING: Any = object()
"""A value in `Changes` that removes the field from the payload."""
Changes = Mapping[str, Any]
"""The new values of fields, by their dotted paths."""


def changed(provider: str, kind: str, changes: Changes) -> Example:
    """The first example of this kind of event, with changes. If the kind is empty, the changes apply to `{}`."""
    named = (example for example in examples(provider) if _kind(example) == kind)
    example = next(named) if kind else Example({}, {})
    payload = json.loads(example.body)
    for path, value in changes.items():
        *parents, name = path.split(".")
        place = reduce(getitem, parents, payload)
        place[name] = value
        if value is MISSING:
            del place[name]
    return Example(example.headers, payload)


def _kind(example: Example) -> str:
    """The name of an event, from the header or the field in which its provider states it."""
    payload = example.payload
    names = (payload.get(name) for name in ("webhookEvent", "object_kind", "type", "event"))
    return example.headers.get("x-github-event") or next(filter(None, names), "") or payload["build"]["phase"]


def _built(provider: str) -> Iterator[Example]:
    for request in one_of_each():
        source = request.path.removeprefix("/webhooks/").replace("_", "-")
        if SCHEMES[source].provider == provider:
            yield Example(request.headers(), json.loads(request.body))
    yield from _MORE.get(provider, ())


_PROJECT = {"id": 1, "path_with_namespace": "acme/app", "web_url": "https://gitlab.acme.example/acme/app"}
_TICKET = {"key": "ML-12", "self": "https://acme.example/rest/api/2/issue/10012"}
_STATED = [
    json.loads(event(statement, "github:acme/app#45", at(3), **data).body)
    for statement, data in (
        ("proposed", {"title": "Cache", "url": "https://acme.example/45", "team": "search", "risk": "bold"}),
        ("concluded", {"outcome": "failed", "failure_category": "basic", "links": ["key:a", "jira:ML-12"]}),
        ("shared", {"learning_url": "https://wiki.acme.example/45"}),
        ("signalled", {"result": "failure"}),
    )
]


def _note(on: str, **subject: Any) -> Example:
    times = {"created_at": "2026-03-03 09:00:00 UTC", "updated_at": "2026-03-03 09:00:00 UTC"}
    attributes = {"noteable_type": on, "note": "/experiment start", "action": "create", **times}
    return Example({}, {"object_kind": "note", "project": _PROJECT, "object_attributes": attributes, **subject})


def _changed(field: str, before: str, now: str) -> Mapping[str, str]:
    return {"field": field, "fieldtype": "jira", "from": before, "fromString": before, "to": now, "toString": now}


_PARAGRAPH = {
    "type": "paragraph",
    "content": [{"type": "text", "text": "/experiment start", "marks": [{"type": "code"}]}],
}
_SEEN = {"iid": 45, "created_at": "2026-03-01 09:00:00 UTC", "updated_at": "2026-03-02T09:00:00Z"}
_ISSUE = {"number": 45, "created_at": "2026-03-01T09:00:00Z", "updated_at": "2026-03-02T09:00:00Z"}
_HERE = {"full_name": "acme/app"}
_API = "https://api.github.com/repos/acme/app"
_QUEUED = "gh-readonly-queue/main/pr-7-" + "b" * 40
_CHECKS: Mapping[str, Mapping[str, Any]] = {
    "check_run": {
        "action": "completed",
        "check_run": {
            "head_sha": "a" * 40,
            "name": "build",
            "conclusion": "success",
            "completed_at": "2026-03-03T09:00:00Z",
            "app": {"slug": "azure-pipelines", "name": "Azure Pipelines"},
            "check_suite": {"head_branch": "cache"},
        },
    },
    "check_suite": {
        "action": "completed",
        "check_suite": {
            "head_sha": "a" * 40,
            "head_branch": _QUEUED,
            "conclusion": "failure",
            "updated_at": "2026-03-03T09:00:00Z",
            "app": {"slug": "azure-pipelines", "name": "Azure Pipelines"},
        },
    },
    "status": {
        "sha": "a" * 40,
        "state": "error",
        "context": "ci/jenkins",
        "updated_at": "2026-03-03T09:00:00Z",
        "branches": [{"name": "cache"}],
    },
    "merge_group": {
        "action": "checks_requested",
        "merge_group": {
            "head_sha": "a" * 40,
            "head_ref": f"refs/heads/{_QUEUED}",
            "head_commit": {"timestamp": "2026-03-03T09:00:00Z"},
        },
    },
}
_MORE: Mapping[str, Sequence[Example]] = {
    "github": [
        Example(
            {"x-github-event": "issues"},
            {
                "action": "typed",
                "issue": {**_ISSUE, "type": {"name": "Spike"}, "parent_issue_url": f"{_API}/issues/44"},
                "type": {"name": "Spike"},
                "repository": _HERE,
            },
        ),
        Example(
            {"x-github-event": "sub_issues"},
            {
                "action": "sub_issue_added",
                "sub_issue": {**_ISSUE, "number": 46, "repository_url": _API},
                "sub_issue_repo": _HERE,
                "parent_issue": _ISSUE,
                "repository": _HERE,
            },
        ),
        *(Example({"x-github-event": event}, {**payload, "repository": _HERE}) for event, payload in _CHECKS.items()),
    ],
    "gitlab": [
        _note("Issue", issue=_SEEN),
        _note("MergeRequest", merge_request={**_SEEN, "source_branch": "cache", "target": _PROJECT}),
        _note("Commit", commit={"id": "a" * 40}),
        Example(
            {},
            {
                "object_kind": "pipeline",
                "project": _PROJECT,
                "object_attributes": {"sha": "a" * 40, "status": "success", "finished_at": "2026-03-03 09:00:00 UTC"},
                "merge_request": {
                    "iid": 7,
                    "target_project_id": 2,
                    "url": "https://gitlab.acme.example/acme/x/-/issues/1",
                },
            },
        ),
        Example(
            {},
            {
                "event_name": "project_rename",
                "path_with_namespace": "acme/a",
                "old_path_with_namespace": "acme/b",
                "updated_at": "2026-03-03T09:00:00Z",
            },
        ),
    ],
    "jira": [
        Example(
            {},
            {
                "timestamp": 1772528400000,
                "webhookEvent": "jira:issue_updated",
                "issue": {
                    **_TICKET,
                    "fields": {
                        "status": {"id": "1", "name": "Done", "statusCategory": {"key": "done"}},
                        "statuscategorychangedate": "2026-03-03T09:00:00.000+0000",
                        "parent": {"key": "ML-1"},
                        "issuelinks": [{"type": {"outward": "tests"}, "outwardIssue": {"key": "A-1"}}],
                    },
                },
                "changelog": {
                    "items": [
                        *(_changed("Key", "OPS-1", "ML-12"), _changed("issuetype", "Task", "Spike")),
                        *(_changed("status", "Open", "Done"), _changed("resolution", "", "Fixed")),
                        *(_changed("labels", "a", "b"), _changed("assignee", "Somebody", "Somebody else")),
                    ]
                },
            },
        ),
        Example(
            {},
            {
                "timestamp": 1772528400000,
                "webhookEvent": "comment_created",
                "issue": _TICKET,
                "comment": {
                    "body": {"type": "doc", "content": [_PARAGRAPH]},
                    "created": "2026-03-03T09:00:00.000+0000",
                },
            },
        ),
        Example(
            {},
            {
                "timestamp": 1772528400000,
                "issue": _TICKET,
                "transition": {"from_status": "To Do", "to_status": "Doing"},
            },
        ),
    ],
    "circleci": [
        Example(
            {},
            {
                "type": "workflow-completed",
                "happened_at": "2026-03-03T09:00:00Z",
                "workflow": {"name": "tests", "status": "success"},
                "pipeline": {
                    "trigger_parameters": {
                        "git": {"checkout_sha": "a" * 40, "branch": "cache"},
                        "gitlab": {"commit_sha": "a" * 40, "commit_title": "Cache answers"},
                    }
                },
            },
        )
    ],
    "cloudevents": [
        *(Example({"content-type": STRUCTURED}, stated) for stated in _STATED),
        Example({"content-type": BATCHED}, _STATED),
    ],
}

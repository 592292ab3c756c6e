"""The GitLab provider verifies tokens and signatures, and turns payloads into observations."""

import base64
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.observation import (
    Commented,
    Kind,
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Outsider,
    Pushed,
    Renamed,
)
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.aliases import Alias
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref
from service.providers.gitlab import GitLab
from tests.support.builders import at
from tests.support.observations import Forge, traits, without_ids

GITLAB = GitLab()
FORGE = Forge("gitlab")
ITEM, CHANGE = FORGE.item, FORGE.change
item, change, linked, texts = FORGE.of_item, FORGE.of_change, FORGE.linked, FORGE.texts
HEAD = Ref("commit:" + "a" * 40)
MERGE = Ref("commit:" + "b" * 40)
SQUASH = Ref("commit:" + "c" * 40)
BRANCH = Ref("branch:acme/app@cache-answers")
PROJECT = {
    "id": 1,
    "path_with_namespace": "acme/app",
    "web_url": "https://gitlab.acme.example/acme/app",
    "default_branch": "main",
}
FORK = {"id": 2, "path_with_namespace": "mallory/app", "web_url": "https://gitlab.acme.example/mallory/app"}
ZEROS = "0" * 40

NOW = at(10, "12:00:00")
TOKEN = b"the secret token"
KEY = b"whsec_" + base64.b64encode(b"the signing key of 32 bytes' size")
BODY = b'{"object_kind": "push"}'


def delivery(payload: Any, **headers: str) -> Delivery:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery("gitlab", "gitlab", "1", headers, body, NOW)


def observe(payload: Any) -> Sequence[Observation] | Nothing:
    return without_ids(GITLAB.observe(delivery(payload)))


def observed(payload: Any) -> Sequence[Observation]:
    """The observations of a delivery that is not ignored."""
    said = observe(payload)
    assert not isinstance(said, Nothing), said.reason
    return said


def signed(key: bytes = KEY, when: datetime = NOW, body: bytes = BODY, message: str = "msg_1") -> dict[str, str]:
    """The headers of a delivery that is signed as Standard Webhooks specifies."""
    stamp = str(int(when.timestamp()))
    content = b".".join((message.encode(), stamp.encode(), body))
    raw = base64.b64decode(key.removeprefix(b"whsec_"))
    signature = base64.b64encode(hmac.digest(raw, content, "sha256")).decode()
    return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}


def verify(headers: dict[str, str], *secrets: bytes, body: bytes = BODY, now: datetime = NOW) -> None:
    GITLAB.verify(headers, body, secrets, now)


def stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def issue(action: str | None = "update", when: datetime = NOW, /, **more: Any) -> dict[str, Any]:
    """An issue event.

    The keywords `project`, `repository`, `labels` and `changes` set fields of the event. All other keywords set fields
    of the issue.
    """
    beside: dict[str, Any] = {
        key: more.pop(key) for key in ("project", "repository", "labels", "changes") if key in more
    }
    attributes = {
        "iid": 45,
        "title": "Answer from the cache",
        "url": "https://gitlab.acme.example/acme/app/-/issues/45",
        "created_at": stamp(at(1)),
        "updated_at": stamp(when),
        "type": "Issue",
        **({"action": action} if action else {}),
        **more,
    }
    return {"object_kind": "issue", "project": PROJECT, "object_attributes": attributes, **beside}


def merge_request(action: str = "approved", when: datetime = NOW, /, **more: Any) -> dict[str, Any]:
    beside: dict[str, Any] = {key: more.pop(key) for key in ("project", "labels", "changes") if key in more}
    attributes = {
        "iid": 7,
        "title": "Cache answers",
        "url": "https://gitlab.acme.example/acme/app/-/merge_requests/7",
        "created_at": stamp(at(2)),
        "updated_at": stamp(when),
        "state": "opened",
        "action": action,
        "description": "Closes #45",
        "source_branch": "cache-answers",
        "source": PROJECT,
        "target": PROJECT,
        "last_commit": {"id": "A" * 40},
        **more,
    }
    return {"object_kind": "merge_request", "project": PROJECT, "object_attributes": attributes, **beside}


def note(on: str = "Issue", **more: Any) -> dict[str, Any]:
    """A comment of the third of March."""
    attributes = {
        "noteable_type": on,
        "note": "/experiment start",
        "system": False,
        "action": "create",
        "created_at": stamp(at(3)),
        "updated_at": stamp(at(3)),
        **more,
    }
    subjects: dict[str, dict[str, Any]] = {
        "Issue": {"issue": {"iid": 45, "created_at": stamp(at(1)), "updated_at": stamp(at(2))}},
        "MergeRequest": {
            "merge_request": {
                "iid": 7,
                "created_at": stamp(at(1)),
                "updated_at": stamp(at(2)),
                "source_branch": "cache-answers",
                "target": PROJECT,
            }
        },
        "Commit": {"commit": {"id": "a" * 40}},
        "Snippet": {"snippet": {"id": 1}},
    }
    return {"object_kind": "note", "project": PROJECT, "object_attributes": attributes, **subjects[on]}


def pipeline(status: str = "success", **more: Any) -> dict[str, Any]:
    beside: dict[str, Any] = {
        key: more.pop(key) for key in ("project", "commit", "merge_request", "builds") if key in more
    }
    attributes = {"sha": "a" * 40, "status": status, "ref": "cache-answers", "finished_at": stamp(at(3)), **more}
    return {"object_kind": "pipeline", "project": PROJECT, "object_attributes": attributes, **beside}


def deployment(**more: Any) -> dict[str, Any]:
    return {
        "object_kind": "deployment",
        "status": "success",
        "status_changed_at": "2026-03-04 10:00:00 +0100",
        "environment": "eu-west",
        "environment_tier": "production",
        "commit_url": "https://gitlab.acme.example/acme/app/-/commit/" + "a" * 40,
        **more,
    }


def push(*commits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "object_kind": "push",
        "event_name": "push",
        "ref": "refs/heads/cache-answers",
        "before": "d" * 40,
        "after": "a" * 40,
        "project": PROJECT,
        "commits": list(commits),
        **more,
    }


def pushed(sha: str, message: str, when: datetime) -> dict[str, Any]:
    return {"id": sha, "message": message, "timestamp": when.isoformat()}


def without(payload: dict[str, Any], name: str) -> dict[str, Any]:
    attributes = {key: value for key, value in payload["object_attributes"].items() if key != name}
    return {**payload, "object_attributes": attributes}


def labels(*titles: str) -> list[dict[str, Any]]:
    return [{"title": title, "color": "#ffffff"} for title in titles]


def on_branch(kind: Kind, when: datetime, **known: Any) -> Observed:
    return Observed(kind, BRANCH, when, traits(what="branch", project="acme/app", branch="cache-answers", **known))


def item_seen(when: datetime, **known: Any) -> Observed:
    url = "https://gitlab.acme.example/acme/app/-/issues/45"
    return item("seen", when, title="Answer from the cache", url=url, item_type="Issue", **known)


def change_seen(when: datetime, **known: Any) -> Observed:
    url = "https://gitlab.acme.example/acme/app/-/merge_requests/7"
    return change("seen", when, title="Cache answers", url=url, **known)


def links(payload: dict[str, Any], channel: str) -> list[Linked]:
    return [one for one in observed(payload) if isinstance(one, Linked) and one.channel == channel]


def kinds(payload: dict[str, Any]) -> list[Kind]:
    return [one.kind for one in observed(payload) if isinstance(one, Observed)]


def closed_by(description: str, **more: Any) -> frozenset[Ref]:
    """The issues that a merge request with this description closes."""
    (body,) = links(merge_request(description=description, **more), "body")
    assert body.evidence == body.stated_by == CHANGE
    return body.targets


def test_the_token_of_the_source_is_accepted() -> None:
    verify({"x-gitlab-token": "the secret token"}, TOKEN)


def test_a_delivery_without_a_token_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="header X-Gitlab-Token is missing"):
        verify({}, TOKEN)


@pytest.mark.parametrize("headers", [{}, {"x-gitlab-token": ""}, {"x-gitlab-token": "guess"}, signed()])
def test_a_source_without_a_secret_accepts_no_delivery(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused):
        verify(headers)


def test_a_signature_with_the_key_of_the_source_is_accepted() -> None:
    verify(signed(), KEY)


def test_a_source_with_a_key_checks_the_signature_and_not_the_token() -> None:
    verify({**signed(), "x-gitlab-token": "wrong"}, TOKEN, KEY)
    with pytest.raises(SignatureRefused, match="does not match"):
        verify({**signed(body=b"{}"), "x-gitlab-token": "the secret token"}, TOKEN, KEY)


def test_a_source_without_a_key_checks_the_token_and_not_the_signature() -> None:
    verify({**signed(), "x-gitlab-token": "the secret token"}, TOKEN)
    with pytest.raises(SignatureRefused, match="is not the source's secret"):
        verify({**signed(), "x-gitlab-token": "wrong"}, TOKEN)


def test_a_source_whose_only_secret_is_a_key_without_its_prefix_accepts_a_signature() -> None:
    verify(signed(KEY.removeprefix(b"whsec_")), KEY.removeprefix(b"whsec_"))


def test_a_key_is_not_accepted_as_a_token() -> None:
    with pytest.raises(SignatureRefused, match="headers webhook-id, webhook-timestamp and webhook-signature"):
        verify({"x-gitlab-token": KEY.decode()}, KEY)
    with pytest.raises(SignatureRefused, match="is not the source's secret"):
        verify({"x-gitlab-token": KEY.decode()}, KEY, TOKEN)


def test_an_opened_issue_is_observed() -> None:
    payload = issue("open", at(1), labels=labels("experiment", "team:search"))
    assert observe(payload) == [item_seen(at(1), label=("experiment", "team:search")), item("created", at(1))]


def test_an_updated_issue_is_activity() -> None:
    assert observe(issue("update", at(2))) == [
        item_seen(at(2)),
        item("created", at(1)),
        Observed("active", ITEM, at(2)),
    ]


def test_added_and_removed_labels_are_observed() -> None:
    changed = {"labels": {"previous": labels("bug", "experiment"), "current": labels("experiment", "outcome:failed")}}
    assert observe(issue("update", at(2), labels=labels("experiment", "outcome:failed"), changes=changed)) == [
        item_seen(at(2), label=("experiment", "outcome:failed")),
        item("created", at(1)),
        item("labelled", at(2), label="outcome:failed"),
        item("unlabelled", at(2), label="bug"),
        Observed("active", ITEM, at(2)),
    ]


def test_labels_are_read_from_the_issue_if_the_event_has_none() -> None:
    assert observed(issue("open", at(1), labels=None))[0] == item_seen(at(1))
    within = issue("open", at(1))
    within["object_attributes"]["labels"] = labels("experiment")
    assert observed(within)[0] == item_seen(at(1), label="experiment")


@pytest.mark.parametrize(
    "changed",
    [
        None,
        {},
        {"labels": None},
        {"labels": {}},
        {"labels": {"previous": None, "current": None}},
        {"labels": {"current": [{}]}},
    ],
)
def test_an_update_whose_changes_list_no_labels_changes_no_labels(changed: Any) -> None:
    assert kinds(issue("update", changes=changed)) == ["seen", "created", "active"]


def test_only_the_first_of_many_labels_are_read() -> None:
    many = labels(*(f"label {number}" for number in range(5_000)))
    said = observed(issue("update", labels=many, changes={"labels": {"previous": [], "current": many}}))
    assert len(said) < 150


ADA = {"id": 1, "name": "A", "username": "ada"}
BOB = {"id": 2, "name": "B", "username": "bob"}


@pytest.mark.parametrize(
    ("previous", "current", "assigned"),
    [
        ([], [ADA], True),
        (None, [ADA], True),
        ([ADA], [ADA, BOB], True),
        ([{"username": "ada"}], [{"username": "bob"}], True),
        ([ADA], [ADA], False),
        ([ADA, BOB], [BOB], False),
        ([ADA], [], False),
        ([ADA], None, False),
    ],
)
def test_an_issue_is_assigned_when_an_assignee_is_added(previous: Any, current: Any, *, assigned: bool) -> None:
    payload = issue("update", at(2), changes={"assignees": {"previous": previous, "current": current}})
    assert (item("assigned", at(2)) in observed(payload)) is assigned


def test_an_update_of_an_issue_with_an_assignee_is_not_an_assignment() -> None:
    payload = {**issue("update"), "assignees": [ADA], "assignee": ADA}
    assert kinds(payload) == ["seen", "created", "active"]


def test_a_closed_issue_is_dated_by_its_closing_time() -> None:
    assert observe(issue("close", at(3, "09:00:05"), closed_at=stamp(at(3)))) == [
        item_seen(at(3, "09:00:05")),
        item("created", at(1)),
        item("closed", at(3)),
    ]


def test_a_closed_issue_without_a_closing_time_is_dated_by_its_update() -> None:
    assert item("closed", at(3)) in observed(issue("close", at(3), closed_at=None))


def test_the_closing_of_an_issue_is_observed_in_later_payloads_too() -> None:
    assert item("closed", at(3)) in observed(issue("update", at(5), closed_at=stamp(at(3))))


@pytest.mark.parametrize("unknown", [None, "", {}, True])
def test_a_closed_issue_without_the_time_of_its_closing_was_closed_by_its_last_change(unknown: Any) -> None:
    assert item("closed", at(5)) in observed(issue("update", at(5), closed_at=unknown, state="closed"))
    assert item("closed", at(5)) not in observed(issue("update", at(5), closed_at=unknown, state="opened"))


def test_the_reopening_of_an_issue_is_observed() -> None:
    assert observe(issue("reopen", at(4), closed_at=None)) == [
        item_seen(at(4)),
        item("created", at(1)),
        item("reopened", at(4)),
    ]


def test_a_test_delivery_without_an_action_states_only_the_state_of_the_issue() -> None:
    assert kinds(issue(None)) == ["seen", "created"]


def test_an_unknown_action_states_only_the_state_of_the_issue() -> None:
    assert kinds(issue("pondered")) == ["seen", "created"]


def test_a_task_is_an_item_with_the_type_task() -> None:
    said = observed({**issue("open", at(1), type="Task"), "object_kind": "work_item"})
    assert isinstance(said[0], Observed)
    assert said[0].traits["item_type"] == ("Task",)


@pytest.mark.parametrize("project", [None, {}, {"path_with_namespace": None}])
def test_an_event_about_an_epic_is_ignored_because_an_epic_belongs_to_no_project(project: Any) -> None:
    payload = {**issue("open", type="Epic", project=project), "object_kind": "work_item"}
    assert observe(payload) == Nothing("a work item of a group, such as an epic, belongs to no project")


@pytest.mark.parametrize(
    ("project", "repository"),
    [
        ({"web_url": "https://gitlab.acme.example/acme/app"}, None),
        ({"homepage": "https://gitlab.acme.example/acme/app/"}, None),
        (None, {"homepage": "http://localhost:3000/acme/app"}),
        ({"path_with_namespace": ""}, {"homepage": "http://localhost:3000/acme/app"}),
    ],
)
def test_the_name_of_a_project_in_an_old_payload_comes_from_its_url(project: Any, repository: Any) -> None:
    assert item("created", at(1)) in observed(issue("open", project=project, repository=repository))


def test_the_reference_of_a_project_is_in_lower_case_and_its_name_is_shown_as_written() -> None:
    created = observed(issue("open", project={"path_with_namespace": "Acme/Tools/App"}))[1]
    assert isinstance(created, Observed)
    assert (created.subject, created.traits["project"]) == ("gitlab:acme/tools/app#45", ("Acme/Tools/App",))


@pytest.mark.parametrize(
    "text",
    ["2026-03-01 09:00:00 UTC", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00.000Z", "2026-03-01 10:00:00 +0100"],
)
def test_times_are_read_in_each_form_that_gitlab_writes(text: str) -> None:
    assert item("created", at(1)) in observed(issue("open", created_at=text))


def test_an_issue_with_the_required_fields_alone_can_be_read() -> None:
    least = {"iid": 45, "created_at": stamp(at(1))}
    payload = {
        "object_kind": "issue",
        "project": {"path_with_namespace": "acme/app"},
        "object_attributes": least,
    }
    assert observe(payload) == [item("seen", at(1)), item("created", at(1))]


@pytest.mark.parametrize("name", ["title", "url", "updated_at", "closed_at", "state", "action", "labels", "type"])
def test_an_optional_field_of_an_issue_may_be_null_or_missing(name: str) -> None:
    empty = issue("update")
    empty["object_attributes"][name] = None
    assert observe(empty) == observe(without(issue("update"), name))
    assert kinds(empty)[:2] == ["seen", "created"]


def test_an_opened_merge_request_is_observed() -> None:
    assert observe(merge_request("open", at(2), labels=labels("experiment"))) == [
        change_seen(at(2), label="experiment"),
        change("created", at(2)),
        *texts(at(2)),
        linked(HEAD, "head", at(2), CHANGE),
        linked(BRANCH, "branch", at(2), CHANGE),
        on_branch("superseded", at(2)),
    ]


def test_an_updated_merge_request_is_activity() -> None:
    assert Observed("active", CHANGE, at(3)) in observed(merge_request("update", at(3)))


def test_a_label_added_to_a_merge_request_is_observed() -> None:
    changed = {"labels": {"previous": [], "current": labels("experiment")}}
    assert change("labelled", at(3), label="experiment") in observed(merge_request("update", at(3), changes=changed))


def test_the_assignment_of_a_merge_request_is_observed() -> None:
    changed = {"assignees": {"previous": [], "current": [ADA]}}
    assert change("assigned", at(3)) in observed(merge_request("update", at(3), changes=changed))


def test_a_merged_merge_request_is_observed() -> None:
    merged = merge_request("merge", at(4), state="merged", merge_commit_sha="b" * 40, squash_commit_sha="c" * 40)
    assert observe(merged) == [
        change_seen(at(4)),
        change("created", at(2)),
        *texts(at(4)),
        linked(HEAD, "head", at(4), CHANGE),
        linked(MERGE, "merge commit", at(4), CHANGE),
        linked(SQUASH, "merge commit", at(4), CHANGE),
        linked(BRANCH, "branch", at(4)),
        on_branch("superseded", at(2)),
        on_branch("superseded", at(4)),
        change("merged", at(4)),
    ]


def test_a_merge_request_is_merged_at_the_merge_time_in_the_payload() -> None:
    assert change("merged", at(4)) in observed(merge_request("update", at(6), merged_at="2026-03-04T09:00:00.000Z"))


def test_the_merge_of_a_merge_request_is_not_observed_in_later_payloads() -> None:
    later = merge_request("update", at(6), state="merged", merge_commit_sha="b" * 40)
    assert "merged" not in kinds(later)
    assert links(later, "merge commit") == [linked(MERGE, "merge commit", at(6), CHANGE)]
    assert links(later, "branch") == [linked(BRANCH, "branch", at(6))]


def test_a_closed_merge_request_is_observed() -> None:
    assert observe(merge_request("close", at(4), state="closed")) == [
        change_seen(at(4)),
        change("created", at(2)),
        *texts(at(4)),
        linked(HEAD, "head", at(4), CHANGE),
        linked(BRANCH, "branch", at(4)),
        on_branch("superseded", at(2)),
        on_branch("superseded", at(4)),
        change("closed", at(4)),
    ]


def test_a_reopened_merge_request_is_linked_to_its_branch_again() -> None:
    reopened = merge_request("reopen", at(5))
    assert change("reopened", at(5)) in observed(reopened)
    assert links(reopened, "branch") == [linked(BRANCH, "branch", at(5), CHANGE)]


def test_the_merge_commit_is_not_linked_before_the_merge() -> None:
    assert links(merge_request(merge_commit_sha="b" * 40), "merge commit") == []


@pytest.mark.parametrize("sha", [None, "", ZEROS, "a" * 39, "main"])
def test_a_head_without_a_full_commit_hash_is_not_linked(sha: str | None) -> None:
    assert links(merge_request(last_commit={"id": sha}), "head") == []


def test_a_merge_request_without_commits_has_no_head() -> None:
    assert links(merge_request(last_commit=None), "head") == []


def test_a_merge_request_from_the_default_branch_does_not_link_the_branch() -> None:
    payload = merge_request(source_branch="main")
    assert links(payload, "branch") == []
    assert "superseded" not in kinds(payload)


def test_the_default_branch_of_the_project_counts_if_the_target_names_no_default_branch() -> None:
    bare = {"path_with_namespace": "Acme/App"}
    assert links(merge_request(source_branch="main", source=bare, target=bare), "branch") == []


@pytest.mark.parametrize("name", ["cache-answers", "main"])
def test_the_branch_of_a_fork_is_linked_under_the_name_of_the_fork(name: str) -> None:
    (link,) = links(merge_request(source=FORK, source_branch=name), "branch")
    assert link.evidence == f"branch:mallory/app@{name}"


def test_the_branch_of_a_deleted_fork_is_not_linked() -> None:
    assert links(merge_request(source=None), "branch") == []


FORKS: list[dict[str, Any]] = [
    {"source": FORK},
    {"source": None, "source_project_id": None, "target_project_id": 1},
    {"source": None, "source_project_id": 2, "target_project_id": 1},
    {"source": {"web_url": "https://gitlab.acme.example/mallory/app"}},
]
OWN: list[dict[str, Any]] = [
    {"source": PROJECT, "source_project_id": 1, "target_project_id": 1},
    {"source": {**PROJECT, "path_with_namespace": "ACME/App"}},
    {"source": None},
    {"source": None, "source_project_id": None},
]


def outsiders(payload: Any) -> list[Observation]:
    return [one for one in observed(payload) if isinstance(one, Outsider)]


@pytest.mark.parametrize("home", FORKS)
def test_the_merge_request_of_a_fork_is_an_outsiders_until_its_merge_also_if_the_fork_was_deleted(
    home: dict[str, Any],
) -> None:
    assert outsiders(merge_request(**home)) == [Outsider(CHANGE, at(2))]
    assert outsiders(merge_request("close", state="closed", **home)) == [Outsider(CHANGE, at(2))]
    merged = merge_request("merge", state="merged", merged_at=stamp(at(5)), **home)
    assert outsiders(merged) == [Outsider(CHANGE, at(2), at(5))]
    assert outsiders(merge_request("update", at(6), state="merged", **home)) == [Outsider(CHANGE, at(2), at(6))]


@pytest.mark.parametrize("home", FORKS)
def test_a_comment_says_that_the_merge_request_is_of_a_fork(home: dict[str, Any]) -> None:
    payload = note("MergeRequest")
    payload["merge_request"].update(home)
    assert outsiders(payload) == [Outsider(CHANGE, at(1))]
    payload["merge_request"]["state"] = "merged"
    assert outsiders(payload) == [Outsider(CHANGE, at(1), at(2))]


@pytest.mark.parametrize("home", OWN)
def test_a_merge_request_of_the_project_itself_is_no_outsiders(home: dict[str, Any]) -> None:
    payload = note("MergeRequest")
    payload["merge_request"].update(home)
    assert outsiders(merge_request(**home)) == outsiders(payload) == []


@pytest.mark.parametrize(
    ("ids", "fork"),
    [
        ({"source_project_id": 2, "target_project_id": 1}, True),
        ({"source_project_id": 1, "target_project_id": 1}, False),
        ({"target_project_id": 1}, False),
    ],
)
def test_the_texts_of_a_pipeline_for_a_fork_are_an_outsiders(ids: dict[str, int], fork: bool) -> None:
    said = outsiders(pipeline(merge_request={"iid": 7, **ids}))
    assert said == ([Outsider(HEAD, at(3))] if fork else [])


def test_a_merge_request_belongs_to_its_target_project() -> None:
    assert change("created", at(2)) in observed(merge_request(project=FORK))
    assert change("created", at(2)) in observed(merge_request(target=None))


def test_an_absent_description_does_not_change_the_links_and_an_empty_description_withdraws_the_links() -> None:
    assert links(without(merge_request(), "description"), "body") == []
    assert closed_by("") == frozenset()
    assert links(merge_request("open", at(2), description=None), "body") == [linked(CHANGE, "body", at(2))]


def test_a_merge_request_with_the_required_fields_alone_can_be_read() -> None:
    payload = {
        "object_kind": "merge_request",
        "project": {"path_with_namespace": "acme/app"},
        "object_attributes": {"iid": 7, "created_at": stamp(at(2))},
    }
    place = traits(what="change", project="acme/app")
    assert observe(payload) == [Observed("seen", CHANGE, at(2), place), Observed("created", CHANGE, at(2), place)]


@pytest.mark.parametrize(
    "name",
    [
        "title",
        "url",
        "updated_at",
        "state",
        "action",
        "labels",
        "source_branch",
        "source",
        "target",
        "last_commit",
        "merge_commit_sha",
        "squash_commit_sha",
        "merged_at",
    ],
)
def test_an_optional_field_of_a_merge_request_may_be_null_or_missing(name: str) -> None:
    empty = merge_request("merge")
    empty["object_attributes"][name] = None
    assert observe(empty) == observe(without(merge_request("merge"), name))
    assert kinds(empty)[:2] == ["seen", "created"]


@pytest.mark.parametrize(
    "keyword",
    [
        f"{first}{rest}"
        for first, rest in [
            *product("Cc", ["lose", "loses", "losed", "losing"]),
            *product("Ff", ["ix", "ixes", "ixed", "ixing"]),
            *product("Rr", ["esolve", "esolves", "esolved", "esolving"]),
            *product("Ii", ["mplement", "mplements", "mplemented", "mplementing"]),
        ]
    ],
)
def test_a_closing_keyword_before_an_issue_closes_the_issue(keyword: str) -> None:
    assert closed_by(f"{keyword} #45") == {ITEM}


@pytest.mark.parametrize(
    "description",
    [
        "Closes #45",
        "Closes: #45",
        "closes   #45",
        "closes issue #45",
        "Cache answers.\r\n\r\nCloses #45.",
        "(fixes #45)",
        "Fixes ACME/App#45",
        "Fixes app#45",
        "Closes GL-45",
        "closes https://gitlab.acme.example/acme/app/-/issues/45",
        "closes https://gitlab.acme.example/acme/app/issues/45#note_1",
        "closes https://gitlab.acme.example/acme/app/-/work_items/45?show=1",
        "see #46, fixes #45",
        "closes #45, which is like #46",
        "closes #45\n#46",
        "closes #45 or #46",
    ],
)
def test_a_closing_keyword_may_be_written_in_many_forms(description: str) -> None:
    assert closed_by(description) == {ITEM}


def test_a_title_closes_an_issue_too() -> None:
    assert closed_by("", title="Cache answers, closes #45") == {ITEM}


@pytest.mark.parametrize("text", ["`closes #45`", "```\nCloses #45\n```", "<!-- Closes #45 -->", "> closes #45"])
def test_gitlab_reads_closing_keywords_in_the_raw_text(text: str) -> None:
    assert closed_by(text) == {ITEM}


def test_a_closing_keyword_closes_every_issue_of_a_list() -> None:
    description = "Closes #1, #2 and group/project#3, and issues #4 #5 and https://gitlab.acme.example/a/b/c/-/issues/6"
    assert closed_by(description) == {
        Ref("gitlab:acme/app#1"),
        Ref("gitlab:acme/app#2"),
        Ref("gitlab:group/project#3"),
        Ref("gitlab:acme/app#4"),
        Ref("gitlab:acme/app#5"),
        Ref("gitlab:a/b/c#6"),
    }


def test_the_example_of_the_documentation_closes_the_issues_that_the_documentation_names() -> None:
    description = (
        "Awesome commit message\n\nFix #20, Fixes #21 and Closes group/otherproject#22.\n"
        "This commit is also related to #17 and fixes #18, #19\n"
        "and https://gitlab.acme.example/group/otherproject/-/issues/23."
    )
    assert closed_by(description) == {Ref(f"gitlab:acme/app#{number}") for number in (18, 19, 20, 21)} | {
        Ref("gitlab:group/otherproject#22")
    }


def test_the_url_of_an_issue_is_recognised_if_gitlab_is_served_below_a_path() -> None:
    below = {**PROJECT, "web_url": "https://acme.example/gitlab/acme/app"}
    assert closed_by("closes https://acme.example/gitlab/acme/app/-/issues/45", target=below) == {ITEM}


@pytest.mark.parametrize(
    "description",
    [
        "see #4",
        "#4",
        "discloses #4",
        "closest #4",
        "resolution #4",
        "CLOSES #4",
        "fix#4",
        "closes:#4",
        "closes\n#4",
        "closes the issue #4",
        "closes ##4",
        "closes #four",
        "closes #4th",
        "closes #٤",
        "closes 4",
        "closes !4",
        "closes https://gitlab.acme.example/acme/app/-/merge_requests/4",
        "closes https://github.com/acme/app/issues/4",
        "closes https://gitlab.acme.example.evil.example/acme/app/-/issues/4",
        "closes #" + "9" * 19,
    ],
)
def test_a_description_that_only_resembles_a_closing_keyword_closes_nothing(description: str) -> None:
    assert closed_by(description) == frozenset()


def test_no_url_in_a_description_closes_an_issue_if_the_url_of_the_gitlab_instance_is_unknown() -> None:
    bare = {"path_with_namespace": "acme/app"}
    addressed = "closes https://gitlab.acme.example/acme/app/-/issues/45 and #46"
    assert closed_by(addressed, target=bare, project=bare) == {Ref("gitlab:acme/app#46")}


@pytest.mark.parametrize(
    "repeated",
    [
        "closes #1, ",
        "closes ",
        "closes" + " " * 30,
        "fix: " * 5 + "a/" * 40,
        "closes https://gitlab.acme.example/acme/app/-/issues/1/closes: ",
        "closes https://a/issues/",
        "#1 and ",
        "issues ",
        "a.b/",
        "https://",
    ],
)
def test_a_very_long_description_is_read_quickly_and_closes_few_issues(repeated: str) -> None:
    many = "closes " + repeated * (500_000 // len(repeated))
    assert len(closed_by(many)) <= MOST_TARGETS
    assert len(closed_by("closes " + ", ".join(f"#{number}" for number in range(10_000)))) == MOST_TARGETS


def test_a_comment_on_an_issue_is_observed() -> None:
    assert observe(note()) == [
        item("seen", at(2)),
        item("created", at(1)),
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "/experiment start", insider=None),
    ]


def test_the_payload_of_a_comment_contains_the_state_and_the_closing_of_its_issue() -> None:
    payload = note()
    payload["issue"] |= {"title": "Cache", "labels": labels("experiment"), "closed_at": stamp(at(2)), "type": "Task"}
    assert observed(payload)[:3] == [
        item("seen", at(2), item_type="Task", title="Cache", label="experiment"),
        item("created", at(1)),
        item("closed", at(2)),
    ]


def test_a_comment_on_a_merge_request_is_observed() -> None:
    assert observe(note("MergeRequest")) == [
        change("seen", at(2)),
        change("created", at(1)),
        Observed("active", CHANGE, at(3)),
        Commented(CHANGE, at(3), "/experiment start", insider=None),
    ]


def test_a_comment_on_a_commit_is_activity() -> None:
    assert observe(note("Commit")) == [Observed("active", HEAD, at(3))]
    by_the_note = {key: value for key, value in note("Commit", commit_id="a" * 40).items() if key != "commit"}
    assert observe(by_the_note) == [Observed("active", HEAD, at(3))]


@pytest.mark.parametrize("commit", [None, {}, {"id": "main"}])
def test_a_comment_on_an_unnamed_commit_is_ignored(commit: Any) -> None:
    assert observe({**note("Commit"), "commit": commit}) == Nothing("the comment names no commit or no time")


@pytest.mark.parametrize("on", ["Issue", "MergeRequest"])
@pytest.mark.parametrize("more", [{"action": "update", "updated_at": stamp(at(4))}, {"system": True}])
def test_an_edited_comment_or_a_system_note_is_not_a_command(on: str, more: dict[str, Any]) -> None:
    said = observed(note(on, **more))
    assert all(one.edited for one in said if isinstance(one, Commented))
    when = at(4) if "updated_at" in more else at(3)
    assert Observed("active", ITEM if on == "Issue" else CHANGE, when) in said


@pytest.mark.parametrize(
    ("updated", "new"), [(stamp(at(3)), True), ("2026-03-03T09:00:00Z", True), (stamp(at(4)), False), (None, False)]
)
def test_a_comment_without_an_action_is_new_if_it_was_never_updated(updated: str | None, *, new: bool) -> None:
    said = observed(note(action=None, updated_at=updated))
    assert (Commented(ITEM, at(3), "/experiment start", insider=None) in said) is new


def test_a_comment_without_a_time_states_only_the_state_of_its_issue() -> None:
    assert kinds(note(created_at=None, updated_at=None)) == ["seen", "created"]
    assert observe(note("Commit", created_at=None, updated_at=None)) == Nothing(
        "the comment names no commit or no time"
    )


def test_a_comment_without_a_text_can_be_read() -> None:
    assert Commented(ITEM, at(3), "", insider=None) in observed(note(note=None))


@pytest.mark.parametrize("kind", ["Snippet", "DesignManagement::Design", None])
def test_a_comment_on_anything_but_an_issue_a_merge_request_or_a_commit_is_ignored(kind: str | None) -> None:
    assert observe(note("Snippet", noteable_type=kind)) == Nothing(
        "comments on anything but issues, merge requests and commits say nothing about experiments"
    )


def test_a_failed_pipeline_is_observed_as_a_failed_run() -> None:
    assert observe(pipeline("failed", name="tests", commit={"id": "a" * 40, "message": "ML-12: cache\n"})) == [
        Observed("finished", HEAD, at(3), traits(workflow="tests", conclusion="failed", branch="cache-answers")),
        Mentioned(HEAD, "branch", "cache-answers", at(3)),
        Mentioned(HEAD, "message", "ML-12: cache\n", at(3)),
    ]


@pytest.mark.parametrize("status", ["success", "failed", "canceled", "skipped"])
def test_the_status_of_a_finished_pipeline_is_its_conclusion(status: str) -> None:
    finished = observed(pipeline(status, ref=None))
    assert finished == [Observed("finished", HEAD, at(3), traits(conclusion=status))]


@pytest.mark.parametrize("status", ["created", "pending", "running", "manual", "scheduled", "pondering"])
def test_a_pipeline_in_progress_is_ignored_even_if_it_has_an_earlier_finish_time(status: str) -> None:
    assert observe(pipeline(status)) == Nothing(f"a pipeline that is {status} has no result yet")


def job(status: str, finished_at: datetime | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "test", "status": status, "finished_at": stamp(finished_at) if finished_at else None, **more}


def paused(*others: dict[str, Any]) -> Sequence[Observation] | Nothing:
    """The observations of a pipeline that waits for a manual job."""
    jobs = [job("success", at(2, "12:00:00")), job("manual"), *others]
    return observe(pipeline("manual", finished_at=None, ref=None, builds=jobs))


@pytest.mark.parametrize(
    "others",
    [
        [],
        [job("created")],
        [job("skipped")],
        [job("failed", at(2), allow_failure=True)],
        [job("canceled", at(2), allow_failure=True)],
        [job("manual", allow_failure=True)],
        [job("success", at(1))],
    ],
)
def test_a_pipeline_that_waits_for_a_manual_job_has_succeeded_when_its_last_job_ended(
    others: list[dict[str, Any]],
) -> None:
    assert paused(*others) == [Observed("finished", HEAD, at(2, "12:00:00"), traits(conclusion="success"))]


def test_a_job_that_may_fail_ends_a_pipeline_that_waits() -> None:
    failed = job("failed", at(2, "13:00:00"), allow_failure=True)
    assert paused(failed) == [Observed("finished", HEAD, at(2, "13:00:00"), traits(conclusion="success"))]


@pytest.mark.parametrize("more", [{}, {"allow_failure": False}, {"allow_failure": None}])
def test_a_pipeline_that_waits_has_failed_if_a_job_failed_beside_the_manual_job(more: dict[str, Any]) -> None:
    failed = job("failed", at(2, "11:00:00"), **more)
    assert paused(failed) == [Observed("finished", HEAD, at(2, "12:00:00"), traits(conclusion="failed"))]


def test_a_pipeline_that_waits_has_no_result_if_a_job_was_cancelled() -> None:
    assert paused(job("canceled", at(2))) == Nothing("a pipeline that is manual has no result yet")


@pytest.mark.parametrize(
    "jobs",
    [None, [], [job("manual")], [job("success"), job("manual")]]
    + [
        [job("success", at(2)), job("manual"), job(other)] for other in ("running", "pending", "preparing", "pondering")
    ],
)
def test_a_manual_pipeline_without_an_end_or_with_jobs_that_run_has_no_result_yet(
    jobs: list[dict[str, Any]] | None,
) -> None:
    waiting = pipeline("manual", finished_at=None, builds=jobs)
    assert observe(waiting) == Nothing("a pipeline that is manual has no result yet")


@pytest.mark.parametrize("time", [None, ""])
def test_a_pipeline_without_a_time_is_ignored(time: str | None) -> None:
    assert observe(pipeline("skipped", finished_at=time)) == Nothing(
        "the pipeline is skipped and does not say when it finished"
    )


def test_a_pipeline_without_a_commit_is_ignored() -> None:
    assert observe(pipeline(sha=ZEROS)) == Nothing("the pipeline names no commit")


def test_the_pipeline_of_a_tag_has_no_branch() -> None:
    assert observe(pipeline(ref="v1.0", tag=True)) == [Observed("finished", HEAD, at(3), traits(conclusion="success"))]


def test_the_commit_of_a_pipeline_of_a_merge_request_is_linked_to_the_change() -> None:
    run = pipeline(merge_request={"id": 900, "iid": 7, "target_project_id": 1})
    assert links(run, "head") == [linked(HEAD, "head", at(3), CHANGE)]
    assert links(pipeline(merge_request={"iid": 7}), "head") == [linked(HEAD, "head", at(3), CHANGE)]


def test_the_commit_of_a_pipeline_of_a_fork_is_linked_to_the_merge_request_in_its_url() -> None:
    url = "https://gitlab.acme.example/acme/app/-/merge_requests/7"
    run = pipeline(project=FORK, merge_request={"iid": 7, "target_project_id": 1, "url": url})
    assert links(run, "head") == [linked(HEAD, "head", at(3), CHANGE)]


@pytest.mark.parametrize("url", [None, "", "https://elsewhere.example/acme/app/-/merge_requests/7", "nonsense"])
def test_the_commit_of_a_pipeline_of_a_fork_is_not_linked_without_a_url_of_the_merge_request(url: str | None) -> None:
    assert links(pipeline(project=FORK, merge_request={"iid": 7, "target_project_id": 1, "url": url}), "head") == []


@pytest.mark.parametrize("more", [{"merge_request": None}, {"merge_request": {}}, {"commit": None}])
def test_a_pipeline_without_a_merge_request_or_without_commit_details_is_observed(more: dict[str, Any]) -> None:
    assert observe(pipeline(**more)) == observe(pipeline())
    assert links(pipeline(project=None, merge_request={"iid": 7}), "head") == []


def test_a_deployment_is_observed_with_its_environment_and_its_tier() -> None:
    environments = ("eu-west", "production")
    assert observe(deployment()) == [
        Observed("deployed", HEAD, at(4), traits(environment=environments, conclusion="success"))
    ]


@pytest.mark.parametrize(
    ("more", "known"),
    [
        ({"environment_tier": None}, {"environment": "eu-west"}),
        ({"environment": "production"}, {"environment": "production"}),
        ({"environment": None}, {"environment": "production"}),
        ({"environment": None, "environment_tier": None}, {}),
    ],
)
def test_the_name_and_the_tier_of_an_environment_are_listed_without_duplicates_and_missing_values(
    more: dict[str, Any], known: dict[str, Any]
) -> None:
    assert observe(deployment(**more)) == [Observed("deployed", HEAD, at(4), traits(conclusion="success", **known))]


@pytest.mark.parametrize("status", ["running", "failed", "canceled"])
def test_the_status_of_a_deployment_is_its_conclusion(status: str) -> None:
    (deployed,) = observed(deployment(status=status))
    assert isinstance(deployed, Observed)
    assert deployed.traits["conclusion"] == (status,)


@pytest.mark.parametrize("address", [None, "", "https://gitlab.acme.example/acme/app/-/commit/279484c0"])
def test_a_deployment_without_a_commit_is_ignored(address: str | None) -> None:
    assert observe(deployment(commit_url=address)) == Nothing("the deployment names no commit")


def test_a_deployment_without_a_time_is_ignored() -> None:
    assert observe(deployment(status_changed_at=None)) == Nothing("the deployment names no time")


def test_the_creation_of_a_branch_is_observed() -> None:
    first, last = pushed("d" * 40, "ML-12: try\n", at(2)), pushed("a" * 40, "cache\n", at(3))
    url = "https://gitlab.acme.example/acme/app/-/tree/cache-answers"
    assert observe(push(first, last, before=ZEROS)) == [
        on_branch("seen", at(3), title="cache-answers", url=url),
        on_branch("created", at(3)),
        Observed("active", BRANCH, at(3)),
        Mentioned(BRANCH, "branch", "cache-answers", at(3)),
        Linked(HEAD, "branch", BRANCH, frozenset({BRANCH}), at(3)),
        Mentioned(Ref("commit:" + "d" * 40), "message", "ML-12: try\n", at(3)),
        Mentioned(HEAD, "message", "cache\n", at(3)),
    ]


def test_a_push_to_an_existing_branch_is_not_the_creation_of_the_branch() -> None:
    assert kinds(push(pushed("a" * 40, "cache", at(3)))) == ["seen", "active"]


def test_a_push_to_the_default_branch_is_observed_as_its_step_and_the_messages_of_its_commits() -> None:
    before = Ref("commit:" + "d" * 40)
    assert observe(push(pushed("a" * 40, "cache", at(3)), ref="refs/heads/main")) == [
        Pushed(Push(Ref("gitlab:acme/app"), before, (HEAD,), linear=True, pushed_at=at(3))),
        Observed("merged", HEAD, at(3), traits(what="commit", project="acme/app", branch="main")),
        Mentioned(HEAD, "message", "cache", at(3)),
    ]


@pytest.mark.parametrize(("more", "linear"), [({"total_commits_count": 1}, True), ({"total_commits_count": 40}, False)])
def test_a_push_with_more_commits_than_gitlab_lists_is_not_known_to_be_linear(
    more: dict[str, Any], linear: bool
) -> None:
    read = observed({**push(pushed("a" * 40, "cache", at(3)), ref="refs/heads/main"), **more})
    assert [one.push.linear for one in read if isinstance(one, Pushed)] == [linear]


def test_a_push_to_the_default_branch_without_a_commit_is_ignored() -> None:
    assert observe(push({"timestamp": stamp(at(3))}, ref="refs/heads/main")) == Nothing(
        "a push to the default branch without a commit"
    )


def test_only_the_last_of_many_commits_are_read() -> None:
    many = push(*(pushed(f"{number:040x}", "cache", at(3)) for number in range(1, 1_000)))
    assert (
        len([one for one in observed(many) if isinstance(one, Mentioned) and one.channel == "message"]) == MOST_TARGETS
    )


@pytest.mark.parametrize("commits", [[], [{"id": "a" * 40}], None])
def test_a_branch_without_a_commit_is_created_at_the_receipt_of_the_push(commits: Any) -> None:
    received = at(10, "12:00:00")
    [seen, created, *others] = observed({**push(before=ZEROS), "commits": commits})
    assert isinstance(seen, Observed)
    assert created == Observed(
        "created", BRANCH, received, traits(what="branch", project="acme/app", branch="cache-answers")
    )
    assert [type(one) for one in others if isinstance(one, Linked)] == ([Linked] if commits else [])


@pytest.mark.parametrize("commits", [[], [{"id": "a" * 40}], None])
def test_a_new_default_branch_without_a_time_is_ignored(commits: Any) -> None:
    new = push(before=ZEROS, ref="refs/heads/main")
    assert observe({**new, "commits": commits}) == Nothing("the push has no commit with a time")


@pytest.mark.parametrize("commits", [[], [{"id": "a" * 40}], None])
def test_a_push_without_a_time_is_ignored(commits: Any) -> None:
    assert observe({**push(), "commits": commits}) == Nothing("the push has no commit with a time")


def test_the_deletion_of_a_branch_is_dated_by_the_receipt_of_the_push() -> None:
    place = traits(what="branch", project="acme/app", branch="cache-answers")
    assert observe(push(after=ZEROS)) == [
        Observed("deleted", Ref("branch:acme/app@cache-answers"), at(10, "12:00:00"), place)
    ]


def test_the_removal_of_the_default_branch_is_ignored() -> None:
    assert observe(push(after=ZEROS, ref="refs/heads/main")) == Nothing("the default branch was removed")


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/heads/", "cache-answers", ""])
def test_a_push_that_is_not_to_a_branch_is_ignored(ref: str) -> None:
    assert observe(push(pushed("a" * 40, "cache", at(3)), ref=ref)) == Nothing(
        "a push that is not to a branch says nothing about experiments"
    )


@pytest.mark.parametrize("name", ["before", "after", "repository"])
def test_an_optional_field_of_a_push_may_be_null_or_missing(name: str) -> None:
    whole = push(pushed("a" * 40, "cache", at(3)))
    missing = {key: value for key, value in whole.items() if key != name}
    assert observe({**whole, name: None}) == observe(missing)
    assert kinds(missing) == ["seen", "active"]


@pytest.mark.parametrize("event", ["project_rename", "project_transfer"])
def test_a_renamed_or_transferred_project_renames_its_items_and_its_branches(event: str) -> None:
    payload = {
        "event_name": event,
        "created_at": "2026-03-01T09:00:00Z",
        "updated_at": "2026-03-05T09:00:00Z",
        "path_with_namespace": "acme/Answers",
        "old_path_with_namespace": "Acme/app",
    }
    assert observe(payload) == [
        Renamed(Alias(Ref("gitlab:acme/app"), Ref("gitlab:acme/answers"), at(5))),
        Renamed(Alias(Ref("branch:acme/app"), Ref("branch:acme/answers"), at(5))),
    ]


def test_a_rename_without_a_time_is_dated_before_every_other_rename() -> None:
    names = {"path_with_namespace": "acme/answers", "old_path_with_namespace": "acme/app"}
    said = observed({"event_name": "project_rename", **names})
    assert {one.alias.renamed_at.year for one in said if isinstance(one, Renamed)} == {1970}


@pytest.mark.parametrize(
    "kind",
    ["build", "wiki_page", "tag_push", "release", "feature_flag", "emoji", "member", "access_token", "brand_new"],
)
def test_an_unused_event_is_ignored_whatever_its_fields(kind: str) -> None:
    assert observe({"object_kind": kind}) == Nothing(f"GitLab's `{kind}` events say nothing about experiments")


def test_the_body_and_not_the_header_names_the_event() -> None:
    as_system_hook = GITLAB.observe(delivery(issue("open"), **{"x-gitlab-event": "System Hook"}))
    assert as_system_hook == GITLAB.observe(delivery(issue("open")))

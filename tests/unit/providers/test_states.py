"""Payloads show all labels, the type, whether an item is open and its status, or tell nothing about them."""

import json
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Linked, Looked, Nothing, Observation, Observed
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import at

EARLY, LATE = "2026-03-01T09:00:00Z", "2026-03-05T09:00:00Z"
REPOSITORY = {"full_name": "acme/app"}
HEAD = {"sha": "a" * 40, "ref": "cache"}


def observed(provider: str, payload: Any, **headers: str) -> list[Observation]:
    delivery = Delivery(provider, provider, "1", headers, json.dumps(payload).encode(), at(20))
    said = PROVIDERS[provider].observe(delivery)
    assert not isinstance(said, Nothing), said.reason
    return list(said)


def looked(provider: str, payload: Any, **headers: str) -> Looked:
    """The one state that a payload shows."""
    (state,) = [one for one in observed(provider, payload, **headers) if isinstance(one, Looked)]
    return state


def github(action: str = "edited", event: str = "issues", **fields: Any) -> Looked:
    return looked("github", github_payload(action, event, **fields), **{"x-github-event": event})


def github_payload(action: str = "edited", event: str = "issues", **fields: Any) -> dict[str, Any]:
    shown = {"number": 45, "created_at": EARLY, "updated_at": LATE, "head": HEAD, **fields}
    member = "pull_request" if event == "pull_request" else "issue"
    comment = {"comment": {"body": "Nice.", "created_at": LATE}} if event == "issue_comment" else {}
    return {"action": action, "repository": REPOSITORY, member: shown, **comment}


def named(*labels: str) -> list[dict[str, str]]:
    return [{"name": label} for label in labels]


@pytest.mark.parametrize("event", ["issues", "pull_request", "issue_comment"])
def test_a_payload_of_github_shows_all_labels_and_that_the_item_is_open(event: str) -> None:
    state = github(event=event, labels=named("experiment", "bug"), state="open", closed_at=None)
    assert (state.labels, state.is_open, state.at) == (("experiment", "bug"), True, at(5))


def test_an_issue_without_labels_shows_that_it_has_none() -> None:
    assert github(labels=[]).labels == ()


def test_a_removal_without_the_name_of_its_label_shows_the_labels_that_are_left() -> None:
    assert github("unlabeled", labels=named("bug"), label=None).labels == ("bug",)


@pytest.mark.parametrize(
    "fields", [{}, {"labels": None}, {"labels": [{"id": 7}]}, {"labels": named(*(f"label {n}" for n in range(101)))}]
)
def test_a_payload_without_its_labels_or_with_too_many_tells_nothing_about_them(fields: dict[str, Any]) -> None:
    assert github(**fields).labels is None


@pytest.mark.parametrize(
    ("fields", "is_open"),
    [
        ({"state": "open"}, True),
        ({"state": "open", "closed_at": LATE}, True),
        ({"state": "closed", "closed_at": LATE}, False),
        ({"state": "closed"}, False),
        ({"closed_at": LATE}, False),
        ({"closed_at": None}, None),
        ({"state": None}, None),
        ({"state": "locked"}, None),
    ],
)
def test_the_state_of_an_issue_decides_whether_it_is_open(fields: dict[str, Any], is_open: bool | None) -> None:
    assert github(**fields).is_open is is_open


def test_an_open_issue_with_the_time_of_an_earlier_closing_is_not_closed() -> None:
    payload = github_payload(state="open", closed_at=LATE, state_reason="duplicate")
    said = observed("github", payload, **{"x-github-event": "issues"})
    assert not [one for one in said if isinstance(one, Observed) and (one.kind == "closed" or "reason" in one.traits)]


@pytest.mark.parametrize(
    ("fields", "item_type"),
    [({"type": {"name": "Experiment"}}, "Experiment"), ({"type": None}, ""), ({"labels": []}, ""), ({}, None)],
)
def test_an_issue_of_github_shows_its_type_or_that_it_has_none(fields: dict[str, Any], item_type: str | None) -> None:
    assert github(**fields).item_type == item_type


def test_a_comment_without_the_type_of_its_issue_tells_nothing_about_it() -> None:
    assert github(event="issue_comment", labels=[]).item_type is None


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        ("transferred", {}),
        ("deleted", {}),
        ("opened", {"old_issue": {"number": 9}, "old_repository": {"full_name": "acme/docs"}}),
    ],
)
def test_an_issue_that_is_transferred_or_deleted_tells_nothing_about_its_labels(action: str, changes: Any) -> None:
    payload = github_payload(action, labels=[], state="open") | {"changes": changes}
    said = observed("github", payload, **{"x-github-event": "issues"})
    assert not [one for one in said if isinstance(one, Looked)]


def test_an_issue_of_gitea_that_loses_all_labels_has_none_although_the_payload_still_lists_them() -> None:
    payload = github_payload("label_cleared", labels=named("experiment"))
    headers = {"x-github-event": "issues"}
    assert looked("github", payload, **headers).labels == ()
    assert all(
        not one.traits.get("label") for one in observed("github", payload, **headers) if isinstance(one, Observed)
    )


def gitlab(kind: str = "issue", **members: Any) -> Looked:
    return looked("gitlab", gitlab_payload(kind, **members))


def gitlab_payload(kind: str = "issue", *, labels: Any = "absent", **fields: Any) -> dict[str, Any]:
    shown = {"iid": 45, "created_at": EARLY, "updated_at": LATE, **fields}
    listed = {} if labels == "absent" else {"labels": labels}
    project = {"project": {"path_with_namespace": "acme/app"}}
    if kind == "note":
        note = {"noteable_type": "Issue", "note": "Nice.", "created_at": LATE, "updated_at": LATE}
        return {"object_kind": "note", "object_attributes": note, "issue": {**shown, **listed}, **project}
    return {"object_kind": kind, "object_attributes": shown, **listed, **project}


@pytest.mark.parametrize("kind", ["issue", "merge_request", "note"])
def test_a_payload_of_gitlab_shows_all_labels_and_that_the_item_is_open(kind: str) -> None:
    state = gitlab(kind, labels=[{"title": "experiment"}, {"title": "bug"}], state="opened")
    assert (state.labels, state.is_open, state.at) == (("experiment", "bug"), True, at(5))


def test_an_issue_of_gitlab_without_labels_shows_that_it_has_none() -> None:
    assert gitlab(labels=[]).labels == ()


@pytest.mark.parametrize("labels", ["absent", None, [{"id": 7}], [{"title": f"label {n}"} for n in range(101)]])
def test_a_payload_of_gitlab_without_its_labels_or_with_too_many_tells_nothing_about_them(labels: Any) -> None:
    assert gitlab(labels=labels).labels is None


@pytest.mark.parametrize(
    ("state", "is_open"),
    [("opened", True), ("reopened", True), ("closed", False), ("merged", False), ("locked", None), (None, None)],
)
def test_the_state_of_a_merge_request_decides_whether_it_is_open(state: str | None, is_open: bool | None) -> None:
    assert gitlab("merge_request", state=state).is_open is is_open


def test_an_open_issue_of_gitlab_with_the_time_of_an_earlier_closing_is_not_closed() -> None:
    said = observed("gitlab", gitlab_payload(state="opened", closed_at=LATE))
    assert not [one for one in said if isinstance(one, Observed) and one.kind == "closed"]


def test_an_issue_of_gitlab_shows_its_type_and_a_merge_request_tells_none() -> None:
    assert gitlab(type="Incident").item_type == "Incident"
    assert gitlab().item_type is gitlab("merge_request").item_type is None


def jira_payload(event: str = "jira:issue_updated", changes: Any = (), **fields: Any) -> dict[str, Any]:
    issue = {"key": "ML-12", "fields": fields}
    return {"timestamp": 1772701200000, "webhookEvent": event, "issue": issue, "changelog": {"items": list(changes)}}


def jira(event: str = "jira:issue_updated", **fields: Any) -> Looked:
    return looked("jira", jira_payload(event, **fields))


def status(category: str, number: Any = "5") -> dict[str, Any]:
    return {"id": number, "name": "Some", "statusCategory": {"key": category}}


def test_a_ticket_shows_all_labels_its_type_and_its_status() -> None:
    state = jira(labels=["bet"], issuetype={"name": "Spike"}, status=status("done"))
    assert state == Looked(Ref("jira:ML-12"), at(5), ("bet",), "Spike", is_open=False, status="5")


@pytest.mark.parametrize(
    ("category", "is_open"), [("new", True), ("indeterminate", True), ("done", False), ("?", None)]
)
def test_the_category_of_its_status_decides_whether_a_ticket_is_open(category: str, is_open: bool | None) -> None:
    assert jira(status=status(category)).is_open is is_open


@pytest.mark.parametrize("number", ["5", 5])
def test_the_id_of_a_status_may_be_a_number(number: Any) -> None:
    assert jira(status=status("new", number)).status == "5"


@pytest.mark.parametrize("fields", [{}, {"labels": None, "issuetype": None, "status": None}])
def test_a_ticket_in_part_tells_nothing_about_what_it_omits(fields: dict[str, Any]) -> None:
    assert jira("comment_created", **{"summary": "Cache", **fields}) == Looked(Ref("jira:ML-12"), at(5))


COMPLETE = {
    "issuelinks": [],
    "labels": [],
    "issuetype": {"name": "Task"},
    "status": status("new"),
    "created": EARLY,
    "updated": LATE,
}


def linked(channel: str, changes: Any = (), **fields: Any) -> list[frozenset[Ref]]:
    said = observed("jira", jira_payload(changes=changes, **fields))
    return [one.targets for one in said if isinstance(one, Linked) and one.channel == channel]


def change(field: str, before: str | None, now: str | None, **more: Any) -> dict[str, Any]:
    ids = {"from": before and "10041", "to": now and "10042"}
    return {"field": field, "fieldtype": "jira", **ids, "fromString": before, "toString": now, **more}


def test_a_complete_ticket_without_the_field_parent_has_no_parent() -> None:
    assert linked("parent", **COMPLETE) == [frozenset()]


@pytest.mark.parametrize("field", sorted(COMPLETE))
def test_a_ticket_that_lacks_another_field_too_tells_nothing_about_its_parent(field: str) -> None:
    assert linked("parent", **{name: value for name, value in COMPLETE.items() if name != field}) == []


@pytest.mark.parametrize("field", ["IssueParentAssociation", "Parent", "Parent Issue"])
def test_a_changed_parent_is_read_from_a_payload_in_part(field: str) -> None:
    assert linked("parent", [change(field, "ML-1", None)]) == [frozenset()]
    assert linked("parent", [change(field, "ML-1", "ML-2")]) == [frozenset({Ref("jira:ML-2")})]


def test_the_parent_that_a_payload_shows_wins_over_the_change() -> None:
    moved = change("IssueParentAssociation", "ML-1", None)
    assert linked("parent", [moved], parent={"key": "ML-3"}) == [frozenset({Ref("jira:ML-3")})]


@pytest.mark.parametrize(("field", "channel"), [("Epic Link", "epic link"), ("Parent Link", "parent link")])
def test_a_changed_epic_link_is_read_although_its_field_is_a_custom_field(field: str, channel: str) -> None:
    custom = {"fieldtype": "custom"}
    assert linked(channel, [change(field, None, "ML-1", **custom)], **COMPLETE) == [frozenset({Ref("jira:ML-1")})]
    assert linked(channel, [change(field, "ML-1", None, **custom)], **COMPLETE) == [frozenset()]
    assert linked(channel, [change(field, "ML-1", "", to="", **custom)]) == [frozenset()]


def test_a_changed_parent_of_jira_cloud_ends_the_link_to_a_former_epic() -> None:
    moved, epic = change("IssueParentAssociation", "ML-1", None), change("Epic Link", None, "ML-2", fieldtype="custom")
    assert linked("epic link", [moved]) == [frozenset()]
    assert linked("epic link", [epic, moved]) == [frozenset({Ref("jira:ML-2")})]
    assert linked("epic link", [change("Parent", "ML-1", None)]) == []


def test_a_changed_parent_without_a_key_tells_nothing() -> None:
    assert linked("parent", [change("IssueParentAssociation", "ML-1", "The cache")]) == []
    assert linked("parent", [change("IssueParentAssociation", "ML-1", None, to="10042")]) == []


def test_a_removed_link_is_no_longer_among_the_links_that_a_ticket_shows() -> None:
    gone = change("Link", "This issue implements ML-1", None, **{"from": "ML-1"})
    assert linked("link", [gone], **COMPLETE) == [frozenset()]


@pytest.mark.parametrize(("entered", "category"), [("5", ("new",)), ("8", None)])
def test_ids_and_not_names_tell_whether_a_ticket_still_has_the_status_that_it_entered(
    entered: str, category: tuple[str, ...] | None
) -> None:
    moved = change("status", "Doing", "Some" if category is None else "Old name", to=entered)
    (one,) = [
        one
        for one in observed("jira", jira_payload(changes=[moved], status=status("new")))
        if isinstance(one, Observed) and one.kind == "moved"
    ]
    assert one.traits.get("category_to") == category

"""The Jira provider verifies signatures and passwords, and turns payloads into observations."""

import base64
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Commented, Kind, Linked, Nothing, Observation, Observed, Renamed, Trait
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.aliases import Alias
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref
from service.providers.jira import Jira
from service.rules.commands import parse_commands
from tests.support.builders import SECRET, at
from tests.support.mutations import collected, read
from tests.support.observations import traits, without_ids

JIRA = Jira()
TICKET = Ref("jira:ML-12")
CREATED = datetime(2026, 3, 1, 9, tzinfo=UTC)
NOW = datetime(2026, 3, 5, 9, tzinfo=UTC)
"""The time of an event, unless a test gives another time."""

BODY = b"Hello, World!"
PUBLISHED_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The HMAC-SHA256 of the body from GitHub's "Validating webhook deliveries". Jira signs in the same way as GitHub."""

PAYLOADS = read(collected("jira"))


def written(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def milliseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1000


def status(name: str, category: str | None = None, number: str = "1") -> dict[str, Any]:
    return {"name": name, "id": number, **({"statusCategory": {"key": category}} if category else {})}


def issue(**fields: Any) -> dict[str, Any]:
    known = {"summary": "Cache answers", "created": written(CREATED), "project": {"key": "ML"}, **fields}
    return {"key": "ML-12", "self": "https://acme.example/jira/rest/api/2/issue/10012", "fields": known}


def changed(field: str, before: str | None, now: str | None, **more: Any) -> dict[str, Any]:
    return {
        "field": field,
        "fieldtype": "jira",
        "from": before,
        "fromString": before,
        "to": now,
        "toString": now,
        **more,
    }


def updated(*changes: dict[str, Any], event: str = "jira:issue_updated", more: Any = None, **fields: Any) -> Any:
    """An event of a ticket with the given fields and changes."""
    changelog = {"changelog": {"items": list(changes)}} if changes else {}
    return {
        "timestamp": milliseconds(NOW),
        "webhookEvent": event,
        "issue": issue(**fields),
        **changelog,
        **(more or {}),
    }


def comment(body: Any = "Nice.", when: datetime = NOW, **more: Any) -> dict[str, Any]:
    author = {"displayName": "Somebody", "emailAddress": "somebody@acme.example"}
    return {"body": body, "created": written(when), "updated": written(when), "author": author, **more}


def commented(body: Any = "Nice.", event: str = "comment_created", **more: Any) -> dict[str, Any]:
    """A comment event as Data Center may send it, with a ticket that has a key and no fields."""
    said = {"timestamp": milliseconds(NOW), "webhookEvent": event, "comment": comment(body)}
    return {**said, "issue": {"key": "ML-12"}, **more}


def delivery(payload: Any) -> Delivery:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery("jira", "jira", "1", {}, body, at(20))


def observe(payload: Any) -> Sequence[Observation] | Nothing:
    return without_ids(JIRA.observe(delivery(payload)))


def observed(payload: Any) -> list[Observation]:
    said = observe(payload)
    assert not isinstance(said, Nothing), said.reason
    return list(said)


def happened(payload: Any) -> list[Observation]:
    """The observations of a delivery, except those of the ticket's state and creation."""
    return [one for one in observed(payload) if not (isinstance(one, Observed) and one.kind in ("seen", "created"))]


def looks(payload: Any) -> dict[Trait, tuple[str, ...]]:
    seen = observed(payload)[0]
    assert isinstance(seen, Observed)
    assert seen.kind == "seen"
    return dict(seen.traits)


def item(kind: Kind, when: datetime = NOW, **known: str) -> Observed:
    ended = kind == "closed" or known.get("category_to") == "done"
    words = tuple(known[word] for word in ("reason", "resolution", "status_to") if word in known) if ended else ()
    ending: dict[Trait, tuple[str, ...]] = {"ending": words} if words else {}
    return Observed(kind, TICKET, when, {**traits(what="item", project="ML", **known), **ending})


def seen(**known: str) -> Observed:
    return item("seen", NOW, title="Cache answers", url="https://acme.example/jira/browse/ML-12", **known)


def text_of(body: Any) -> str:
    """The text that is observed for a comment with this body."""
    (said,) = [one for one in observed(commented(body)) if isinstance(one, Commented)]
    return said.text


def targets(channel: str, **fields: Any) -> list[frozenset[Ref]]:
    said = observed(updated(**fields))
    return [one.targets for one in said if isinstance(one, Linked) and one.channel == channel]


def link(outward: str | None, key: str | None) -> dict[str, Any]:
    return {"type": {"outward": outward, "inward": "is served by"}, "outwardIssue": {"key": key}}


def verify(headers: dict[str, str], *secrets: str, body: bytes = BODY) -> None:
    JIRA.verify(headers, body, [secret.encode() for secret in secrets or (SECRET,)], NOW)


def signed(method: str, secret: str = SECRET) -> dict[str, str]:
    return {"x-hub-signature": f"{method}={hmac.digest(secret.encode(), BODY, method).hex()}"}


def basic(credentials: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


ACTIVE = Observed("active", TICKET, NOW)


def test_the_signature_that_github_publishes_is_accepted() -> None:
    verify({"x-hub-signature": f"sha256={PUBLISHED_DIGEST}"})


@pytest.mark.parametrize("method", ["sha256", "sha384", "sha512"])
def test_a_signature_by_a_strong_method_is_accepted(method: str) -> None:
    verify(signed(method))


def test_the_method_and_the_digits_of_a_signature_may_be_upper_case() -> None:
    verify({"x-hub-signature": f"SHA256={PUBLISHED_DIGEST.upper()}"})


def test_a_signature_by_sha1_is_refused_as_too_weak() -> None:
    with pytest.raises(SignatureRefused, match="sha1 is too weak"):
        verify(signed("sha1"))


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("", "is not <method>=<signature>"),
        (PUBLISHED_DIGEST, "is not <method>=<signature>"),
        (f"md5={PUBLISHED_DIGEST}", "method is not supported"),
        (f"={PUBLISHED_DIGEST}", "method is not supported"),
        (f" sha256={PUBLISHED_DIGEST}", "method is not supported"),
        (f"\u017fha256={PUBLISHED_DIGEST}", "method is not supported"),
        (f"sha3_256={PUBLISHED_DIGEST}", "method is not supported"),
        ("sha256=", "not made of hexadecimal digits"),
        (f"sha256={PUBLISHED_DIGEST}\n", "not made of hexadecimal digits"),
        (f"sha256={PUBLISHED_DIGEST[:-2]}", "does not match"),
        (f"sha256={PUBLISHED_DIGEST}00", "does not match"),
    ],
)
def test_a_malformed_signature_is_refused_with_the_reason(signature: str, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify({"x-hub-signature": signature})


def test_a_wrong_signature_is_refused_even_with_the_right_password() -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        verify({"x-hub-signature": f"sha256={'0' * 64}", **basic(f"jira:{SECRET}")})


@pytest.mark.parametrize("user", ["", "jira", "Büro"])
def test_the_secret_may_be_the_password_of_any_user(user: str) -> None:
    verify(basic(f"{user}:{SECRET}"))
    verify(basic(f"{user}:{SECRET}"), "the new secret", SECRET)


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({}, "X-Hub-Signature is missing"),
        ({"authorization": ""}, "Basic is missing"),
        ({"authorization": f"Bearer {SECRET}"}, "Basic is missing"),
        ({"authorization": "Basic"}, "Basic is missing"),
        ({"authorization": "Basic "}, "not user:password"),
        ({"authorization": "Basic é"}, "not user:password"),
        (basic("jira:"), "password of HTTP Basic is missing"),
        (basic(f"{SECRET}:jira"), "is not the source's secret"),
        (basic(f"jira:{SECRET} "), "is not the source's secret"),
    ],
)
def test_malformed_credentials_are_refused_with_the_reason(headers: dict[str, str], complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify(headers)


def test_a_created_ticket_is_observed() -> None:
    created = updated(
        event="jira:issue_created",
        labels=["experiment", "team:search"],
        issuetype={"name": "Spike"},
        components=[{"name": "Cache"}, {"name": "Ranking"}],
    )
    place: dict[Trait, tuple[str, ...]] = {"what": ("item",), "project": ("ML",), "component": ("Cache", "Ranking")}
    shown: dict[Trait, tuple[str, ...]] = {
        "title": ("Cache answers",),
        "url": ("https://acme.example/jira/browse/ML-12",),
        "item_type": ("Spike",),
        "label": ("experiment", "team:search"),
    }
    assert observe(created) == [
        Observed("seen", TICKET, NOW, {**place, **shown}),
        Observed("created", TICKET, CREATED, place),
    ]


def test_the_deletion_of_a_ticket_is_observed() -> None:
    assert observe(updated(event="jira:issue_deleted")) == [seen(), item("created", CREATED), item("deleted")]


@pytest.mark.parametrize("event", ["jira:issue_updated", "jira:issue_unheard_of"])
def test_an_update_without_a_change_is_observed_as_activity(event: str) -> None:
    assert observe(updated(event=event)) == [seen(), item("created", CREATED), ACTIVE]
    assert observe(updated(event=event, more={"changelog": None})) == [seen(), item("created", CREATED), ACTIVE]
    assert observe(updated(event=event, more={"changelog": {"items": None}})) == observe(updated(event=event))


def test_a_ticket_with_the_required_fields_alone_can_be_read() -> None:
    least = {"webhookEvent": "jira:issue_created", "issue": {"key": "ML-12"}, "timestamp": milliseconds(NOW)}
    assert observe(least) == [item("seen")]
    assert observe({**least, "issue": {"key": "ML-12", "self": None, "fields": None}}) == [item("seen")]


OPTIONAL = [
    "summary",
    "created",
    "updated",
    "labels",
    "components",
    "issuetype",
    "project",
    "status",
    "resolution",
    "resolutiondate",
    "issuelinks",
]


@pytest.mark.parametrize("field", OPTIONAL)
def test_a_null_field_is_read_as_an_absent_field(field: str) -> None:
    least = {"webhookEvent": "jira:issue_created", "issue": {"key": "ML-12"}, "timestamp": milliseconds(NOW)}
    assert observe({**least, "issue": {"key": "ML-12", "fields": {field: None}}}) == [item("seen")]


def test_empty_objects_in_a_ticket_are_ignored() -> None:
    hollow: dict[str, Any] = {name: {} for name in ("issuetype", "project", "status", "resolution", "parent")}
    said = observed(updated({}, components=[{}, {"name": None}], issuelinks=[{}, {"type": None}], **hollow))
    assert said == [seen(), item("created", CREATED), ACTIVE, Linked(TICKET, "link", TICKET, frozenset(), NOW)]


def test_an_event_without_a_timestamp_is_dated_by_the_update_of_the_ticket() -> None:
    payload = updated(updated="2026-03-04T10:00:00.000+0100")
    payload["timestamp"] = None
    assert Observed("active", TICKET, at(4)) in observed(payload)


def test_the_key_of_a_ticket_is_read_whatever_its_case() -> None:
    payload = {**updated(), "issue": {"key": "ml-12"}}
    assert observe(payload) == [item("seen"), ACTIVE]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://acme.example/rest/api/2/issue/1", "https://acme.example/browse/ML-12"),
        ("http://acme.example:8080/a/b/rest/api/2/issue/1", "http://acme.example:8080/a/b/browse/ML-12"),
        ("https://api.atlassian.com/ex/jira/1-2/rest/api/2/issue/1", None),
        ("https://acme.example/issue/1", None),
        ("https://somebody:password@acme.example/rest/api/2/issue/1", None),
        ("javascript:alert(1)/rest/", None),
        ("https:///rest/", None),
        ("", None),
        (None, None),
    ],
)
def test_the_url_of_a_ticket_is_the_address_of_its_page(address: str | None, url: str | None) -> None:
    payload = updated()
    payload["issue"]["self"] = address
    assert looks(payload).get("url") == ((url,) if url else None)


def test_only_the_first_of_many_labels_are_read() -> None:
    many = [f"label-{number}" for number in range(500)]
    assert looks(updated(labels=many))["label"] == tuple(many[:100])
    assert len(happened(updated(changed("labels", None, " ".join(many))))) == 100


def test_changed_labels_are_observed() -> None:
    assert happened(updated(changed("labels", "experiment old", "experiment outcome:failed risk:bold"))) == [
        item("labelled", label="outcome:failed"),
        item("labelled", label="risk:bold"),
        item("unlabelled", label="old"),
    ]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (None, "experiment", [item("labelled", label="experiment")]),
        ("", "experiment", [item("labelled", label="experiment")]),
        ("experiment", None, [item("unlabelled", label="experiment")]),
        ("experiment", "", [item("unlabelled", label="experiment")]),
        ("experiment", "Experiment", []),
        (None, None, []),
    ],
)
def test_the_addition_or_removal_of_a_label_is_observed(
    before: str | None, now: str | None, said: list[Observation]
) -> None:
    assert happened(updated(changed("labels", before, now))) == said


def test_a_changed_type_is_observed() -> None:
    assert happened(updated(changed("issuetype", "Task", "Spike"))) == [
        item("typed", item_type="Spike"),
        item("untyped", item_type="Task"),
    ]


def test_a_change_between_types_of_the_same_name_is_only_activity() -> None:
    assert happened(updated(changed("issuetype", "Spike", "spike"))) == [ACTIVE]


@pytest.mark.parametrize("field", ["status", "Status", "STATUS"])
@pytest.mark.parametrize(("key", "category"), [("new", "new"), ("indeterminate", "in progress"), ("done", "done")])
def test_a_changed_status_is_observed(field: str, key: str, category: str) -> None:
    assert happened(updated(changed(field, "Open", "There"), status=status("there", key))) == [
        item("moved", status_from="Open", status_to="There", category_to=category)
    ]


@pytest.mark.parametrize(
    ("shown", "category"),
    [
        ({"key": "DONE", "id": 2}, "done"),
        ({"id": 3, "name": "Fertig"}, "done"),
        ({"id": "4"}, "in progress"),
        ({"key": "", "id": 2}, "new"),
        ("Done", "done"),
        ("In Progress", "in progress"),
        ("To Do", "new"),
    ],
)
def test_the_category_of_a_status_is_known_by_its_key_or_its_id(shown: Any, category: str) -> None:
    now = {"name": "There", "id": "1", "statusCategory": shown}
    assert happened(updated(changed("status", "Open", "There"), status=now)) == [
        item("moved", status_from="Open", status_to="There", category_to=category)
    ]


@pytest.mark.parametrize(
    ("field", "field_id", "said"),
    [
        ("상태", "status", item("moved", status_from="a", status_to="b")),
        ("Stichwörter", "labels", item("labelled", label="b")),
        ("Vorgangstyp", "issuetype", item("typed", item_type="b")),
        ("担当者", "assignee", item("assigned")),
        ("Lösung", "resolution", item("moved", resolution_from="a", resolution="b")),
        ("status", "somethingelse", item("moved", status_from="a", status_to="b")),
    ],
)
def test_a_changed_field_whose_name_is_translated_is_known_by_its_id(field: str, field_id: str, said: Observed) -> None:
    assert said in happened(updated(changed(field, "a", "b", fieldId=field_id)))


@pytest.mark.parametrize(
    "now",
    [None, {}, status("Elsewhere", "done"), status("There"), status("There", "undefined"), status("", "done", "")],
)
def test_a_move_does_not_take_the_category_of_another_status(now: Any) -> None:
    assert happened(updated(changed("status", "Open", "There"), status=now)) == [
        item("moved", status_from="Open", status_to="There")
    ]


def test_the_category_of_a_renamed_status_is_found_by_its_id() -> None:
    moved = changed("status", "Open", "There", to="3")
    assert happened(updated(moved, status=status("Over there", "indeterminate", "3"))) == [
        item("moved", status_from="Open", status_to="There", category_to="in progress")
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("new", []),
        ("indeterminate", [item("moved", status_to="There", category_to="in progress")]),
        ("done", [item("moved", status_to="There", category_to="done")]),
    ],
)
def test_a_ticket_created_in_a_status_is_observed_as_moved_unless_the_status_has_the_category_new(
    key: str, said: list[Observation]
) -> None:
    created = updated(changed("Status", None, "There"), event="jira:issue_created", status=status("There", key))
    assert happened(created) == said


RESOLVED = changed("resolution", None, "Won't Do")
DONE = changed("status", "Open", "Done")


@pytest.mark.parametrize("changes", [[RESOLVED, DONE], [DONE, RESOLVED]])
def test_the_changes_of_a_resolution_and_a_status_may_be_listed_in_either_order(changes: list[dict[str, Any]]) -> None:
    assert happened(updated(*changes, status=status("Done", "done"))) == [
        item("moved", status_from="Open", status_to="Done", category_to="done", resolution="Won't Do")
    ]


def test_a_change_of_status_without_a_change_of_resolution_has_the_resolution_of_the_ticket() -> None:
    assert happened(updated(DONE, resolution={"name": "Duplicate"})) == [
        item("moved", status_from="Open", status_to="Done", resolution="Duplicate")
    ]


@pytest.mark.parametrize(
    "change",
    [
        changed("resolution", "Duplicate", None),
        changed("resolution", "Duplicate", "None"),
        changed("Resolution", "Duplicate", "Fixed", to=None),
        changed("resolution", "Duplicate", ""),
    ],
)
def test_a_removed_resolution_is_observed_as_the_former_resolution(change: dict[str, Any]) -> None:
    reopened = changed("status", "Done", "Open")
    stale = {"name": "Duplicate"}
    assert happened(updated(change, reopened, status=status("Open", "new"), resolution=stale)) == [
        item("moved", status_from="Done", status_to="Open", category_to="new", resolution_from="Duplicate")
    ]


def test_a_change_of_resolution_without_a_change_of_status_has_the_status_of_a_done_ticket() -> None:
    change = changed("resolution", "None", "Duplicate")
    assert happened(updated(change, status=status("Closed", "done"))) == [
        item("moved", status_to="Closed", category_to="done", resolution="Duplicate")
    ]


@pytest.mark.parametrize("now", [None, status("Open", "new"), status("Closed")])
def test_a_change_of_resolution_without_a_change_of_status_has_no_status_if_the_ticket_is_not_done(now: Any) -> None:
    change = changed("resolution", "Fixed", "Duplicate")
    assert happened(updated(change, status=now)) == [item("moved", resolution_from="Fixed", resolution="Duplicate")]


def test_a_change_in_the_changelog_may_have_no_ids() -> None:
    change = {"field": "resolution", "toString": "Duplicate"}
    assert happened(updated(change)) == [item("moved", resolution="Duplicate")]


def test_the_assignment_of_a_ticket_names_no_person() -> None:
    said = happened(updated(changed("assignee", None, "Somebody")))
    assert said == [item("assigned")]
    assert "Somebody" not in repr(said)


def test_the_removal_of_an_assignee_is_activity() -> None:
    assert happened(updated(changed("assignee", "Somebody", None))) == [ACTIVE]


def test_a_ticket_that_is_moved_to_another_project_is_renamed() -> None:
    moves = (changed("project", "OPS", "ML"), changed("Key", "OPS-7", "ML-12"))
    assert happened(updated(*moves)) == [Renamed(Alias(Ref("jira:OPS-7"), TICKET, NOW)), ACTIVE]


@pytest.mark.parametrize(("old", "new"), [(None, "ML-12"), ("OPS-7", None), ("ops", "ML-12"), ("ml-12", "ML-12")])
def test_an_invalid_or_unchanged_key_renames_nothing(old: str | None, new: str | None) -> None:
    assert happened(updated(changed("Key", old, new))) == [ACTIVE]


def test_each_supported_change_is_observed_and_all_other_changes_together_are_one_activity() -> None:
    changes = (
        changed("priority", "High", "Low"),
        changed("labels", "", "experiment"),
        changed("Sprint", None, "7"),
        changed("assignee", None, "Somebody"),
    )
    assert happened(updated(*changes)) == [item("labelled", label="experiment"), item("assigned"), ACTIVE]


@pytest.mark.parametrize("name", ["labels", "Status", "Key", "assignee", "resolution", "issuetype"])
def test_a_custom_field_is_not_read_as_the_built_in_field_of_the_same_name(name: str) -> None:
    assert happened(updated(changed(name, "OPS-1", "OPS-2", fieldtype="custom"))) == [ACTIVE]


def test_the_closing_of_a_done_ticket_is_observed_in_every_payload() -> None:
    fields: dict[str, Any] = {
        "status": status("Closed", "done"),
        "resolution": {"name": "Won't Do"},
        "resolutiondate": written(at(3)),
    }
    closed = item("closed", at(3), reason="Won't Do", status_to="Closed")
    assert happened(updated(**fields)) == [ACTIVE, closed]
    assert happened(commented(event="comment_deleted", issue=issue(**fields))) == [closed, ACTIVE]


@pytest.mark.parametrize(
    ("resolution", "name", "words"),
    [
        (None, "Done", ("Done",)),
        ("Fixed", "Closed", ("Fixed", "Closed")),
        ("Done", "Done", ("Done",)),
        ("Done - Won't Do", "Closed", ("Done - Won't Do", "Closed", "Done", "Won't Do")),
        (None, "Closed (Duplicate)", ("Closed (Duplicate)", "Closed", "Duplicate")),
        (None, "Resolved: Rejected", ("Resolved: Rejected", "Resolved", "Rejected")),
        (None, "Closed \u2013 Cancelled", ("Closed \u2013 Cancelled", "Closed", "Cancelled")),
        (None, "Shut-down", ("Shut-down",)),
        (None, "Done/Cancelled", ("Done/Cancelled",)),
    ],
)
def test_a_ticket_ended_as_its_resolution_and_status_and_their_parts_say(
    resolution: str | None, name: str, words: tuple[str, ...]
) -> None:
    fields: dict[str, Any] = {"resolution": {"name": resolution}, "status": status(name, "done")}
    closing = happened(updated(**fields))[-1]
    moved = happened(updated(changed("status", "Open", name), **fields))[0]
    assert isinstance(closing, Observed)
    assert isinstance(moved, Observed)
    assert closing.traits["ending"] == moved.traits["ending"] == words


@pytest.mark.parametrize("now", [None, status("Open", "new"), status("Closed")])
def test_a_ticket_without_a_done_status_is_not_closed(now: Any) -> None:
    assert happened(updated(status=now, resolutiondate=written(at(3)))) == [ACTIVE]


ENDED = status("Done", "done")


@pytest.mark.parametrize(
    ("told", "when"),
    [
        ({"statuscategorychangedate": written(at(2)), "resolutiondate": written(at(3))}, at(2)),
        ({"resolutiondate": written(at(3)), "updated": written(at(4))}, at(3)),
        ({"resolutiondate": None, "updated": written(at(4))}, at(4)),
        ({"resolutiondate": "", "updated": ""}, NOW),
        ({}, NOW),
    ],
)
def test_a_done_ticket_is_closed_at_the_best_time_that_the_payload_tells(told: dict[str, Any], when: datetime) -> None:
    closing = item("closed", when, status_to="Done")
    assert closing in happened(updated(status=ENDED, **told))
    assert closing in happened(updated(changed("labels", None, "a"), status=ENDED, **told))
    assert closing in happened(commented(issue=issue(status=ENDED, **told)))
    assert closing in happened({"issue": issue(status=ENDED, **told), "timestamp": milliseconds(NOW)})


DOING = status("Doing", "indeterminate")


@pytest.mark.parametrize(
    ("told", "when"),
    [
        ({"statuscategorychangedate": written(at(2)), "updated": written(at(4))}, at(2)),
        ({"resolutiondate": written(at(3)), "updated": written(at(4))}, at(4)),
        ({}, NOW),
    ],
)
def test_a_ticket_in_progress_is_started_at_the_best_time_that_the_payload_tells(
    told: dict[str, Any], when: datetime
) -> None:
    start = item("started", when, status_to="Doing")
    assert start in happened(updated(status=DOING, **told))
    assert start in happened(commented(issue=issue(status=DOING, **told)))
    assert start in happened({"issue": issue(status=DOING, **told), "timestamp": milliseconds(NOW)})


def test_the_time_of_a_start_is_not_inferred_if_the_changelog_reports_the_start() -> None:
    move = changed("status", "Open", "Doing")
    (moved,) = happened(updated(move, status=DOING, updated=written(at(4))))
    assert isinstance(moved, Observed)
    assert moved.kind == "moved"
    since = {"statuscategorychangedate": written(at(2))}
    assert item("started", at(2), status_to="Doing") in happened(updated(move, status=DOING, **since))


def test_the_time_of_a_closing_is_not_inferred_if_the_changelog_reports_the_closing() -> None:
    move = changed("status", "Open", "Done")
    (moved,) = happened(updated(move, status=ENDED, updated=written(at(4)), resolutiondate=written(at(3))))
    assert isinstance(moved, Observed)
    assert moved.kind == "moved"


def test_a_move_among_done_statuses_tells_when_the_ticket_was_done_first() -> None:
    move, since = changed("status", "Done", "Released"), written(at(2))
    closing = item("closed", at(2), status_to="Released")
    assert closing in happened(updated(move, status=status("Released", "done"), statuscategorychangedate=since))


def unnamed(**fields: Any) -> dict[str, Any]:
    """A ticket as Jira Automation writes it: ids are numbers."""
    return {**issue(updated=written(NOW), **fields), "id": 10012, "changelog": {"total": 0, "histories": None}}


@pytest.mark.parametrize(
    "body",
    [
        unnamed(),
        {"issue": unnamed()},
        {"issue": unnamed(), "timestamp": milliseconds(NOW)},
        {"issue": unnamed(), "webhookEvent": None},
        {"issue": unnamed(), "transition": "Start"},
        {"issue": unnamed(), "transition": {}},
        {"issue": unnamed(), "webhookEvent": "", "comment": comment("/experiment start")},
    ],
)
def test_a_body_that_names_no_event_and_has_a_ticket_shows_the_state_of_the_ticket(body: dict[str, Any]) -> None:
    assert observe(body) == [seen(), item("created", CREATED)]


def test_an_unnamed_body_shows_the_category_of_a_status_whose_id_is_a_number() -> None:
    done = {"id": 10013, "name": "Closed", "statusCategory": {"id": 3, "key": "done"}}
    assert happened(unnamed(status=done)) == [item("closed", status_to="Closed")]
    moved = changed("status", "Open", "There", to=10013)
    assert happened({"issue": unnamed(status=done), "changelog": {"items": [moved]}}) == [
        item("moved", status_from="Open", status_to="There", category_to="done")
    ]


def test_the_changes_that_an_unnamed_body_lists_are_observed_at_their_times() -> None:
    past = [
        {
            "created": written(at(4)),
            "items": [changed("status", "Doing", "Done"), changed("resolution", None, "Fixed")],
        },
        {"created": written(at(3)), "items": [changed("labels", "", "bet")]},
        {"created": None, "items": [changed("labels", "", "lost")]},
        {"created": written(at(2)), "items": None},
    ]
    body = {**unnamed(status=ENDED, resolutiondate=written(at(4))), "changelog": {"histories": past}}
    assert happened(body) == [
        item("moved", at(4), status_from="Doing", status_to="Done", category_to="done", resolution="Fixed"),
        item("labelled", at(3), label="bet"),
    ]


@pytest.mark.parametrize("when", ["updated", "statuscategorychangedate", "resolutiondate", "created"])
def test_a_body_without_a_time_of_its_own_is_dated_by_the_latest_time_of_the_ticket(when: str) -> None:
    fields = {"created": None, when: written(at(4))}
    assert item("seen", at(4)) in observed({"issue": {"key": "ML-12", "fields": fields}})


def test_a_comment_without_a_timestamp_is_dated_by_itself() -> None:
    assert ACTIVE in observed({**commented(), "timestamp": None})


def test_a_ticket_is_linked_to_its_parent() -> None:
    assert targets("parent", parent={"key": "ml-3"}) == [{Ref("jira:ML-3")}]


def test_a_null_parent_withdraws_the_link() -> None:
    assert targets("parent", parent=None) == [frozenset()]


@pytest.mark.parametrize("parent", [{}, {"key": None}, {"key": "nothing"}])
def test_a_parent_without_a_key_neither_makes_nor_withdraws_a_link(parent: dict[str, Any]) -> None:
    assert targets("parent", parent=parent) == []


EPIC = frozenset({Ref("jira:ML-3")})
CLOUD = {"statuscategorychangedate": written(at(2))}


@pytest.mark.parametrize(
    ("fields", "epics"),
    [
        ({"customfield_10014": "ML-3"}, [EPIC]),
        ({"customfield_10014": " ml-3 ", **CLOUD}, [EPIC]),
        ({"customfield_10014": None, **CLOUD}, [frozenset()]),
        ({"customfield_10014": None}, []),
        ({**CLOUD}, []),
        *(
            ({"customfield_10014": odd}, [])
            for odd in ("", "Cache", 7, 1.5, True, ["ML-3"], {"key": "ML-3"}, "ML-3, ML-4")
        ),
    ],
)
def test_a_ticket_is_linked_to_the_epic_that_the_field_of_jira_cloud_names(
    fields: dict[str, Any], epics: list[frozenset[Ref]]
) -> None:
    assert targets("epic link", **fields) == epics


@pytest.mark.parametrize(
    ("names", "channel"),
    [
        ({"field": "Epic Link", "fieldtype": "custom", "fieldId": "customfield_10101"}, "epic link"),
        ({"field": "Epic-Verkn\u00fcpfung", "fieldtype": "custom", "fieldId": "customfield_10014"}, "epic link"),
        ({"field": "IssueParentAssociation", "fieldtype": "jira"}, "parent"),
        ({"field": "Vorg\u00e4nger", "fieldtype": "jira", "fieldId": "parent"}, "parent"),
        ({"field": "Parent Link", "fieldtype": "custom"}, "parent link"),
    ],
)
def test_a_changed_parent_or_epic_replaces_the_link(names: dict[str, Any], channel: str) -> None:
    for key, expected in (("ML-3", EPIC), (None, frozenset[Ref]())):
        change = {**names, "from": "10041", "fromString": "ML-9", "to": key and "10042", "toString": key}
        linked = [one for one in observed(updated(change)) if isinstance(one, Linked)]
        assert [(one.channel, one.targets) for one in linked if one.targets or one.channel == channel] == [
            (channel, expected)
        ]


def test_neither_an_absent_parent_nor_absent_links_withdraw_a_link() -> None:
    assert targets("parent") == targets("link") == targets("link", issuelinks=None) == []


@pytest.mark.parametrize("outward", ["implements", "tests", "Validates", "is part of", "is evidence for"])
def test_a_link_of_an_evidence_type_links_the_ticket_to_the_other_ticket(outward: str) -> None:
    assert targets("link", issuelinks=[link(outward, "OPS-7")]) == [{Ref("jira:OPS-7")}]


@pytest.mark.parametrize(
    "other",
    [
        link("relates to", "OPS-7"),
        link("duplicates", "OPS-7"),
        link(None, "OPS-7"),
        link("implements", None),
        link("implements", "OPS 7"),
        {"type": {"outward": "implements"}, "inwardIssue": {"key": "OPS-7"}},
        {"type": None, "outwardIssue": {"key": "OPS-7"}},
    ],
)
def test_a_link_of_a_type_that_is_not_evidence_is_ignored(other: dict[str, Any]) -> None:
    assert targets("link", issuelinks=[other]) == [frozenset()]


def test_only_the_first_of_many_links_are_read() -> None:
    others = [link("relates to", "OPS-1"), *(link("tests", f"OPS-{number}") for number in range(10, 500))]
    assert targets("link", issuelinks=others) == [
        {Ref(f"jira:OPS-{number}") for number in range(10, 10 + MOST_TARGETS)}
    ]


def test_a_created_comment_is_observed() -> None:
    assert observe(commented("/experiment start", comment=comment("/experiment start", at(3)))) == [
        Observed("active", TICKET, at(3)),
        Commented(TICKET, at(3), "/experiment start", insider=None),
    ]


def test_the_payload_of_a_created_comment_contains_the_state_of_the_ticket() -> None:
    few = {"summary": "Cache answers", "issuetype": {"name": "Spike"}, "created": None}
    looks = seen(item_type="Spike")
    # The rules derive the team of a ticket from its component, or else from its project. If the event omits the
    # components, the observation omits the project too, so that the ticket keeps the team of its component.
    placeless = Observed("seen", looks.subject, looks.at, {k: v for k, v in looks.traits.items() if k != "project"})
    comment = Commented(TICKET, NOW, "Nice.", insider=None)
    assert observe(commented(issue=issue(**few))) == [placeless, ACTIVE, comment]
    assert observe(commented(issue=issue(**few, components=[]))) == [looks, ACTIVE, comment]
    assert item("created", CREATED) in observed(commented(issue=issue()))


@pytest.mark.parametrize("event", ["comment_deleted", "comment_unheard_of"])
def test_a_deleted_comment_is_not_a_command(event: str) -> None:
    assert observe(commented("/experiment start", event)) == [ACTIVE]


def test_an_edited_comment_is_observed_as_an_edit_whose_earlier_text_is_unknown() -> None:
    edited = Commented(TICKET, NOW, "/experiment start", insider=None, edited=True)
    assert observe(commented("/experiment start", "comment_updated")) == [ACTIVE, edited]
    more = {"issue_event_type_name": "issue_comment_edited", "comment": comment("/experiment start")}
    assert happened(updated(more=more)) == [ACTIVE, edited]


@pytest.mark.parametrize("event", ["comment_created", "comment_updated", "comment_deleted"])
def test_a_comment_without_its_ticket_is_ignored(event: str) -> None:
    nothing = Nothing("the comment does not name its ticket")
    assert observe(commented(event=event, issue=None)) == nothing
    assert observe({"webhookEvent": event}) == nothing


def test_the_comment_of_a_comment_event_may_be_empty_or_undated_or_missing() -> None:
    empty = [ACTIVE, Commented(TICKET, NOW, "", insider=None)]
    assert observe(commented(comment={})) == empty
    assert observe(commented(comment={"body": None, "created": None, "updated": None})) == empty
    assert observe(commented(comment=None)) == [ACTIVE]


@pytest.mark.parametrize("named", [{"issue_event_type_name": "issue_commented"}, {"issue_event_type_name": None}, {}])
def test_an_update_that_adds_a_comment_is_observed_as_a_comment(named: dict[str, Any]) -> None:
    assert happened(updated(more={**named, "comment": comment("/experiment start", at(3))})) == [
        Observed("active", TICKET, at(3)),
        Commented(TICKET, at(3), "/experiment start", insider=None),
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"issue_event_type_name": "issue_comment_deleted"},
        {"comment": comment("/experiment start", updated=written(at(6)))},
        {"comment": comment("/experiment start", created=None, updated=None)},
        {"webhookEvent": "jira:issue_unheard_of", "comment": comment("/experiment start")},
    ],
)
def test_an_update_without_a_new_comment_is_not_a_command(more: dict[str, Any]) -> None:
    assert happened(updated(more=more)) == [ACTIVE]


@pytest.mark.parametrize("block", ["code", "noformat", "quote", "code:java", "code:title=a.py|theme=b", "CODE"])
def test_text_in_a_code_or_quotation_block_of_a_comment_is_not_a_command(block: str) -> None:
    name = block.partition(":")[0]
    text = text_of(f"Before\n{{{block}}}\n/experiment start\n{{{name}}}\nafter")
    [command] = parse_commands(Commented(Ref("jira:ML-12"), at(3), text, insider=True))
    where = "a quotation" if name == "quote" else "a code block"
    assert (command.events, command.refusal.partition(" has")[0]) == ((), f"a command in {where}")
    assert [text.split()[0], text.split()[-1]] == ["Before", "after"]
    assert text_of(f"Before\n{{{block}}}\nmake test\n{{{name}}}\nafter").split() == ["Before", "after"]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("{code}make test", ""),
        ("a {quote}b", "a"),
        ("{code}a{code}b{code}c{code}d", "b d"),
        ("{quote}a{code}b{quote}c{code}d{quote}e", "e"),
        ("{noformat}a{code}b{noformat}c", "c"),
        ("{quote}a{noformat}b{quote}c", ""),
        ("{color:red}a{color} {panel}b{panel} {{c}}", "{color:red}a{color} {panel}b{panel} {{c}}"),
        ("{codex}a{codex}", "{codex}a{codex}"),
        ("a { code } b {code", "a { code } b {code"),
        ("a\r\nb", "a b"),
    ],
)
def test_a_block_in_a_comment_ends_at_the_same_place_as_in_jira(body: str, left: str) -> None:
    assert " ".join(text_of(body).split()) == left


def test_text_after_a_block_on_the_same_line_is_not_at_the_start_of_a_line() -> None:
    text = text_of("{quote}Start it?{quote}/experiment start\n/experiment share")
    assert [line.startswith("/") for line in text.splitlines()] == [False, True]


@pytest.mark.parametrize("piece", ["{code", "{code:", "{code:a", "{quote}", "{code}{quote}", "{", "{code:" + "a" * 99])
def test_a_long_comment_is_read_quickly(piece: str) -> None:
    assert len(text_of(piece * (1_000_000 // len(piece)))) <= 1_000_000


def node(kind: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "content": list(content), **more}


def words(text: str | None, *marks: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "marks": [{"type": mark} for mark in marks]}


def test_the_paragraphs_of_a_document_tree_are_read_without_code_blocks_and_quotations() -> None:
    tree = node(
        "doc",
        node("paragraph", words("/experiment "), words("start", "strong")),
        node("codeBlock", words("/experiment reopen")),
        node("blockquote", node("paragraph", words("/experiment share"))),
        node("bulletList", node("listItem", node("paragraph", words("one"), {"type": "hardBreak"}, words("two")))),
        node("paragraph", {"type": "mention", "attrs": {"text": "@Somebody"}}, words(" asked"), words(None)),
        node("paragraph", words("/experiment bold", "code")),
        {"type": "rule"},
        version=1,
    )
    covered = "\n\n\n    /experiment reopen\n\n\n\n\n> /experiment share\n\n\n"
    written = f"/experiment start{covered}one\ntwo\n asked\n`/experiment bold`"
    assert text_of(tree) == written
    commands = parse_commands(Commented(Ref("jira:ML-12"), at(3), written, insider=True))
    assert [len(command.events) for command in commands] == [1, 0, 0, 0]
    assert [command.refusal.partition(" has")[0] for command in commands[1:3]] == [
        "a command in a code block",
        "a command in a quotation",
    ]
    silent = node("doc", node("codeBlock", words("make test")), node("blockquote", node("paragraph", words("Why?"))))
    assert text_of(silent) == ""


def test_a_document_tree_is_read_to_a_limited_depth_and_length() -> None:
    deep = node("paragraph", words("too deep"))
    for _ in range(100):
        deep = node("panel", deep)
    assert text_of(deep) == ""
    assert len(text_of(node("doc", *[node("paragraph", words("a"))] * 5000)).splitlines()) == 1000


def test_a_document_tree_that_is_too_deep_is_unreadable() -> None:
    endless = b'{"content":[' * 50_000 + b"]}" * 50_000
    body = json.dumps(commented("TREE")).encode().replace(b'"TREE"', endless)
    with pytest.raises(UnreadableDelivery):
        observe(body)


def post_function(**more: Any) -> dict[str, Any]:
    """The payload that the post function of a workflow sends."""
    transition = {"transitionName": "Start", "from_status": "To Do", "to_status": "Doing"}
    start = {"transition": transition, "comment": "", "issue": issue(), "timestamp": milliseconds(NOW)}
    return {**start, **more}


def test_a_transition_in_a_workflow_is_observed() -> None:
    payload = post_function(issue=issue(status=status("Doing", "indeterminate")))
    assert observe(payload) == [
        seen(),
        item("created", CREATED),
        item("moved", status_from="To Do", status_to="Doing", category_to="in progress"),
    ]


def test_a_transition_tells_since_when_the_status_has_its_category() -> None:
    fields = {"status": status("Doing", "indeterminate"), "statuscategorychangedate": written(at(2))}
    assert item("started", at(2), status_to="Doing") in happened(post_function(issue=issue(**fields)))


def test_a_transition_has_a_category_only_if_the_payload_shows_the_entered_status() -> None:
    payload = post_function(issue=issue(status=status("To Do", "new")))
    assert happened(payload) == [item("moved", status_from="To Do", status_to="Doing")]


@pytest.mark.parametrize("event", ["sprint_started", "worklog_created", "project_role_added", "jira:version_released"])
def test_an_unused_event_is_ignored_whatever_its_fields(event: str) -> None:
    payload = {"webhookEvent": event, "timestamp": "whenever", "issue": 1, "comment": [], "changelog": ""}
    assert observe(payload) == Nothing(f"Jira's `{event}` events say nothing about experiments")


@pytest.mark.parametrize("event", ["issuelink_created", "issuelink_deleted"])
def test_the_event_of_a_link_is_ignored_because_it_names_tickets_by_their_ids_alone(event: str) -> None:
    kind = {"id": 10201, "name": "Tests", "outwardName": "tests", "inwardName": "is tested by"}
    link = {"id": 10101, "sourceIssueId": 10042, "destinationIssueId": 10043, "issueLinkType": kind}
    said = observe({"webhookEvent": event, "timestamp": milliseconds(NOW), "issueLink": link})
    assert said == Nothing(
        "the link names its tickets by their ids alone; the next delivery about a ticket has its links"
    )


def with_issue(**issue: Any) -> dict[str, Any]:
    return {**updated(), "issue": issue}


@pytest.mark.parametrize(
    "key", ["", "ML", "ML-", "-12", "12-ML", "ML 12", "ML-1٤", "\u017fML-1", "ML-12\n", "M" * 999 + "-1"]
)
def test_the_error_for_a_malformed_key_names_its_path_and_does_not_show_the_key(key: str) -> None:
    with pytest.raises(UnreadableDelivery) as unreadable:
        observe(with_issue(key=key))
    assert str(unreadable.value) == "a field is malformed: expected a key such as ML-12 - at `$.issue.key`"


def test_a_very_long_changelog_is_read_quickly() -> None:
    changes = [changed("resolution", None, "Fixed"), changed("status", "Open", "Done")] * 10_000
    assert len(happened(updated(*changes))) == 100
    assert len(happened(updated(*[changed("resolution", None, "Fixed")] * 20_000))) == 1


@pytest.mark.skipif(not PAYLOADS, reason="the corpus of real payloads is not installed beside the repository")
def test_a_published_payload_is_ignored_only_if_it_has_no_ticket() -> None:
    for payload in PAYLOADS:
        said = observe(payload)
        assert isinstance(said, Nothing) == ("issue" not in payload)

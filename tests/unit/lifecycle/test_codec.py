"""The stored form of lifecycle events is stable, and the id of an event depends only on its content."""

from typing import Any, get_args
from uuid import UUID

import pytest

from service.lifecycle.codec import KINDS, data_of, event_id, kind_of, read_event
from service.lifecycle.errors import UnreadableEvent
from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from tests.support.builders import at

ITEM = Ref("github:acme/app#45")

PINNED: list[tuple[LifecycleEvent, str, dict[str, Any], str]] = [
    (Proposed(ITEM, at(1)), "proposed", {}, "280855b8-248c-81b8-a33e-e9d69489fea7"),
    (Started(ITEM, at(1)), "started", {}, "dcad73f1-6855-8a1a-98c2-08b8dae36c39"),
    (
        Signalled(ITEM, at(1), "failure"),
        "signalled",
        {"result": "failure"},
        "d12322af-5f34-89b6-a516-e0c95b6e6d3c",
    ),
    (Concluded(ITEM, at(1), None), "concluded", {}, "edd2f43d-42e8-85d7-90af-2144cb1e2865"),
    (
        Concluded(ITEM, at(1), Outcome.WORKED),
        "concluded",
        {"outcome": "worked"},
        "ac276510-beb6-8bdb-95b6-0a51240f2882",
    ),
    (Reopened(ITEM, at(1)), "reopened", {}, "267e6162-17c4-874e-966a-5797296bb5bc"),
    (
        Declared(ITEM, at(1), "outcome", "failed", "label"),
        "declared",
        {"field": "outcome", "value": "failed", "channel": "label"},
        "b4ab4be3-4733-8c18-a502-57a576b8d1be",
    ),
    (
        Declared(ITEM, at(1), "outcome", "failed", "label", overheard=True),
        "declared",
        {"field": "outcome", "value": "failed", "channel": "label", "overheard": True},
        "ce333b66-ee47-8ed3-9826-32eec0339baa",
    ),
    (
        Withdrawn(ITEM, at(1), "outcome", "failed", "label"),
        "withdrawn",
        {"field": "outcome", "value": "failed", "channel": "label"},
        "f707f1d8-c647-827c-849e-86a674000be6",
    ),
    (
        Signalled(ITEM, at(1), "success", by_check=True),
        "signalled",
        {"result": "success", "by_check": True},
        "b910656c-8481-8e0e-bcb9-3670794b77e4",
    ),
    (Shipped(ITEM, at(1)), "shipped", {}, "0413bda9-a2c2-89a5-9d7e-c4aafa914491"),
    (Active(ITEM, at(1)), "active", {}, "5697774d-d744-85b2-bf78-b17d3612b8f7"),
    (Started(ITEM, at(1), commanded=True), "started", {"commanded": True}, "5ce9f050-5325-8177-95c1-5506d111bebd"),
    (
        Concluded(ITEM, at(1), Outcome.WORKED, commanded=True),
        "concluded",
        {"outcome": "worked", "commanded": True},
        "d9fde0f7-5757-8473-a0bc-c241e6a91ad1",
    ),
    (Reopened(ITEM, at(1), commanded=True), "reopened", {"commanded": True}, "b2c26486-747d-81dd-a4d6-3dc77ecc8b23"),
    (
        Concluded(ITEM, at(1), status="done"),
        "concluded",
        {"status": "done"},
        "abfbf9c4-45f6-8d86-8f54-d8464ca1a5cd",
    ),
    (
        Concluded(ITEM, at(1), Outcome.ABANDONED, status="won't do"),
        "concluded",
        {"outcome": "abandoned", "status": "won't do"},
        "1452c95f-c404-8d64-8c39-973cf1af9fb7",
    ),
    (
        Refused(ITEM, at(1), "comment", "start takes no value"),
        "refused",
        {"channel": "comment", "reason": "start takes no value"},
        "c7631f97-7d15-8edf-ab67-1f110c224687",
    ),
    (
        Refused(ITEM, at(1), "label", "expected bold or safe", overheard=True, label="risk:blod"),
        "refused",
        {"channel": "label", "reason": "expected bold or safe", "label": "risk:blod", "overheard": True},
        "76b9c7b4-1448-89b6-9d96-7c2c59788066",
    ),
    (
        Refused(ITEM, at(1), "label", "expected bold or safe", label="risk:blod", removed=True),
        "refused",
        {"channel": "label", "reason": "expected bold or safe", "label": "risk:blod", "removed": True},
        "6fff82a7-2735-8e93-8f8f-418914e9a538",
    ),
    (Reopened(ITEM, at(1), left="done"), "reopened", {"left": "done"}, "a314591b-89fa-8062-922d-b7981b52bd00"),
    (Shown(ITEM, at(1)), "shown", {}, "0e925caf-d5af-83e2-8695-d0a141e74e18"),
    (
        Shown(ITEM, at(1), ("0a1b2c", "3d4e5f"), "", is_open=True, status="5"),
        "shown",
        {"labels": ["0a1b2c", "3d4e5f"], "item_type": "", "is_open": True, "status": "5"},
        "8766bd66-d5d5-8fd4-847d-5885561c82a8",
    ),
    (
        Shown(ITEM, at(1), (), is_open=False),
        "shown",
        {"labels": [], "is_open": False},
        "47f33a45-552f-8b3c-88ff-8380b30f3d5b",
    ),
]
EVENTS = [event for event, _, _, _ in PINNED]


@pytest.mark.parametrize(("event", "kind", "data", "pinned"), PINNED)
def test_the_stored_form_of_an_event_never_changes(
    event: LifecycleEvent, kind: str, data: dict[str, Any], pinned: str
) -> None:
    assert kind_of(event) == kind
    assert data_of(event) == data
    assert event_id(event) == UUID(pinned)


@pytest.mark.parametrize("event", EVENTS)
def test_a_stored_event_is_read_back_unchanged(event: LifecycleEvent) -> None:
    assert read_event(kind_of(event), event.subject, event.occurred_at, data_of(event)) == event


def test_every_kind_of_event_has_its_own_stored_name() -> None:
    assert {kind_of(event): type(event) for event in EVENTS} == KINDS
    assert set(KINDS.values()) == set(get_args(LifecycleEvent))


@pytest.mark.parametrize("event", EVENTS)
def test_the_id_of_an_event_is_a_custom_uuid_of_version_8(event: LifecycleEvent) -> None:
    assert event_id(event).version == 8
    assert event_id(event).variant == "specified in RFC 4122"


def test_events_that_differ_in_any_field_have_different_ids() -> None:
    other = Ref("github:acme/app#46")
    events: list[LifecycleEvent] = [
        *EVENTS,
        Proposed(other, at(1)),
        Proposed(ITEM, at(1, "09:00:01")),
        Signalled(ITEM, at(1), "success"),
        Concluded(ITEM, at(1), Outcome.FAILED),
        Concluded(ITEM, at(1), status="closed"),
        Reopened(ITEM, at(1), left="closed"),
        Declared(ITEM, at(1), "team", "failed", "label"),
        Declared(ITEM, at(1), "outcome", "worked", "label"),
        Declared(ITEM, at(1), "outcome", "failed", "comment"),
        Withdrawn(ITEM, at(1), "outcome", "failed", "comment"),
    ]
    assert len({event_id(event) for event in events}) == len(events)


@pytest.mark.parametrize("status", ["done", "Won't Do", "Erledigt ✓", "\ud800", " "])
@pytest.mark.parametrize("commanded", [False, True])
def test_an_event_is_read_back_with_the_status_that_was_entered_or_left(status: str, commanded: bool) -> None:
    events: list[LifecycleEvent] = [
        Concluded(ITEM, at(1), Outcome.WORKED, commanded, status),
        Reopened(ITEM, at(1), commanded, status),
    ]
    for event in events:
        assert read_event(kind_of(event), event.subject, event.occurred_at, data_of(event)) == event


def test_an_event_stored_before_events_had_statuses_is_read_without_a_status() -> None:
    assert read_event("concluded", ITEM, at(1), {"outcome": "worked"}) == Concluded(ITEM, at(1), Outcome.WORKED)
    assert read_event("reopened", ITEM, at(1), {}) == Reopened(ITEM, at(1))


def test_equal_events_have_the_same_id() -> None:
    first, second = (Declared(ITEM, at(1), "title", "Büro \ud800", "item") for _ in range(2))
    assert first is not second
    assert event_id(first) == event_id(second)


def test_an_event_of_an_unknown_kind_is_unreadable_and_the_error_names_the_kind() -> None:
    with pytest.raises(UnreadableEvent, match=r"kind 'pivoted' on github:acme/app#45: unknown to this version"):
        read_event("pivoted", ITEM, at(1), {})


@pytest.mark.parametrize(
    ("kind", "data", "complaint"),
    [
        ("signalled", {}, "result"),
        ("signalled", {"result": "maybe"}, "maybe"),
        ("concluded", {"outcome": "splendid"}, "splendid"),
        ("concluded", {"status": 5}, "status"),
        ("reopened", {"left": None}, "left"),
        ("declared", {"field": "mood", "value": "good", "channel": "label"}, "mood"),
        ("declared", {"field": "team", "value": 7, "channel": "label"}, "value"),
        ("withdrawn", {"field": "team", "value": "search", "channel": "smoke"}, "smoke"),
    ],
)
def test_an_event_with_unknown_data_is_unreadable_and_the_error_names_the_data(
    kind: str, data: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UnreadableEvent, match=complaint):
        read_event(kind, ITEM, at(1), data)

"""Add: one lifecycle event by hand, kept in the inbox like any delivery, unless it cannot be."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Nothing, Stated
from service.lifecycle.errors import UnknownSubject
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.plausibility import find_contradiction
from service.lifecycle.references import Ref, experiment_id
from service.pipeline.receive import DeliveryWriter
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.providers.cloudevents import BY_HAND, STRUCTURED, CloudEvents, InvalidEvent, separate
from service.queries.experiments import explain_absence
from service.queries.explain import find_subject
from service.storage import inbox_listing
from service.storage.database import Connection, Database

_TYPE = "dev.loopgauge.experiment."
_DIGEST = "content-digest"
_MARKING = "proposed"
_FIELDS = {"time": "occurred_at"}


class ImplausibleEvent(Exception):
    """The experiment cannot have such an event; the message says why."""


class KeyReused(Exception):
    """This Idempotency-Key came before with another request for this experiment."""


@dataclass(frozen=True, slots=True)
class ManualEvent:
    """One event by hand.

    Attributes:
        event: what it states, as behind `dev.loopgauge.experiment.`.
        occurred_at: when it happened; None for when it was received.
        data: what it says besides, as in a CloudEvent of ours.
        key: two requests for an experiment with the same one are the same.
    """

    event: str
    occurred_at: datetime | None
    data: Mapping[str, str]
    key: str


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """What became of an event by hand: its delivery, and whether it was new."""

    delivery: UUID
    status: Literal["stored", "duplicate"]


async def record_manual_event(
    database: Database, receiver: DeliveryWriter, named: str, by_hand: ManualEvent, now: datetime
) -> RecordedEvent:
    """Keep an event of an experiment, or one that proposes it; returns once it is on disk.

    What was acknowledged a moment ago may not be interpreted yet: the experiment is judged by what is committed.

    Args:
        named: the experiment's id, or its reference under any of its names.

    Raises:
        UnknownSubject: there is no such experiment, and nothing proposes it.
        BadReference: it is neither an id nor a reference.
        InvalidEvent: a field is malformed, or the time is ahead of us.
        Impossible: the experiment cannot have it.
        KeyReused: the key came before with something else.
        DatabaseUnavailable: it could not be made durable.
    """
    subject = await find_subject(database, named)
    async with database.read_transaction() as connection:
        around = await read_surroundings(connection, [subject])
        root = around.newest(subject)
        delivery = _delivery(root, by_hand, now)
        # Before anything else: what has come before may have made it what it is now.
        if await _came_before(connection, delivery):
            return RecordedEvent(delivery.id, "duplicate")
    if why := _says_nothing(by_hand):
        raise ImplausibleEvent(why)
    if root in around.roots:
        _check(around, root, delivery)
    elif by_hand.event != _MARKING:
        raise UnknownSubject(explain_absence(named, around))
    status = await receiver.store(delivery)
    if status != "duplicate":
        return RecordedEvent(delivery.id, "stored")
    async with database.transaction() as connection:
        await _came_before(connection, delivery)
    return RecordedEvent(delivery.id, "duplicate")


def _delivery(root: Ref, by_hand: ManualEvent, now: datetime) -> Delivery:
    """The delivery that the event becomes: a CloudEvent, as if it had been posted."""
    event = {
        "specversion": "1.0",
        "id": f"{experiment_id(root)} {by_hand.key}",
        "source": BY_HAND,
        "type": f"{_TYPE}{by_hand.event}",
        "subject": root,
        **({"time": by_hand.occurred_at.astimezone(UTC)} if by_hand.occurred_at is not None else {}),
        "data": dict(sorted(by_hand.data.items())),
    }
    body = msgspec.json.encode(event)
    headers = {"content-type": STRUCTURED}
    try:
        [envelope] = separate(headers, body, now)
    except InvalidEvent as error:
        raise InvalidEvent(_FIELDS.get(error.field, error.field.removeprefix("data.")), error.problem) from error
    # It outlives the body, so that a key that comes again can be told from one that is used anew.
    digest = f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"
    return Delivery(
        CloudEvents.name, CloudEvents.name, envelope.provider_id, {**envelope.headers, _DIGEST: digest}, body, now
    )


async def _came_before(connection: Connection, delivery: Delivery) -> bool:
    found = await inbox_listing.read_delivery(connection, delivery.id)
    if found is None:
        return False
    row, headers, _ = found
    if headers.get(_DIGEST) != delivery.headers[_DIGEST]:
        received = f"{row.received_at:%Y-%m-%dT%H:%M:%SZ}"
        raise KeyReused(
            f"this Idempotency-Key came with another request for this experiment, which was received at {received} and "
            f"is delivery {row.id}; take a new key for a new event"
        )
    return True


def _check(around: Surroundings, root: Ref, delivery: Delivery) -> None:
    if why := find_contradiction(_stated(delivery), lambda more: around.with_events(root, more).fold(root)):
        raise ImplausibleEvent(why)


def _says_nothing(by_hand: ManualEvent) -> str:
    if by_hand.event == "classified" and "failure_category" not in by_hand.data:
        return "a classification needs failure_category: intelligent, basic or complex"
    if by_hand.event == "signalled" and "result" not in by_hand.data:
        return "a signal needs result: success or failure"
    if "result" in by_hand.data and by_hand.event != "signalled":
        return "only a signal has a result"
    if by_hand.event == "described" and not any(value.strip() for value in by_hand.data.values()):
        return "a description needs something that it says: title, url, team or risk"
    return ""


def _stated(delivery: Delivery) -> Collection[LifecycleEvent]:
    said = CloudEvents().observe(delivery)
    observations = () if isinstance(said, Nothing) else said
    return [event for one in observations if isinstance(one, Stated) for event in one.events]

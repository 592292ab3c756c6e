"""Manual events: check a lifecycle event that a person adds, and store it like any delivery."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Nothing, Stated
from service.lifecycle.acts import ACTS, ActName
from service.lifecycle.errors import UnknownSubject
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.plausibility import find_contradiction
from service.lifecycle.references import Ref, experiment_id
from service.pipeline.receive import DeliveryWriter
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.providers import CLOUD_EVENTS
from service.providers.cloudevents import BY_HAND, STRUCTURED, InvalidEvent
from service.queries.experiments import explain_absence
from service.queries.subjects import find_in
from service.storage import inbox_listing
from service.storage.database import Connection, Database

_TYPE = "dev.loopgauge.experiment."
_DIGEST = "content-digest"
_MARKING = "proposed"
_FIELDS = {"time": "occurred_at"}


class ImplausibleEvent(Exception):
    """The event contradicts the experiment; the message says how."""


class KeyReused(Exception):
    """Another request for this experiment used this Idempotency-Key before."""


@dataclass(frozen=True, slots=True)
class ManualEvent:
    """An event that a person adds.

    Attributes:
        event: the type of the CloudEvent, without the prefix `dev.loopgauge.experiment.`.
        occurred_at: when the event happened; None for the time of receipt.
        data: the data of the CloudEvent.
        key: the idempotency key. A request that repeats an earlier request for the same experiment with the same key
            records no second event. A different request for this experiment with this key is refused.
    """

    event: ActName
    occurred_at: datetime | None
    data: Mapping[str, str]
    key: str


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The delivery of a manual event, and whether the delivery is new."""

    delivery: UUID
    status: Literal["stored", "duplicate"]


async def record_manual_event(
    database: Database, writer: DeliveryWriter, named: str, manual: ManualEvent, now: datetime
) -> RecordedEvent:
    """Record an event that changes or proposes an experiment, and return once the event is on disk.

    The event is checked for contradictions with committed events only, not with deliveries that are still pending.

    Args:
        named: the experiment's id, an old or new name of its root, or its address or a short form of its name.

    Raises:
        UnknownSubject: there is no such experiment, and the event does not propose it.
        AmbiguousReference: `named` means several stored subjects.
        BadReference: `named` has none of the accepted forms.
        InvalidEvent: a field is malformed, or the time lies in the future.
        ImplausibleEvent: the event contradicts the experiment.
        KeyReused: another request used the key before.
        DatabaseUnavailable: the event could not be made durable.
    """
    async with database.read_transaction() as connection:
        subject = await find_in(connection, named, is_new=manual.event == _MARKING)
        surroundings = await read_surroundings(connection, [subject])
        root = surroundings.canonical(subject)
        delivery = _delivery(root, surroundings.aliases.qualified(root), manual, now)
        # Look for a duplicate first: the check for contradictions would otherwise compare a repeated event with itself.
        if await _is_duplicate(connection, delivery):
            return RecordedEvent(delivery.id, "duplicate")
        if root not in surroundings.roots and manual.event != _MARKING:
            raise UnknownSubject(await explain_absence(connection, subject, surroundings))
    if why := _find_gap(manual):
        raise ImplausibleEvent(why)
    if root in surroundings.roots:
        _check_plausible(surroundings, root, delivery)
    status = await writer.store(delivery)
    if status != "duplicate":
        return RecordedEvent(delivery.id, "stored")
    async with database.transaction() as connection:
        await _is_duplicate(connection, delivery)
    return RecordedEvent(delivery.id, "duplicate")


def _delivery(root: Ref, subject: Ref, manual: ManualEvent, now: datetime) -> Delivery:
    """The delivery of a manual event: a CloudEvent, as if a client had sent it to POST /events.

    Args:
        subject: the name of the root that means it for good, because another subject may get its newest name later.
    """
    event = {
        "specversion": "1.0",
        "id": f"{experiment_id(root)} {manual.key}",
        "source": BY_HAND,
        "type": f"{_TYPE}{manual.event}",
        "subject": subject,
        **({"time": manual.occurred_at.astimezone(UTC)} if manual.occurred_at is not None else {}),
        "data": dict(sorted(manual.data.items())),
    }
    body = msgspec.json.encode(event)
    headers = {"content-type": STRUCTURED}
    try:
        [envelope] = CLOUD_EVENTS.separate(headers, body, now)
    except InvalidEvent as error:
        raise InvalidEvent(_FIELDS.get(error.field, error.field.removeprefix("data.")), error.problem) from error
    # The digest is kept longer than the body. The digest distinguishes a repeated request from a different request with
    # the same key.
    digest = f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"
    return Delivery(
        CLOUD_EVENTS.name, CLOUD_EVENTS.name, envelope.provider_id, {**envelope.headers, _DIGEST: digest}, body, now
    )


async def _is_duplicate(connection: Connection, delivery: Delivery) -> bool:
    found = await inbox_listing.read_delivery(connection, delivery.id)
    if found is None:
        return False
    row, headers, _ = found
    if headers.get(_DIGEST) != delivery.headers[_DIGEST]:
        received = f"{row.received_at:%Y-%m-%dT%H:%M:%SZ}"
        raise KeyReused(
            f"this Idempotency-Key belongs to another request for this experiment, received at {received} as delivery "
            f"{row.id}; use a new key for a new event"
        )
    return True


def _check_plausible(surroundings: Surroundings, root: Ref, delivery: Delivery) -> None:
    if why := find_contradiction(_events_of(delivery), lambda more: surroundings.with_events(root, more).fold(root)):
        raise ImplausibleEvent(why)


def _find_gap(manual: ManualEvent) -> str:
    """Say which data the event lacks or must not have, or return an empty string."""
    act = ACTS[manual.event]
    if lacking := act.missing("api", manual.data):
        return f"the event {manual.event} needs {lacking.name}: {lacking.expects}"
    if "result" in manual.data and manual.event != "signalled":
        return "only a signal has a result"
    if manual.event == "described" and not any(value.strip() for value in manual.data.values()):
        return f"the event described needs {_list(argument.name for argument in act.arguments)}"
    return ""


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"a {', '.join(first)} or {last}"


def _events_of(delivery: Delivery) -> Collection[LifecycleEvent]:
    observed = CLOUD_EVENTS.observe(delivery)
    observations = () if isinstance(observed, Nothing) else observed
    return [event for observation in observations if isinstance(observation, Stated) for event in observation.events]

"""CloudEvents: the interface for any tool, and for any pipeline that can run curl.

Events of type `dev.loopgauge.experiment.*` need no rule. Events of any other type are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import (
    STANDARD_HEADERS,
    STANDARD_WEBHOOKS,
    SecurityScheme,
    SignatureRefused,
    check_standard_webhooks,
)
from service.lifecycle.readings import ReferenceReader
from service.lifecycle.references import ReferenceGrammar
from service.providers.cloudevents.format import (
    ATTRIBUTE,
    ATTRIBUTES,
    BATCHED,
    MOST_EVENTS,
    STRUCTURED,
    InvalidEvent,
    NoCloudEvent,
    Part,
    media_type,
    parts,
    read_event,
)
from service.providers.cloudevents.statements import BY_HAND, observations_of

__all__ = [
    "BATCHED",
    "BY_HAND",
    "MOST_EVENTS",
    "STRUCTURED",
    "CloudEvents",
    "Envelope",
    "InvalidEvent",
    "NoCloudEvent",
]

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event of a request, to be stored as a delivery: the event's headers, bytes and idempotency key."""

    headers: Mapping[str, str]
    body: bytes
    provider_id: str


class CloudEvents:
    """CloudEvents, signed as Standard Webhooks if they are sent without a bearer token.

    The signature covers the body and the headers `webhook-id` and `webhook-timestamp`. In binary mode the event's
    attributes are other headers, so they would not be signed. A signature therefore admits the structured and the
    batched mode only.

    Args:
        references: reads the references in events.
    """

    name: ClassVar[str] = "cloudevents"
    references: ClassVar[ReferenceGrammar | None] = None
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", *(ATTRIBUTE + name for name in ATTRIBUTES)})
    event_name: ClassVar[EventName] = EventName(header="ce-type", name=("type",))
    proof_headers: ClassVar[frozenset[str]] = STANDARD_HEADERS
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = STANDARD_WEBHOOKS

    def __init__(self, references: ReferenceReader) -> None:
        self._references = references

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        check_standard_webhooks(headers, body, secrets, now)
        if media_type(headers.get("content-type")) not in (STRUCTURED, BATCHED):
            raise SignatureRefused(
                "a signature does not cover the headers with the attributes of an event in binary mode; send "
                f"{STRUCTURED} or {BATCHED}, or use the write token"
            )

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002 - no signed header contains an id
        # With an id from headers that are not signed, a copy could take the id of an event that is still to come.
        return content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        return delivery.body

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        observations: list[Observation] = []
        foreign: dict[str, None] = {}
        try:
            for part in parts(delivery.headers, delivery.body):
                with _located(part):
                    event = read_event(part)
                    stated = observations_of(event, delivery.received_at, self._references)
                observations += stated or ()
                foreign |= {} if stated else {event.type: None}
        except NoCloudEvent as error:
            raise UnreadableDelivery(str(error)) from error
        if observations:
            return observations
        types = ", ".join(f"`{type_}`" for type_ in list(foreign)[:_MOST_NAMED])
        return Nothing(f"CloudEvents of type {types} say nothing about experiments" if foreign else "an empty batch")

    def separate(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Envelope]:
        """Split a request into events, and validate each event.

        Args:
            now: the current time. An event is refused if its time is later by more than the tolerance for clock skew.

        Raises:
            NoCloudEvent: the request contains no CloudEvent.
            InvalidEvent: one of the events is invalid.
            UnreadableDelivery: the content type is JSON, but the body is not.
        """
        envelopes = []
        for part in parts(headers, body):
            with _located(part):
                event = read_event(part)
                observations_of(event, now, self._references)
            kept = {name: value for name, value in part.headers.items() if name in self.kept_headers}
            # A source contains no white space, so no two pairs of source and id give the same text.
            envelopes.append(Envelope(kept, part.body, f"{event.source} {event.id}"))
        return envelopes


@contextmanager
def _located(part: Part) -> Iterator[None]:
    """In an error about an event of a batch, prefix the name of the field with the event's place: `[2].subject`."""
    try:
        yield
    except InvalidEvent as error:
        if part.place is None:
            raise
        field = f"[{part.place}].{error.field}" if error.field else f"[{part.place}]"
        raise InvalidEvent(field, error.problem) from error

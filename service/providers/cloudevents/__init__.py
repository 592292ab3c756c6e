"""CloudEvents, with types of our own: the way in for any tool, and for any pipeline that can run curl.

What a type of ours states stands without a rule; an event of any other type says nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import STANDARD_HEADERS, STANDARD_WEBHOOKS, SecurityScheme, check_standard_webhooks
from service.providers.cloudevents.format import (
    ATTRIBUTE,
    ATTRIBUTES,
    BATCHED,
    MOST_EVENTS,
    STRUCTURED,
    InvalidEvent,
    NoCloudEvent,
    Part,
    parts,
    read,
)
from service.providers.cloudevents.statements import BY_HAND, meaning

__all__ = [
    "BATCHED",
    "BY_HAND",
    "MOST_EVENTS",
    "STRUCTURED",
    "CloudEvents",
    "Envelope",
    "InvalidEvent",
    "NoCloudEvent",
    "separate",
]

_MOST_NAMED = 10


class CloudEvents:
    """CloudEvents, signed as Standard Webhooks where no token lets them in.

    The signature covers the body alone: in binary mode the event's attributes, which are headers, are taken as they
    come, as with every provider that names its event in a header.
    """

    name: ClassVar[str] = "cloudevents"
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", *(ATTRIBUTE + name for name in ATTRIBUTES)})
    proof_headers: ClassVar[frozenset[str]] = STANDARD_HEADERS
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = STANDARD_WEBHOOKS

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        check_standard_webhooks(headers, body, secrets, now)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        source, number = headers.get("ce-source"), headers.get("ce-id")
        return f"{source} {number}" if source and number else content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        return delivery.body

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        meant: list[Observation] = []
        foreign: dict[str, None] = {}
        try:
            for part in parts(delivery.headers, delivery.body):
                with _named(part):
                    event = read(part)
                    said = meaning(event, delivery.received_at)
                meant += said or ()
                foreign |= {} if said else {event.type: None}
        except NoCloudEvent as error:
            raise UnreadableDelivery(str(error)) from error
        if meant:
            return meant
        named = ", ".join(f"`{one}`" for one in list(foreign)[:_MOST_NAMED])
        return Nothing(f"CloudEvents of type {named} say nothing about experiments" if foreign else "an empty batch")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it is kept: the headers that it needs, its bytes, and what makes it the same event again."""

    headers: Mapping[str, str]
    body: bytes
    provider_id: str


def separate(headers: Mapping[str, str], body: bytes, now: datetime) -> list[Envelope]:
    """The events of a request, each by itself and each sound.

    Args:
        now: what is dated further ahead than clocks differ is refused.

    Raises:
        NoCloudEvent: the request carries none.
        InvalidEvent: one of them is not sound.
        UnreadableDelivery: the body is no JSON where it has to be.
    """
    envelopes = []
    for part in parts(headers, body):
        with _named(part):
            event = read(part)
            meaning(event, now)
        kept = {name: value for name, value in part.headers.items() if name in CloudEvents.kept_headers}
        # White space stands in no source, so no two pairs of source and id are written alike.
        envelopes.append(Envelope(kept, part.body, f"{event.source} {event.id}"))
    return envelopes


@contextmanager
def _named(part: Part) -> Iterator[None]:
    """Names the place within a batch in whatever is wrong with an event."""
    try:
        yield
    except InvalidEvent as error:
        if part.place is None:
            raise
        field = f"[{part.place}].{error.field}" if error.field else f"[{part.place}]"
        raise InvalidEvent(field, error.problem) from error

"""The stored form of a lifecycle event, and its id. The id is a hash of the event, so equal events have equal ids."""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, assert_never
from uuid import UUID

import msgspec

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

KINDS: Mapping[str, type[LifecycleEvent]] = {
    "proposed": Proposed,
    "started": Started,
    "signalled": Signalled,
    "concluded": Concluded,
    "reopened": Reopened,
    "shipped": Shipped,
    "active": Active,
    "declared": Declared,
    "withdrawn": Withdrawn,
    "refused": Refused,
    "shown": Shown,
}
"""The stored name of every kind of lifecycle event."""


_NAMES: Mapping[type[LifecycleEvent], str] = {event_type: name for name, event_type in KINDS.items()}


def kind_of(event: LifecycleEvent) -> str:
    """The stored name of the event's kind."""
    return _NAMES[type(event)]


def data_of(event: LifecycleEvent) -> dict[str, Any]:
    """The event's data as JSON values, without kind, subject and time. Keys with their default value are omitted."""
    match event:
        case Proposed() | Active():
            return {}
        case Started() | Shipped():
            return _command(event)
        case Reopened(left=left):
            return {**_command(event), **({"left": left} if left else {})}
        case Signalled(result=result, by_check=by_check):
            return {"result": result, **_command(event), **({"by_check": True} if by_check else {})}
        case Concluded(outcome=outcome, status=status):
            data = {**({} if outcome is None else {"outcome": outcome.value}), **({"status": status} if status else {})}
            return {**data, **_command(event)}
        case Declared(overheard=True):
            return {**_declaration(event), "overheard": True}
        case Declared() | Withdrawn():
            return _declaration(event)
        case Refused():
            return _refusal(event)
        case Shown():
            return _state(event)
        case _ as never:
            assert_never(never)


def _command(event: Started | Signalled | Concluded | Reopened | Shipped) -> dict[str, Any]:
    commanded = {"commanded": True} if event.commanded else {}
    return {**commanded, **({"across": list(event.across)} if event.across else {})}


def _declaration(event: Declared | Withdrawn) -> dict[str, Any]:
    data: dict[str, Any] = {"field": event.field, "value": event.value, "channel": event.channel}
    label = {"label": event.label} if event.label else {}
    return {**data, **label, **({"across": list(event.across)} if event.across else {})}


def _refusal(event: Refused) -> dict[str, Any]:
    data: dict[str, Any] = {"channel": event.channel, "reason": event.reason}
    named = {"label": event.label} if event.label else {}
    flags = {name: True for name in ("overheard", "removed") if getattr(event, name)}
    return {**data, **named, **flags}


def _state(event: Shown) -> dict[str, Any]:
    labels: dict[str, Any] = {} if event.labels is None else {"labels": list(event.labels)}
    known = {name: value for name in ("item_type", "is_open") if (value := getattr(event, name)) is not None}
    return {**labels, **known, **({"status": event.status} if event.status else {})}


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def event_id(event: LifecycleEvent) -> UUID:
    """The id of an event: a hash of its kind, subject, time and canonical data, as a UUID of version 8 (RFC 9562)."""
    statement = [kind_of(event), event.subject, event.occurred_at.isoformat(), data_of(event)]
    digest = bytearray(sha256(_canonical(statement).encode("utf-8", "surrogatepass")).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return UUID(bytes=bytes(digest))


def read_event(kind: str, subject: Ref, occurred_at: datetime, data: Mapping[str, Any]) -> LifecycleEvent:
    """Read a stored event.

    Raises:
        UnreadableEvent: this version of loopgauge does not know the kind, or cannot read the data.
    """
    event_type = KINDS.get(kind)
    if event_type is None:
        raise UnreadableEvent(f"lifecycle event of kind {kind!r} on {subject}: unknown to this version of loopgauge")
    try:
        return msgspec.convert({"subject": subject, "occurred_at": occurred_at, **data}, event_type)
    except msgspec.ValidationError as error:
        raise UnreadableEvent(f"lifecycle event of kind {kind!r} on {subject}: {error}") from error

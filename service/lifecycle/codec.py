"""How a lifecycle event is written down, and the id that makes the same statement the same event."""

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
    Reopened,
    Shipped,
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
}
"""Every kind of lifecycle event under the name that is stored."""


_NAMES: Mapping[type[LifecycleEvent], str] = {event_type: name for name, event_type in KINDS.items()}


def kind_of(event: LifecycleEvent) -> str:
    """The stored name of the event's kind."""
    return _NAMES[type(event)]


def data_of(event: LifecycleEvent) -> dict[str, Any]:
    """What the event says beside its kind, subject and time, as JSON values; absent means the default."""
    match event:
        case Proposed() | Shipped() | Active():
            return {}
        case Started(commanded=commanded):
            return {"commanded": True} if commanded else {}
        case Reopened(commanded=commanded, left=left):
            return {**({"commanded": True} if commanded else {}), **({"left": left} if left else {})}
        case Signalled(result=result):
            return {"result": result}
        case Concluded(outcome=outcome, commanded=commanded, status=status):
            said = {**({} if outcome is None else {"outcome": outcome.value}), **({"status": status} if status else {})}
            return {**said, "commanded": True} if commanded else said
        case Declared(overheard=True):
            return {**_declaration(event), "overheard": True}
        case Declared() | Withdrawn():
            return _declaration(event)
        case _ as never:
            assert_never(never)


def _declaration(event: Declared | Withdrawn) -> dict[str, Any]:
    stated = {"field": event.field, "value": event.value, "channel": event.channel}
    return {**stated, "label": event.label} if event.label else stated


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def event_id(event: LifecycleEvent) -> UUID:
    """The event's id: a hash of kind, subject, time and canonical data, as a custom UUID (RFC 9562, version 8)."""
    statement = [kind_of(event), event.subject, event.occurred_at.isoformat(), data_of(event)]
    digest = bytearray(sha256(_canonical(statement).encode("utf-8", "surrogatepass")).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return UUID(bytes=bytes(digest))


def read_event(kind: str, subject: Ref, occurred_at: datetime, data: Mapping[str, Any]) -> LifecycleEvent:
    """The event that was written down.

    Raises:
        UnreadableEvent: the kind or its data are not known to this version.
    """
    event_type = KINDS.get(kind)
    if event_type is None:
        raise UnreadableEvent(f"lifecycle event of kind {kind!r} on {subject}: unknown to this version of loopgauge")
    try:
        return msgspec.convert({"subject": subject, "occurred_at": occurred_at, **data}, event_type)
    except msgspec.ValidationError as error:
        raise UnreadableEvent(f"lifecycle event of kind {kind!r} on {subject}: {error}") from error

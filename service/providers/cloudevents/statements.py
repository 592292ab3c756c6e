"""The types `dev.loopgauge.experiment.*`, and the lifecycle events that a CloudEvent of each type states."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal, cast

import msgspec

from service.deliveries.decoding import utc
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Linked, Stated
from service.deliveries.signatures import TOLERANCE
from service.lifecycle.acts import ACTS, ActName, events_of, mark, propose
from service.lifecycle.errors import AmbiguousReference, BadReference
from service.lifecycle.events import EARLIEST, LifecycleEvent
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.fields import DATA_PROPERTIES, FIELDS, DataProperty, FieldName
from service.lifecycle.nearest import did_you_mean, suggest
from service.lifecycle.readings import ReferenceReader
from service.lifecycle.references import Ref
from service.providers.cloudevents.format import LONGEST, Event, InvalidEvent, decode, media_type

BY_HAND = "urn:loopgauge:by-hand"
"""The `source` attribute of manual events. Only the manual event `proposed` marks its subject as an experiment."""

_PREFIX = "dev.loopgauge.experiment."
_STATEMENTS: Mapping[str, ActName] = {_PREFIX + name: name for name in ACTS}
# Subjects with these prefixes are always evidence. For example, a pipeline sends events about a commit, and a commit is
# never an experiment.
_NEVER_MARKED = ("commit:", "branch:", "run:")
_PROPERTY = re.compile("[A-Za-z][A-Za-z0-9_-]{0,39}")
_MOST_NAMED = 10
# Two references have to fit into one entry of a PostgreSQL B-tree index, which has at most 2704 bytes.
_LONGEST_REFERENCE = 1000


class _Data(msgspec.Struct):
    """The properties of an event's data that declare no field. `EventData` adds the properties that declare fields.

    Attributes:
        links: the subjects that the event's subject is evidence for.
    """

    result: Literal["success", "failure"] | None = None
    links: Annotated[list[str], msgspec.Meta(max_length=MOST_TARGETS)] | None = None

    @property
    def declared(self) -> dict[FieldName, str]:
        """The values of the declared fields, in the form in which they are stored."""
        stated = ((name, getattr(self, data.name)) for name, data in DATA_PROPERTIES.items())
        normalised = ((name, FIELDS[name].normalise(value)) for name, value in stated if value is not None)
        return {name: value for name, value in normalised if value is not None}


def _type_of(data: DataProperty) -> Any:
    """The type to which msgspec decodes a property."""
    if data.choices:
        return cast("Any", Literal)[data.choices]
    return Annotated[str, msgspec.Meta(max_length=data.longest, pattern=data.pattern)]


EventData = cast(
    "type[_Data]",
    msgspec.defstruct(
        "EventData",
        [(data.name, _type_of(data) | None, None) for data in DATA_PROPERTIES.values()],
        bases=(_Data,),
    ),
)
"""The data of an event; every property is optional."""


def observations_of(
    event: Event, now: datetime, references: ReferenceReader
) -> tuple[Stated, *tuple[Linked, ...]] | None:
    """The observations of an event, or None if its type does not begin with `dev.loopgauge.experiment.`.

    Args:
        now: when the event was received. This is also the time of an event that has no time of its own.

    Raises:
        InvalidEvent: the type, the subject, the time or the data of the event is invalid.
    """
    if not event.type.startswith(_PREFIX):
        return None
    statement = _STATEMENTS.get(event.type)
    if statement is None:
        raise InvalidEvent("type", _describe_unknown(event.type))
    by_hand = event.source == BY_HAND
    # A manual event is about a subject that a lookup has found, perhaps in a form that earlier releases stored.
    subject = _stored(event.subject, references) if by_hand else _reference(event.subject, "subject", references)
    at, raw = _time(event, now), _raw_data(event)
    data = _data(raw)
    marks = _marks(event, statement, subject, at)
    stated = events_of(statement, subject, at, data.declared, channel="api", result=data.result or "success")
    said = Stated((*marks, *stated), tuple(_unread(raw)), by_hand=by_hand)
    return (said, *_linked(subject, at, data, references))


def _describe_unknown(type_: str) -> str:
    # Compare without the prefix, because the prefix alone makes any two types similar.
    nearest = suggest(type_.removeprefix(_PREFIX), ACTS)
    question = f"; did you mean {_PREFIX}{nearest}?" if nearest else ""
    return f"expected one of {', '.join(_STATEMENTS)}{question}"


def _reference(text: str | None, field: str, references: ReferenceReader) -> Ref:
    if text is None:
        raise InvalidEvent(field, "expected a reference, such as github:acme/app#45 or key:cache-answers")
    too_long = InvalidEvent(field, f"expected a reference of {_LONGEST_REFERENCE} bytes at most")
    if len(text) > LONGEST:
        raise too_long
    try:
        reference = references.settle(text)
    except (AmbiguousReference, BadReference) as error:
        raise InvalidEvent(field, str(error)) from error
    # The canonical form may be longer than the text that was sent.
    if len(reference.encode()) > _LONGEST_REFERENCE:
        raise too_long
    return reference


def _stored(text: str | None, references: ReferenceReader) -> Ref:
    """The subject of a manual event, whatever its scheme."""
    try:
        return references.parse(text or "")
    except BadReference as error:
        raise InvalidEvent("subject", str(error)) from error


def _time(event: Event, now: datetime) -> datetime:
    try:
        at = utc(event.time or now)
    except UnreadableDelivery as error:
        raise InvalidEvent("time", "the time is out of range") from error
    if at > now + TOLERANCE:
        raise InvalidEvent("time", "the time is more than five minutes ahead of the service's clock")
    if at < EARLIEST:
        raise InvalidEvent("time", "the time is before 1970")
    return at


def _raw_data(event: Event) -> bytes:
    """The data of an event as JSON; empty if the event has no data."""
    raw = bytes(event.data).strip()
    if event.data_base64 is not None:
        try:
            raw = base64.b64decode(event.data_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidEvent("data_base64", "expected base64") from error
    if raw in (b"", b"null"):
        return b""
    content_type = media_type(event.datacontenttype) or "application/json"
    if not content_type.endswith(("/json", "+json")):
        raise InvalidEvent("datacontenttype", f"expected application/json, got {content_type[:40]!r}")
    return raw


def _data(raw: bytes) -> _Data:
    data = decode(raw, EventData, "data") if raw else EventData()
    _check_team(data)
    outcome = data.declared.get("outcome", "failed")
    if "failure_category" in data.declared and outcome != "failed":
        problem = f"only a failed experiment has a failure category, and the outcome is {outcome}"
        raise InvalidEvent("data.failure_category", problem)
    return data


def _unread(raw: bytes) -> Iterator[str]:
    """Say which properties of the data are not read. A name that does not have the form of a property is left out."""
    names = decode(raw, dict[str, msgspec.Raw], "data") if raw else {}
    unknown = [name for name in names if name not in EventData.__struct_fields__]
    for name in islice(filter(_PROPERTY.fullmatch, unknown), _MOST_NAMED):
        question = did_you_mean(name, EventData.__struct_fields__)
        yield "; ".join(filter(None, (f"data.{name} is not a property of these events", question)))


def _check_team(data: _Data) -> None:
    """Refuse a team that consists of characters that are not shown, or that is shown as a reserved name."""
    team = getattr(data, DATA_PROPERTIES["team"].name)
    if team is not None and "team" not in data.declared:
        raise InvalidEvent("data.team", f"expected {FIELDS['team'].expects}")


def _marks(event: Event, statement: ActName, subject: Ref, at: datetime) -> Iterator[LifecycleEvent]:
    if subject.startswith(_NEVER_MARKED):
        return
    if event.source != BY_HAND:
        yield mark(subject, at, "api")
    elif statement == "proposed":
        yield from propose(subject, at, "api")


def _linked(subject: Ref, at: datetime, data: _Data, references: ReferenceReader) -> tuple[Linked, ...]:
    if data.links is None:
        return ()
    targets = {_reference(text, f"data.links[{place}]", references) for place, text in enumerate(data.links)}
    return (Linked(subject, "api", subject, frozenset(targets - {subject}), at),)

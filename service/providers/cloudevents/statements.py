"""The types `dev.loopgauge.experiment.*`, and the lifecycle events that a CloudEvent of each type states."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast, get_args

import msgspec

from service.deliveries.decoding import utc
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Linked, Stated
from service.deliveries.signatures import TOLERANCE
from service.lifecycle.errors import BadReference
from service.lifecycle.events import (
    EARLIEST,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Signalled,
    Started,
)
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.fields import DATA_PROPERTIES, FIELDS, DataProperty, FieldName
from service.lifecycle.references import Ref, ReferenceParser
from service.lifecycle.taxonomy import Outcome
from service.providers.cloudevents.format import LONGEST, Event, InvalidEvent, decode, media_type

ManualStatement = Literal[
    "proposed", "started", "signalled", "concluded", "classified", "shared", "reopened", "shipped", "described"
]
"""The statements that the API accepts as manual events."""

Statement = Literal[ManualStatement, "excluded"]
"""The last part of a CloudEvent's type, after `dev.loopgauge.experiment.`."""

BY_HAND = "urn:loopgauge:by-hand"
"""The `source` attribute of manual events. Only the manual event `proposed` marks its subject as an experiment."""

_PREFIX = "dev.loopgauge.experiment."
_STATEMENTS: Mapping[str, Statement] = {_PREFIX + name: name for name in get_args(Statement)}
# Subjects with these prefixes are always evidence. For example, a pipeline sends events about a commit, and a commit is
# never an experiment.
_NEVER_MARKED = ("commit:", "branch:", "run:")
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
    event: Event, now: datetime, references: ReferenceParser
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
        raise InvalidEvent("type", f"expected one of {', '.join(_STATEMENTS)}")
    subject = _reference(event.subject, "subject", references)
    at, data = _time(event, now), _data(event)
    marked = _marked(subject, at) if event.source != BY_HAND or statement == "proposed" else ()
    stated = (*marked, *_instants(statement, subject, at, data), *_declared(subject, at, data))
    return (Stated(stated), *_linked(subject, at, data, references))


def _reference(text: str | None, field: str, references: ReferenceParser) -> Ref:
    if text is None:
        raise InvalidEvent(field, "expected a reference, such as github:acme/app#45 or key:cache-answers")
    too_long = InvalidEvent(field, f"expected a reference of {_LONGEST_REFERENCE} bytes at most")
    if len(text) > LONGEST:
        raise too_long
    try:
        reference = references.parse(text.strip())
    except BadReference as error:
        raise InvalidEvent(field, str(error)) from error
    # The canonical form may be longer than the text that was sent.
    if len(reference.encode()) > _LONGEST_REFERENCE:
        raise too_long
    return reference


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


def _data(event: Event) -> _Data:
    raw = bytes(event.data).strip()
    if event.data_base64 is not None:
        try:
            raw = base64.b64decode(event.data_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidEvent("data_base64", "expected base64") from error
    if raw in (b"", b"null"):
        return EventData()
    content_type = media_type(event.datacontenttype) or "application/json"
    if not content_type.endswith(("/json", "+json")):
        raise InvalidEvent("datacontenttype", f"expected application/json, got {content_type[:40]!r}")
    data = decode(raw, EventData, "data")
    outcome = data.declared.get("outcome", "failed")
    if "failure_category" in data.declared and outcome != "failed":
        problem = f"only a failed experiment has a failure category, and the outcome is {outcome}"
        raise InvalidEvent("data.failure_category", problem)
    return data


def _marked(subject: Ref, at: datetime) -> Iterator[LifecycleEvent]:
    if not subject.startswith(_NEVER_MARKED):
        yield Declared(subject, at, "experiment", "true", "api")


def _instants(statement: Statement, subject: Ref, at: datetime, data: _Data) -> Iterator[LifecycleEvent]:
    match statement:
        case "proposed":
            yield Proposed(subject, at)
        case "started":
            yield Started(subject, at)
        case "signalled":
            yield Signalled(subject, at, data.result or "success")
        case "concluded":
            outcome = data.declared.get("outcome")
            yield Concluded(subject, at, Outcome(outcome) if outcome else None)
        case "reopened":
            yield Reopened(subject, at)
        case "shipped":
            yield Shipped(subject, at)
        case "shared" if "shared" not in data.declared:
            yield Declared(subject, at, "shared", "true", "api")
        case "excluded":
            yield Declared(subject, at, "excluded", "stated", "api")
        case "shared" | "classified" | "described":
            # `_declared` turns the data into declarations, and these types state nothing else.
            pass


def _declared(subject: Ref, at: datetime, data: _Data) -> Iterator[LifecycleEvent]:
    """The declarations in the data. An event of any type may declare any field, so one event can both conclude and
    share an experiment.
    """
    for field, value in data.declared.items():
        yield Declared(subject, at, field, value, "api")


def _linked(subject: Ref, at: datetime, data: _Data, references: ReferenceParser) -> tuple[Linked, ...]:
    if data.links is None:
        return ()
    targets = {_reference(text, f"data.links[{place}]", references) for place, text in enumerate(data.links)}
    return (Linked(subject, "api", subject, frozenset(targets - {subject}), at),)

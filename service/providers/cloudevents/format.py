"""The format of CloudEvents: split a structured, binary or batched request into events, and validate their attributes.

Source: the CloudEvents specification 1.0.2, its JSON format and its HTTP protocol binding.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import unquote_to_bytes

import msgspec

from service.deliveries.decoding import describe_mismatch, describe_non_json
from service.deliveries.delivery import UnreadableDelivery
from service.lifecycle.acts import OTHER_WORDS
from service.lifecycle.events import Result
from service.lifecycle.fields import DATA_PROPERTIES
from service.lifecycle.nearest import expected_one_of

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
MOST_EVENTS = 1000
"""The maximum number of events in one request."""
LONGEST = 2000
"""The maximum number of characters in an attribute."""

ATTRIBUTE = "ce-"
ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time")

_Printable = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
_Unspaced = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x20\x7f-\x9f]+$")]


class InvalidEvent(UnreadableDelivery):
    """A CloudEvent breaks a rule of the specification or of its type.

    Attributes:
        field: the path of the field, such as `subject` or `data.team`. In a batch the path begins with the event's
            place: `[2].subject`.
        problem: the description of the error.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class NoCloudEvent(Exception):
    """The request contains no CloudEvent in structured, binary or batched mode."""


class Event(msgspec.Struct):
    """An event with valid attributes."""

    specversion: Literal["1.0"]
    id: _Printable
    source: _Unspaced
    type: _Printable
    subject: _Printable | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str | None = None


# A body may contain millions of elements: decode the allowed number and one more, and skip all others.
_Batch = msgspec.defstruct(
    "_Batch", [(f"event_{place}", msgspec.Raw, msgspec.Raw()) for place in range(MOST_EVENTS + 1)], array_like=True
)


@dataclass(frozen=True, slots=True)
class Part:
    """One undecoded event of a request: its headers, its bytes, and its place if the request is a batch."""

    headers: Mapping[str, str]
    body: bytes
    place: int | None = None


def parts(headers: Mapping[str, str], body: bytes) -> Iterator[Part]:
    """The parts of a request, one for each event.

    Raises:
        NoCloudEvent: the request contains no CloudEvent.
        InvalidEvent: the batch is not an array, or contains too many events.
        UnreadableDelivery: the body is not JSON.
    """
    content_type = media_type(headers.get("content-type"))
    if content_type == BATCHED:
        if body.lstrip().startswith(b"{"):
            raise InvalidEvent("", f"the body is one event, not a batch; send it with the content type {STRUCTURED}")
        events = [event for event in map(bytes, msgspec.structs.astuple(decode(body, _Batch))) if event]
        if len(events) > MOST_EVENTS:
            raise InvalidEvent("", f"a batch has {MOST_EVENTS} events at most, and this batch has more")
        for place, event in enumerate(events):
            yield Part({"content-type": STRUCTURED}, event, place)
    elif content_type == STRUCTURED:
        # The attributes are in the body. Omit headers such as `ce-type`: lists of deliveries would show them, even if
        # they contradict the body.
        yield Part({"content-type": STRUCTURED}, body)
    elif ATTRIBUTE + "specversion" in headers:
        yield Part(headers, body)
    else:
        raise NoCloudEvent(
            f"expected content type {STRUCTURED} or {BATCHED}, or headers such as ce-specversion and ce-id"
        )


def read_event(part: Part) -> Event:
    """Decode the event of a part.

    Raises:
        InvalidEvent: an attribute is missing or malformed.
        UnreadableDelivery: the part is not JSON.
    """
    if media_type(part.headers.get("content-type")) == STRUCTURED:
        if part.body.lstrip().startswith(b"[") and part.place is None:
            raise InvalidEvent("", f"the body is a batch, not one event; send it with the content type {BATCHED}")
        return decode(part.body, Event)
    attributes: dict[str, Any] = {
        name: _unquoted(part.headers[ATTRIBUTE + name], name) for name in ATTRIBUTES if ATTRIBUTE + name in part.headers
    }
    try:
        event = msgspec.convert(attributes, Event)
    except msgspec.ValidationError as error:
        raise _invalid(error, "") from error
    event.datacontenttype = part.headers.get("content-type")
    event.data = msgspec.Raw(part.body)
    return event


def media_type(content_type: str | None) -> str:
    """A content type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def _unquoted(value: str, name: str) -> str:
    """Decode a header's value as the HTTP binding specifies: percent-encoded UTF-8, optionally in double quotes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeError as error:
        raise InvalidEvent(name, "expected UTF-8, percent-encoded") from error


_Decoded = TypeVar("_Decoded")


def decode(body: bytes, expected: type[_Decoded], within: str = "") -> _Decoded:
    """Decode JSON into a value of the expected type.

    Args:
        within: the path that errors show for this JSON, such as `data`; empty if the JSON is the whole body.

    Raises:
        InvalidEvent: a field is missing or malformed.
        UnreadableDelivery: the body is not JSON.
    """
    try:
        return msgspec.json.decode(body, type=expected)
    except msgspec.ValidationError as error:
        raise _invalid(error, within) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if within:
            raise InvalidEvent(within, f"the value is not JSON: {error}") from error
        raise UnreadableDelivery(describe_non_json(body, error)) from error


_MISSING = re.compile(r"missing required field `(\w+)`")
_WHERE = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_WRONG = re.compile(r"Invalid enum value ['\"](.*)['\"]", re.DOTALL)
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "result": get_args(Result),
    **{data.name: data.choices for data in DATA_PROPERTIES.values() if data.choices},
}
_EXPECTED: Mapping[str, str] = {
    "specversion": "expected 1.0",
    "source": f"expected a URI reference of {LONGEST} characters at most",
    "time": "expected a time as in RFC 3339, such as 2026-03-02T09:00:00Z",
    "result": "expected success or failure",
    **{data.name: f"expected {data.expects}" for data in DATA_PROPERTIES.values()},
}


def _invalid(error: msgspec.ValidationError, within: str) -> InvalidEvent:
    """Translate a decoder's error into the field's path and a description of the expected value."""
    text = str(error)
    where, missing = _WHERE.search(text), _MISSING.search(text)
    path = [within, where[1] if where else "", missing[1] if missing else ""]
    field = ".".join(part for part in path if part)
    problem = text[: where.start()] if where else text
    name = field.rpartition(".")[2]
    if missing:
        return InvalidEvent(field, "it is missing")
    wrong = _WRONG.fullmatch(problem)
    if wrong and name in _CHOICES:
        return InvalidEvent(field, expected_one_of(wrong[1], _CHOICES[name], OTHER_WORDS.get(name, {})))
    return InvalidEvent(field, _EXPECTED.get(name, describe_mismatch(problem)))

"""Decode the part of a payload that a provider needs, and convert its times to UTC. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Trait
from service.deliveries.repairs import fit, unix_time

Number = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
"""The number of an issue, or of a pull or merge request, within its project."""

_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
# A date and at least the hour and the minute, in the extended or in the basic form of ISO 8601.
_DATED = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:|[0-9]{8}[T ][0-9]{4})")
_OFFSET = re.compile(r"(?<=[0-9]) ?(?:UTC|Z|([+-][0-9]{2}):?([0-9]{2}))\Z")
_UNIX = re.compile(r"[0-9]{10}|[0-9]{13}")
_LONGEST_SHOWN = 50
_NUL = rb"\u0000"
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_Payload = TypeVar("_Payload")


class AnyObject(msgspec.Struct):
    """Any JSON object; its fields are skipped."""


def require_utf8(body: bytes) -> bytes:
    """Return the body if it is UTF-8: the JSON decoder does not check the encoding of the fields that it skips.

    Raises:
        UnreadableDelivery: the body is not UTF-8.
    """
    if body.startswith(_GZIP):
        raise UnreadableDelivery(describe_non_json(body, ""))
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableDelivery(f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
    return body


def decode(payload: bytes, expected: type[_Payload]) -> _Payload:
    """Decode the part of a JSON document that a type describes. Fields of other types than usual are repaired.

    NUL becomes U+FFFD, since PostgreSQL cannot store NUL in a text.

    Raises:
        UnreadableDelivery: the payload is not JSON, or a field is missing or malformed; the message says why.
    """
    if expected is not AnyObject:
        payload = _without_nul(payload)
    try:
        return msgspec.json.decode(payload, type=expected)
    except msgspec.ValidationError as error:
        return _repair(payload, expected, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDelivery(describe_non_json(payload, error)) from error


def decode_usual(payload: bytes, expected: type[_Payload]) -> _Payload | None:
    """Decode the part of a JSON document that a type describes, or return None if a field is missing or malformed.

    Raises:
        UnreadableDelivery: the payload is not JSON.
    """
    try:
        return msgspec.json.decode(_without_nul(payload), type=expected)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDelivery(describe_non_json(payload, error)) from error


def _without_nul(payload: bytes) -> bytes:
    # Without a backslash there is no escaped NUL to replace.
    return payload.replace(_NUL, rb"\ufffd") if b"\\" in payload else payload


def _repair(payload: bytes, expected: type[_Payload], first: msgspec.ValidationError) -> _Payload:
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # A field that the type does not describe is malformed, so the document cannot be repaired.
        raise _unreadable(first) from first
    try:
        return fit(document, expected)
    except msgspec.ValidationError as error:
        raise _unreadable(error) from error


def _unreadable(error: msgspec.ValidationError) -> UnreadableDelivery:
    return UnreadableDelivery(f"a field is missing or malformed: {describe_mismatch(str(error))}{_remark(error)}")


_TYPES: Mapping[str, str] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}
_NAMED = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")


def describe_mismatch(text: str) -> str:
    """Say in the words of JSON what the decoder, which names types of Python, expected and got.

    For example: "expected a whole number, got text - at `$.issue.number`".
    """
    problem, at, path = text.partition(" - at `")
    if problem.startswith("Expected"):
        problem = _NAMED.sub(_name_types, problem[0].lower() + problem[1:])
    return problem.removeprefix("Object ") + at + path


def _name_types(named: re.Match[str]) -> str:
    return " or ".join(_TYPES.get(name, name) for name in named[1].split(" | "))


def describe_non_json(body: bytes, error: Exception | str) -> str:
    """Say why a body cannot be read as JSON, and what to do if that is known.

    Args:
        error: the decoder's error, which is shown if nothing better is known.
    """
    if isinstance(error, RecursionError):
        return "the body cannot be read: its values are nested too deeply"
    if not body.strip():
        return "the body is not JSON: it is empty"
    if body.startswith(_GZIP):
        return "the body is not JSON: it is compressed with gzip; let the tool send it uncompressed"
    if body.startswith(_BYTE_ORDER_MARKS):
        return "the body is not JSON: it begins with a byte order mark; send UTF-8 without this mark"
    if body.startswith(b"payload="):
        return "the body is not JSON: it is a form; set the content type of the webhook to application/json"
    return f"the body is not JSON: {error}"


def _remark(error: msgspec.ValidationError) -> str:
    # If a field is wrong, the error ends with the path of the field. This error is about the document itself.
    is_batch = str(error) == "Expected `object`, got `array`"
    return "; the body is a batch, and a request to this source has one event" if is_batch else ""


def utc(at: datetime) -> datetime:
    """Convert a time to UTC. A time without an offset is taken as UTC.

    Raises:
        UnreadableDelivery: the time is out of range.
    """
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableDelivery(f"the time {at.isoformat()} is out of range") from error


def read_time(text: str, where: str) -> datetime:
    """Read a time in any form that a provider uses: ISO 8601, with an offset such as `+02:00`, `+0200`, `Z` or ` UTC`.

    The basic form, such as `20261129T120000Z`, and the seconds or milliseconds since 1970 are read too. A time without
    an offset is taken as UTC.

    Args:
        where: the field's path, for the error message.

    Raises:
        UnreadableDelivery: the text is not a time.
    """
    if _UNIX.fullmatch(text) and (at := unix_time(int(text))):
        return at
    offset = _OFFSET.search(text)
    bare = text[: offset.start()] if offset else text
    written = f"{offset[1]}:{offset[2]}" if offset and offset[1] else "+00:00"
    try:
        # A date alone is rejected: it has no time of day.
        return utc(datetime.fromisoformat(bare + written if _DATED.match(bare) else ""))
    except ValueError as error:
        raise UnreadableDelivery(f"a field is malformed: expected a time - at `{where}`") from error


def first_known(*times: datetime | None, where: str) -> datetime:
    """The first of several times that a payload tells.

    Args:
        where: the usual field of the time, for the error message.

    Raises:
        UnreadableDelivery: the payload tells none of the times.
    """
    known = next((time for time in times if time is not None), None)
    if known is None:
        raise UnreadableDelivery(f"a field is missing or malformed: missing required field `{where}`")
    return known


def from_unix(stamp: int, where: str) -> datetime:
    """Convert milliseconds since 1970 to a time, or seconds if only these give a time of this century or the next two.

    Raises:
        UnreadableDelivery: the number is out of range.
    """
    return unix_time(stamp) or from_milliseconds(stamp, where)


def from_milliseconds(stamp: int, where: str) -> datetime:
    """Convert milliseconds since 1970 to a time.

    Raises:
        UnreadableDelivery: the number is out of range.
    """
    try:
        return datetime.fromtimestamp(stamp / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        problem = "the number is out of range for a time"
        raise UnreadableDelivery(f"a field is malformed: {problem} - at `{where}`") from error


def is_commit(sha: str | None) -> bool:
    """Whether a text is the full hash of a Git commit. A hash of zeros means that there is no commit."""
    return sha is not None and _COMMIT.fullmatch(sha) is not None and set(sha) != {"0"}


def shorten(text: str) -> str:
    """Shorten a sender's text, so that a verdict's reason can quote it."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def traits(known: Mapping[Trait, str | None]) -> dict[Trait, tuple[str, ...]]:
    """The traits of an observation; empty traits are omitted."""
    return {trait: (value,) for trait, value in known.items() if value}

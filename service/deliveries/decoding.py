"""Reading payloads: partial decoding, and the times and names that providers write each in their own way. Pure.

Only what is needed is decoded. A missing field, or one of another type than expected, is named with its path.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Trait

Number = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
"""The number of an item or change within its project."""

_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:")
_OFFSET = re.compile(r"(?<=[0-9]) ?(?:UTC|Z|([+-][0-9]{2}):?([0-9]{2}))\Z")
_LONGEST_SHOWN = 50
_NUL = rb"\u0000"
_Payload = TypeVar("_Payload")


class AnyObject(msgspec.Struct):
    """Any JSON object, where none of its fields is used."""


def utf8(body: bytes) -> bytes:
    """A body that is text; the decoder does not look into the fields that it skips.

    Raises:
        UnreadableDelivery: it is not UTF-8.
    """
    # Most bodies are ASCII, which is seen several times faster.
    if body.isascii():
        return body
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableDelivery(f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
    return body


def decode(payload: bytes, expected: type[_Payload]) -> _Payload:
    """The part of a JSON document that a type describes; what PostgreSQL's texts cannot hold, NUL, comes as U+FFFD.

    Raises:
        UnreadableDelivery: it is not JSON, or what the type requires is missing or malformed; the message has the path.
    """
    # Where nothing is used, it does not matter what would come; where nothing is escaped, it cannot.
    if expected is not AnyObject and b"\\" in payload:
        payload = payload.replace(_NUL, rb"\ufffd")
    try:
        return msgspec.json.decode(payload, type=expected)
    except msgspec.ValidationError as error:
        raise UnreadableDelivery(f"a field is missing or malformed: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDelivery(f"the body is not JSON: {error}") from error


def utc(at: datetime) -> datetime:
    """A time in UTC; one without an offset is taken to be in UTC.

    Raises:
        UnreadableDelivery: it is out of range.
    """
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableDelivery(f"the time {at.isoformat()} is out of range") from error


def read_time(text: str, where: str) -> datetime:
    """A time in one of the forms that providers use: ISO 8601, with or without a colon in the offset, or `… UTC`.

    Args:
        where: the field's path, for the error.

    Raises:
        UnreadableDelivery: it is none.
    """
    offset = _OFFSET.search(text)
    bare = text[: offset.start()] if offset else text
    written = f"{offset[1]}:{offset[2]}" if offset and offset[1] else "+00:00"
    try:
        # A date alone tells no time of its day.
        return utc(datetime.fromisoformat(bare + written if _DATED.match(bare) else ""))
    except ValueError as error:
        raise UnreadableDelivery(f"a field is malformed: expected a time - at `{where}`") from error


def from_milliseconds(stamp: int, where: str) -> datetime:
    """The time that a number of milliseconds since 1970 stands for.

    Raises:
        UnreadableDelivery: it is out of range.
    """
    try:
        return datetime.fromtimestamp(stamp / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise UnreadableDelivery(f"a field is malformed: the number is no time - at `{where}`") from error


def is_commit(sha: str | None) -> bool:
    """Whether a text is the full hash of a Git commit, and not the one of zeros that stands for none."""
    return sha is not None and _COMMIT.fullmatch(sha) is not None and set(sha) != {"0"}


def short(text: str) -> str:
    """A sender's word as a reason may show it."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def traits(known: Mapping[Trait, str | None]) -> dict[Trait, tuple[str, ...]]:
    """The traits of an observation, without those that are not known."""
    return {trait: (value,) for trait, value in known.items() if value}

"""Cursors of paginated lists. A cursor is opaque: the client passes it back to get the next page."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

Position: TypeAlias = tuple[datetime, UUID]
"""The sort key of a page's last row: an instant, with the id as tie-break."""

INBOX_CURSOR = "[0-9]{1,16}-[0-9a-f]{32}"
"""The pattern of an inbox cursor: microseconds since 1970, and the delivery's id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class InvalidCursor(Exception):
    """The cursor does not belong to this list."""

    def __init__(self) -> None:
        super().__init__(
            "the cursor is not from this list with this sort and these filters; omit it to start at the first page"
        )


def encode_inbox_cursor(position: Position) -> str:
    received_at, delivery = position
    return f"{(received_at - _EPOCH) // _MICROSECOND}-{delivery.hex}"


def decode_inbox_cursor(cursor: str) -> Position:
    """Decode a cursor of the inbox.

    Raises:
        InvalidCursor: the cursor does not have the form of an inbox cursor.
    """
    if not re.fullmatch(INBOX_CURSOR, cursor):
        raise InvalidCursor
    received_at, _, delivery = cursor.partition("-")
    return _EPOCH + int(received_at) * _MICROSECOND, UUID(delivery)


def encode_list_cursor(query: str, position: Position) -> str:
    """Encode a cursor of the list of experiments.

    Args:
        query: a digest of the sort and the filters.
    """
    at, experiment = position
    return base64.urlsafe_b64encode(f"{query} {at.isoformat()} {experiment}".encode()).decode()


def decode_list_cursor(cursor: str, query: str) -> Position:
    """Decode a cursor of the list of experiments.

    Raises:
        InvalidCursor: the cursor is malformed, or is from a list with another sort or other filters.
    """
    try:
        encoded_query, at, experiment = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        position = datetime.fromisoformat(at).astimezone(UTC), UUID(experiment)
    except (ValueError, OverflowError) as error:
        raise InvalidCursor from error
    if encoded_query != query:
        raise InvalidCursor
    return position


EventPosition: TypeAlias = tuple[datetime, str, UUID]
"""The time, the subject and the id of an event, by which the events of an explanation are sorted."""


def encode_event_cursor(position: EventPosition) -> str:
    at, subject, event = position
    return base64.urlsafe_b64encode(f"{at.isoformat()} {event} {subject}".encode()).decode()


def decode_event_cursor(cursor: str) -> EventPosition:
    """Decode a cursor of the events of an explanation.

    Raises:
        InvalidCursor: the cursor is malformed.
    """
    try:
        at, event, subject = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ", 2)
        return datetime.fromisoformat(at).astimezone(UTC), subject, UUID(event)
    except (ValueError, OverflowError) as error:
        raise InvalidCursor from error

"""Timestamps in query parameters: RFC 3339 with an offset."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _require_rfc_3339(value: object) -> object:
    """Reject numbers: pydantic would read them as seconds since 1970 or, if large, as milliseconds."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("expected an RFC 3339 timestamp, such as 2026-03-01T00:00:00Z")
    return value


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_require_rfc_3339),
    Field(ge=_EARLIEST, lt=_LATEST, examples=["2026-03-01T00:00:00Z"]),
]
"""A time between 1970 and 3000."""

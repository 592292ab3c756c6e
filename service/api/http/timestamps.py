"""Timestamps in query parameters: RFC 3339 with an offset."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from service.lifecycle.events import EARLIEST, LATEST

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _require_rfc_3339(value: object) -> object:
    """Reject numbers: pydantic would read them as seconds since 1970 or, if large, as milliseconds."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("expected an RFC 3339 timestamp, such as 2026-03-01T00:00:00Z")
    return value


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_require_rfc_3339),
    Field(ge=EARLIEST, lt=LATEST, examples=["2026-03-01T00:00:00Z"]),
]
"""A time between 1970 and 3000."""

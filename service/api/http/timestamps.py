"""Times in queries: RFC 3339, with an offset, as in what is answered."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _written(value: object) -> object:
    """A number would be taken for seconds, or for milliseconds where it is large."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("expected a time as in RFC 3339, such as 2026-03-01T00:00:00Z")
    return value


Timestamp = Annotated[
    AwareDatetime, BeforeValidator(_written), Field(ge=_EARLIEST, lt=_LATEST, examples=["2026-03-01T00:00:00Z"])
]
"""A time from 1970 to 3000."""

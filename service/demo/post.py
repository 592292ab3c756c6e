"""A post: a delivery before it is signed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

ORGANISATION = "acme"
"""The organisation's name in its tools."""
ACCOUNT = "octo-dev"
"""The only account in the demo. This account performs every action, because the demo does not simulate individuals."""


@dataclass(frozen=True, slots=True)
class Post:
    """A delivery, and the time at which a tool sends the delivery.

    Attributes:
        at: the simulated time at which the delivery is sent.
        source: the name of the source, which is the name of its provider.
        named: the headers that contain the event's name and the delivery's id.
        forged: whether the post is signed with a wrong secret.
    """

    at: datetime
    source: str
    body: bytes
    named: Mapping[str, str]
    forged: bool = False


def written(source: str, at: datetime, payload: Mapping[str, Any], **named: str) -> Post:
    """Make a post of a payload. The keyword arguments are headers; underscores in their names become hyphens."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    return Post(at, source, json.dumps(payload, separators=(",", ":")).encode(), headers)


def sha_of(*parts: object) -> str:
    """A reproducible commit hash, derived from the parts."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:40]


def number_of(*parts: object) -> int:
    """A reproducible number, derived from the parts, for use as a tool's id."""
    return int(sha_of(*parts)[:8], 16)


def zulu(when: datetime) -> str:
    """A time as most tools write it, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def zulu_or_none(when: datetime | None) -> str | None:
    """A time as most tools write it, or None if `when` is None."""
    return zulu(when) if when else None

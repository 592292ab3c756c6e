"""A post: one delivery before it is signed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

ORGANISATION = "acme"
"""The organisation's name at its tools."""
ACCOUNT = "octo-dev"
"""The account under which everything is done: whose work it was is no part of the story."""


@dataclass(frozen=True, slots=True)
class Post:
    """A delivery, with the moment at which its tool would send it.

    Attributes:
        at: when it is sent, in the time of the story.
        source: the name of the source, which is that of its provider.
        named: the headers that tell what is delivered.
        forged: whether it is signed with a secret that is not the source's.
    """

    at: datetime
    source: str
    body: bytes
    named: Mapping[str, str]
    forged: bool = False


def written(source: str, at: datetime, payload: Mapping[str, Any], **named: str) -> Post:
    """A post with a payload; underscores in the headers' names stand for hyphens."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    return Post(at, source, json.dumps(payload, separators=(",", ":")).encode(), headers)


def sha_of(*parts: object) -> str:
    """The hash of a commit, which follows from what it is."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:40]


def number_of(*parts: object) -> int:
    """A tool's own number of something, which follows from what it is."""
    return int(sha_of(*parts)[:8], 16)


def zulu(when: datetime) -> str:
    """A time as most tools write it, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def zulu_or_none(when: datetime | None) -> str | None:
    """Such a time, or none."""
    return zulu(when) if when else None

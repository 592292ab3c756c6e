"""Read deliveries and their verdicts from the inbox: a page, or a single delivery with its headers and body."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import zstandard
from sqlalchemy import select, tuple_

from service.storage.cursors import decode_inbox_cursor, encode_inbox_cursor
from service.storage.database import Connection
from service.storage.tables import deliveries


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A stored delivery with its verdict; `verdict`, `reason` and `interpreted_at` are None while it is pending."""

    id: UUID
    source: str
    provider: str
    provider_id: str
    body_bytes: int
    received_at: datetime
    verdict: str | None
    reason: str | None
    interpreted_at: datetime | None


_COLUMNS = [deliveries.c[name] for name in InboxRow.__dataclass_fields__]


async def read_page(
    connection: Connection,
    *,
    source: str | None = None,
    verdict: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[InboxRow], str | None]:
    """Read a page of deliveries, the newest first, and the cursor of the next page (None after the last page).

    Args:
        verdict: counted, ignored, failed or pending.
        since: the earliest time of receipt.

    Raises:
        InvalidCursor: the cursor does not have the form of an inbox cursor.
    """
    query = select(*_COLUMNS).order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc()).limit(limit + 1)
    if source is not None:
        query = query.where(deliveries.c.source == source)
    if verdict is not None:
        stored = None if verdict == "pending" else verdict
        query = query.where(deliveries.c.verdict.is_not_distinct_from(stored))
    if since is not None:
        query = query.where(deliveries.c.received_at >= since)
    if cursor is not None:
        query = query.where(tuple_(deliveries.c.received_at, deliveries.c.id) < decode_inbox_cursor(cursor))
    rows = [InboxRow(**row) for row in (await connection.execute(query)).mappings()]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encode_inbox_cursor((last.received_at, last.id))


async def read_delivery(
    connection: Connection, delivery: UUID
) -> tuple[InboxRow, Mapping[str, str], bytes | None] | None:
    """Read one delivery with its headers and raw body, or return None if there is no such delivery.

    The body is None once its retention period is over.
    """
    query = select(*_COLUMNS, deliveries.c.headers, deliveries.c.body).where(deliveries.c.id == delivery)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    headers, body = values.pop("headers"), values.pop("body")
    return InboxRow(**values), headers, zstandard.ZstdDecompressor().decompress(body) if body is not None else None

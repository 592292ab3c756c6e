"""Read deliveries and their verdicts from the inbox: a page, or a single delivery with its headers and body."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import zstandard
from sqlalchemy import CTE, case, or_, select, text, tuple_, union

from service.lifecycle.references import Ref
from service.storage.cursors import decode_inbox_cursor, encode_inbox_cursor
from service.storage.database import Connection
from service.storage.tables import aliases, among, deliveries, event_deliveries, link_statements


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


# The rules write a reason for each refused part of a delivery after this word.
_REFUSED = ("refused: %", "%; refused: %")
_COLUMNS = [deliveries.c[name] for name in InboxRow.__dataclass_fields__]


async def read_page(
    connection: Connection,
    *,
    source: str | None = None,
    verdict: str | None = None,
    since: datetime | None = None,
    about: Collection[Ref] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[InboxRow], str | None]:
    """Read a page of deliveries, the newest first, and the cursor of the next page (None after the last page).

    Args:
        verdict: counted, ignored, failed or pending; or refused, for the deliveries of which a part was refused,
            whatever their verdict.
        since: the earliest time of receipt.
        about: the names of a subject. Only deliveries that state an event, a link or a rename of this subject match.

    Raises:
        InvalidCursor: the cursor does not have the form of an inbox cursor.
    """
    query = select(*_COLUMNS).order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc()).limit(limit + 1)
    if source is not None:
        query = query.where(deliveries.c.source == source)
    if verdict == "refused":
        query = query.where(or_(*map(deliveries.c.reason.like, _REFUSED)))
    elif verdict is not None:
        stored = None if verdict == "pending" else verdict
        query = query.where(deliveries.c.verdict.is_not_distinct_from(stored))
    if since is not None:
        query = query.where(deliveries.c.received_at >= since)
    if about is not None:
        query = query.where(deliveries.c.id.in_(select(_about(about).c.delivery_id)))
    if cursor is not None:
        query = query.where(tuple_(deliveries.c.received_at, deliveries.c.id) < decode_inbox_cursor(cursor))
    rows = [InboxRow(**row) for row in (await connection.execute(query)).mappings()]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encode_inbox_cursor((last.received_at, last.id))


def _about(names: Collection[Ref]) -> CTE:
    """The ids of the deliveries that state an event, a link or a rename of a subject with these names.

    The ids are few, so PostgreSQL collects them first, instead of looking for them among all deliveries.
    """
    stated = union(
        select(event_deliveries.c.delivery_id).where(among(event_deliveries.c.subject, names)),
        select(link_statements.c.delivery_id).where(among(link_statements.c.evidence, names)),
        select(aliases.c.delivery_id).where(or_(among(aliases.c.old, names), among(aliases.c.new, names))),
    )
    return stated.cte("about").prefix_with("MATERIALIZED")


async def read_subjects(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Ref]]:
    """Read stored names of the subjects of each delivery that states an event or a link.

    They are the first branch and the first other subject. Items and changes come first, then branches, runs and
    commits.
    """
    subjects: dict[UUID, list[Ref]] = {}
    for row in await connection.execute(_SUBJECTS, {"ids": ids}):
        subjects.setdefault(row.delivery_id, []).append(Ref(row.subject))
    return subjects


_SUBJECTS = text(
    """
    SELECT delivery_id, subject FROM (
        SELECT DISTINCT ON (delivery_id, rank = 1) delivery_id, subject, rank FROM (
            SELECT delivery_id, subject,
                CASE split_part(subject, ':', 1) WHEN 'branch' THEN 1 WHEN 'run' THEN 2 WHEN 'commit' THEN 3 ELSE 0 END
                AS rank
            FROM (
                SELECT delivery_id, subject FROM event_deliveries WHERE delivery_id = ANY(:ids)
                UNION
                SELECT delivery_id, evidence FROM link_statements WHERE delivery_id = ANY(:ids)
            ) AS stated
        ) AS ranked
        ORDER BY delivery_id, rank = 1, rank, subject
    ) AS first ORDER BY delivery_id, rank
    """
)


async def read_contents(
    connection: Connection, ids: Sequence[UUID], longest: int
) -> AsyncIterator[tuple[UUID, Mapping[str, str], bytes]]:
    """Read the headers and bodies of deliveries.

    Args:
        longest: the size in bytes up to which a body is read; a longer or deleted body is empty.
    """
    body = case((deliveries.c.body_bytes <= longest, deliveries.c.body))
    rows = await connection.execute(select(deliveries.c.id, deliveries.c.headers, body).where(deliveries.c.id.in_(ids)))
    decompress = zstandard.ZstdDecompressor().decompress
    for delivery, headers, compressed in rows:
        yield delivery, headers, decompress(compressed) if compressed is not None else b""


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

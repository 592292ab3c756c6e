"""The table `deliveries`, the inbox. Each delivery is stored once, claimed by a worker and given a verdict."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import asyncpg
import msgspec
import zstandard
from sqlalchemy import func, select, text, update

from service.deliveries.delivery import Delivery
from service.storage.database import Connection, driver_of, is_exclusive
from service.storage.errors import translated_errors
from service.storage.tables import deliveries

# Level 1 compresses a typical payload to a fifth of its size in about 15 µs.
_ZSTD_LEVEL = 1
# Batches of up to this size are compressed on the event loop, in at most 5 ms. The largest batch, 32 MB, would block it
# for 36 ms.
_INLINE_BYTES = 4 * 1024 * 1024
_CLAIM_BYTES = 32 * 1024 * 1024


class _Row(msgspec.Struct):
    """The columns of a delivery, except its body."""

    id: UUID
    source: str
    provider: str
    provider_id: str
    headers: Mapping[str, str]
    body_bytes: int
    received_at: datetime


async def store(connection: Connection, batch: Sequence[Delivery]) -> frozenset[UUID]:
    """Store deliveries in a transaction, and return the ids of the new ones."""
    return await insert_deliveries(await driver_of(connection), batch)


async def check_storable(connection: Connection, size: int) -> None:
    """Check that a delivery can be stored: store one in a savepoint, and undo it.

    Args:
        size: the size of the body, in bytes.

    Raises:
        DatabaseError: PostgreSQL stores no delivery, for example because its disk is full.
    """
    attempt = await connection.begin_nested()
    with translated_errors():
        await connection.execute(_PROBE, {"body": bytes(size)})
    await attempt.rollback()


_PROBE = text(
    """
    INSERT INTO deliveries (id, source, provider, provider_id, headers, body_bytes, received_at, body)
    VALUES (gen_random_uuid(), '', '', '', '{}', 0, now(), :body)
    """
)


# Send all columns except the body as one JSON document. One array for each column would be slower, because the driver
# encodes each value of an array separately.
_STORE = """
    INSERT INTO deliveries (id, source, provider, provider_id, headers, body_bytes, received_at, body)
    SELECT * FROM ROWS FROM (
        json_to_recordset($1::json) AS (
            id uuid, source text, provider text, provider_id text, headers jsonb, body_bytes integer,
            received_at timestamptz
        ),
        unnest($2::bytea[])
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


async def insert_deliveries(driver: asyncpg.Connection, batch: Sequence[Delivery]) -> frozenset[UUID]:
    """Insert deliveries in one statement, and return the ids of the new ones."""
    # All writers insert in the order of ids, so that two batches that share deliveries never deadlock.
    ordered = sorted(batch, key=attrgetter("id"))
    stored = await driver.fetch(
        _STORE,
        msgspec.json.encode([_row(delivery) for delivery in ordered]).decode(),
        await _compressed(ordered),
    )
    return frozenset(row["id"] for row in stored)


def _row(delivery: Delivery) -> _Row:
    return _Row(
        delivery.id,
        delivery.source,
        delivery.provider,
        delivery.provider_id,
        delivery.headers,
        len(delivery.body),
        delivery.received_at,
    )


async def _compressed(batch: Sequence[Delivery]) -> list[bytes]:
    def compress() -> list[bytes]:
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        return [compressor.compress(delivery.body) for delivery in batch]

    # Compress only a large batch in a thread: for a small batch, the thread would cost a fifth more CPU time.
    is_large = sum(len(delivery.body) for delivery in batch) > _INLINE_BYTES
    return await asyncio.to_thread(compress) if is_large else compress()


async def claim_pending(connection: Connection, limit: int) -> list[Delivery]:
    """Claim pending deliveries until the transaction ends, except deliveries that other workers have claimed.

    Take the oldest deliveries of each source, in equal shares, so that a source that floods the inbox does not delay
    the other sources.

    Args:
        limit: the largest number of deliveries; fewer deliveries are returned if bodies are large.
    """
    await connection.execute(_BITMAP_SCANS, {"setting": "off"})
    rows = await (await driver_of(connection)).fetch(_CLAIM_AND_READ, limit, _CLAIM_BYTES)
    await connection.execute(_BITMAP_SCANS, {"setting": "on"})
    return _deliveries(rows)


# Claim without bitmap scans. PostgreSQL's statistics lag behind a flood of deliveries, so the planner expects few
# pending deliveries, and would fetch and sort all of them with a bitmap scan.
_BITMAP_SCANS = text("SELECT set_config('enable_bitmapscan', :setting, true)")
# `sources` jumps through the index from one source to the next (a loose index scan), since 100,000 pending deliveries
# may come from only a few sources. `turns` divides the limit among the sources, without locking rows. `claimed` locks
# each source's share, and skips rows that other workers have locked. The `LIMIT $1` in `claimed` does not change the
# result, but tells the planner that a share is small. The planner would otherwise expect tens of thousands of rows, and
# spend time on compiling the query (JIT).
_CLAIM = """
    WITH RECURSIVE sources AS (
        (SELECT source FROM deliveries WHERE verdict IS NULL ORDER BY source LIMIT 1)
        UNION ALL
        SELECT (
            SELECT deliveries.source FROM deliveries
            WHERE verdict IS NULL AND deliveries.source > sources.source ORDER BY deliveries.source LIMIT 1
        )
        FROM sources WHERE sources.source IS NOT NULL
    ), turns AS (
        SELECT sources.source
        FROM sources CROSS JOIN LATERAL (
            SELECT received_at, id FROM deliveries
            WHERE verdict IS NULL AND deliveries.source = sources.source ORDER BY source, received_at, id LIMIT $1
        ) AS oldest
        WHERE sources.source IS NOT NULL
        ORDER BY row_number() OVER (PARTITION BY sources.source ORDER BY received_at, id), received_at, id
        LIMIT $1
    ), shares AS (
        SELECT source, count(*) AS share FROM turns GROUP BY source
    ), claimed AS (
        SELECT part.*, row_number() OVER (PARTITION BY shares.source ORDER BY received_at, id) AS turn
        FROM shares CROSS JOIN LATERAL (
            SELECT * FROM (
                SELECT * FROM deliveries
                WHERE verdict IS NULL AND deliveries.source = shares.source
                ORDER BY source, received_at, id LIMIT shares.share FOR UPDATE SKIP LOCKED
            ) AS locked
            LIMIT $1
        ) AS part
    )
"""
# This query takes rows in the order of `turn`, as many as fit the byte limit but at least one. It returns these rows by
# time of receipt. PostgreSQL stores a large body apart from its row (TOAST), and reads the body only if the row is
# returned.
_READ = """
    SELECT source, provider, provider_id, headers::text, body, received_at
    FROM (
        SELECT *, row_number() OVER turns AS place, sum(body_bytes) OVER turns AS bytes
        FROM {taken} WINDOW turns AS (ORDER BY turn, received_at, id)
    ) AS ordered
    WHERE place = 1 OR bytes <= $2
    ORDER BY received_at, id
"""
_CLAIM_AND_READ = _CLAIM + _READ.format(taken="claimed")


async def replayable(
    connection: Connection, after: tuple[datetime, UUID], until: datetime, limit: int
) -> list[Delivery]:
    """Read the next deliveries that have a verdict and a body, the oldest first.

    The deliveries are locked until the transaction ends, except in a dry run, whose connection is exclusive.

    Args:
        after: the time of receipt and the id of the last delivery that the previous call read.
        until: the latest time of receipt.
        limit: the largest number of deliveries; fewer deliveries are returned if bodies are large.
    """
    query = _READ_REPLAYABLE if is_exclusive(connection) else _LOCK_AND_READ_REPLAYABLE
    return _deliveries(await (await driver_of(connection)).fetch(query, limit, _CLAIM_BYTES, *after, until))


_REPLAYABLE = """
    WITH replayable AS (
        SELECT *, 1 AS turn FROM deliveries
        WHERE verdict IS NOT NULL AND body IS NOT NULL AND (received_at, id) > ($3, $4) AND received_at <= $5
        ORDER BY received_at, id LIMIT $1 {lock}
    )
"""
_READ_REPLAYABLE = _REPLAYABLE.format(lock="") + _READ.format(taken="replayable")
_LOCK_AND_READ_REPLAYABLE = _REPLAYABLE.format(lock="FOR UPDATE") + _READ.format(taken="replayable")


def _deliveries(rows: Iterable[asyncpg.Record]) -> list[Delivery]:
    decompress, read = zstandard.ZstdDecompressor().decompress, msgspec.json.Decoder(dict[str, str]).decode
    return [
        Delivery(source, provider, provider_id, read(headers), decompress(body), received_at)
        for source, provider, provider_id, headers, body, received_at in rows
    ]


async def count_replayable(connection: Connection, since: datetime) -> tuple[int, datetime]:
    """Count the deliveries with a verdict and a body that were received at `since` or later.

    Returns:
        The number of these deliveries, and when the newest of them was received (`since` if there are none).
    """
    query = select(func.count(), func.max(deliveries.c.received_at)).where(
        deliveries.c.verdict.is_not(None), deliveries.c.body.is_not(None), deliveries.c.received_at >= since
    )
    count, newest = (await connection.execute(query)).one()
    return count, newest or since


async def requeue_failed(connection: Connection, delivery_ids: Collection[UUID]) -> set[UUID]:
    """Requeue the failed deliveries that have a body, and return their ids. These deliveries become pending again."""
    failed = await connection.scalars(
        select(deliveries.c.id)
        .where(deliveries.c.id.in_(delivery_ids), deliveries.c.verdict == "failed", deliveries.c.body.is_not(None))
        # Lock the rows in the same order as `replayable`, to avoid a deadlock.
        .order_by(deliveries.c.received_at, deliveries.c.id)
        .with_for_update()
    )
    requeued = set(failed)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(requeued))
        .values(verdict=None, reason=None, rules=None, interpreted_at=None)
    )
    return requeued


async def verdicts_of(connection: Connection, delivery_ids: Collection[UUID]) -> dict[UUID, tuple[str | None, bool]]:
    """Read, for each delivery that exists, its verdict (None while pending) and whether it has a body."""
    has_body = deliveries.c.body.is_not(None).label("has_body")
    rows = await connection.execute(
        select(deliveries.c.id, deliveries.c.verdict, has_body).where(deliveries.c.id.in_(delivery_ids))
    )
    return {row.id: (row.verdict, row.has_body) for row in rows}


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """The verdict on one delivery."""

    delivery: UUID
    verdict: str
    reason: str


async def record_verdicts(
    connection: Connection, verdicts: Sequence[DeliveryVerdict], rules: str, at: datetime
) -> None:
    """Record verdicts.

    Args:
        rules: the digest of the rules that led to the verdicts.
        at: the time of interpretation.
    """
    await connection.execute(
        _RECORD_VERDICTS,
        {
            "ids": [verdict.delivery for verdict in verdicts],
            "verdicts": [verdict.verdict for verdict in verdicts],
            "reasons": [verdict.reason for verdict in verdicts],
            "rules": rules,
            "at": at,
        },
    )


_RECORD_VERDICTS = text(
    """
    UPDATE deliveries SET verdict = settled.verdict, reason = settled.reason, rules = :rules, interpreted_at = :at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:verdicts AS text[]), CAST(:reasons AS text[]))
        AS settled(id, verdict, reason)
    WHERE deliveries.id = settled.id
    """
)


async def delete_bodies(connection: Connection, before: datetime, limit: int) -> int:
    """Delete the bodies of deliveries that were received before `before`, and return the number of deleted bodies.

    The oldest bodies are deleted first. A pending delivery keeps its body. Each delivery's row stays with its verdict,
    so that a redelivery is recognised as a duplicate.
    """
    deleted = await connection.execute(_DELETE_BODIES, {"before": before, "limit": limit})
    return deleted.rowcount


async def read_clock(connection: Connection) -> tuple[datetime, datetime | None]:
    """Read PostgreSQL's clock, and when the newest delivery was received (None if there is no delivery)."""
    row = (await connection.execute(_CLOCK)).one()
    return row.now, row.newest


_CLOCK = text("SELECT clock_timestamp() AS now, (SELECT max(received_at) FROM deliveries) AS newest")


_DELETE_BODIES = text(
    """
    UPDATE deliveries SET body = NULL
    WHERE id = ANY(ARRAY(
        SELECT id FROM deliveries
        WHERE body IS NOT NULL AND verdict IS NOT NULL AND received_at < :before
        ORDER BY received_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    """
)

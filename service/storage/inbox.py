"""The inbox: every delivery is stored here once, claimed by a worker, and keeps its verdict."""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import zstandard
from sqlalchemy import func, select, text, tuple_, update

from service.deliveries.delivery import Delivery
from service.storage.database import Connection, Database, DatabaseRejected, driver_of, is_exclusive, translated_errors
from service.storage.tables import deliveries

# Level 1 costs a tenth of a millisecond for a usual payload and makes it a fifth of its size.
_ZSTD_LEVEL = 1
# Compressed in some five milliseconds.
_HELD_BYTES = 4 * 1024 * 1024
_CLAIM_BYTES = 32 * 1024 * 1024
_IDLE_SECONDS = 1.0

# All but the bodies goes as one document, which the driver passes on as it is; into arrays it looks value by value.
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


class _Row(msgspec.Struct):
    """What is stored of a delivery beside its body."""

    id: UUID
    source: str
    provider: str
    provider_id: str
    headers: Mapping[str, str]
    body_bytes: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A stored delivery with its verdict; `verdict` and what goes with it are None while it is pending."""

    id: UUID
    source: str
    provider: str
    provider_id: str
    body_bytes: int
    received_at: datetime
    verdict: str | None
    reason: str | None
    interpreted_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """The verdict on one delivery."""

    delivery: UUID
    verdict: str
    reason: str


class InvalidCursor(Exception):
    """The cursor was not given out by an earlier page."""


class InboxWriter:
    """Stores deliveries, on a connection of its own and in one round trip for as many as there are.

    Args:
        database: where the inbox is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._used = 0.0

    async def store(self, batch: Sequence[Delivery]) -> frozenset[UUID]:
        """Store deliveries, all of them or none, and return the ids of those that were not there before.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or went away; they may be stored all the same.
            DatabaseRejected: PostgreSQL does not accept a value.
        """
        connection = await self._take_connection()
        try:
            with translated_errors():
                stored = await _insert(connection, batch)
        except BaseException as error:
            # Whoever has given up on an answer would have the next one read it.
            if not isinstance(error, DatabaseRejected):
                connection.terminate()
            raise
        finally:
            if not connection.is_closed():
                self._connection, self._used = connection, asyncio.get_running_loop().time()
        return stored

    async def _take_connection(self) -> asyncpg.Connection:
        """The connection, or a new one where it was lost; nobody else has it meanwhile."""
        connection, self._connection = self._connection, None
        # One from before a restart of PostgreSQL has heard of its end.
        if connection is None or connection.is_closed():
            return await self._database.connect()
        if asyncio.get_running_loop().time() - self._used > _IDLE_SECONDS:
            # What stands between may have forgotten it, and says so only when it is used.
            try:
                await connection.execute("SELECT")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()
                return await self._database.connect()
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.terminate()


async def store(connection: Connection, batch: Sequence[Delivery]) -> frozenset[UUID]:
    """Store deliveries in a transaction, and return the ids of those that were not there before."""
    return await _insert(await driver_of(connection), batch)


async def _insert(driver: asyncpg.Connection, batch: Sequence[Delivery]) -> frozenset[UUID]:
    # All in one order: two who store the same ones wait for each other, and never in a circle.
    ordered = sorted(batch, key=_by_number)
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

    # The way to another thread and back takes longer than what most batches need, but a large one would hold everybody.
    large = sum(len(delivery.body) for delivery in batch) > _HELD_BYTES
    return await asyncio.to_thread(compress) if large else compress()


# Numbers are compared sooner than ids.
_by_number = attrgetter("id.int")


# The sources are found by jumping from one to the next in the index, since pending deliveries may be a hundred thousand
# and their sources seven. The turns are counted without a lock; then each source's part is locked, passing over what
# other workers hold. No part is larger than the limit: said once more, it keeps the planner from expecting tens of
# thousands, and from compiling machine code for them.
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
# A flood is news to the planner: taking pending deliveries for few, it would fetch and sort them all.
_BITMAP_SCANS = text("SELECT set_config('enable_bitmapscan', :setting, true)")


async def claim_pending(connection: Connection, limit: int) -> list[Delivery]:
    """Pending deliveries that no other worker holds; held until the transaction ends.

    The oldest of each source, in equal parts so far as each has as many: a source that is flooded holds up no other.

    Args:
        limit: how many at most; fewer where their bodies are large.
    """
    await connection.execute(_BITMAP_SCANS, {"setting": "off"})
    rows = await (await driver_of(connection)).fetch(_CLAIM_AND_READ, limit, _CLAIM_BYTES)
    await connection.execute(_BITMAP_SCANS, {"setting": "on"})
    return _deliveries(rows)


async def replayable(
    connection: Connection, after: tuple[datetime, UUID], until: datetime, limit: int
) -> list[Delivery]:
    """The next deliveries that were interpreted before and whose bodies are still held, oldest first.

    Args:
        after: time of receipt and id of the last one that was seen.
        until: the latest time of receipt.
        limit: how many at most; fewer where their bodies are large.
    """
    query = _READ_HELD if is_exclusive(connection) else _LOCK_HELD_AND_READ
    return _deliveries(await (await driver_of(connection)).fetch(query, limit, _CLAIM_BYTES, *after, until))


_HELD = """
    WITH waiting AS (
        SELECT *, 1 AS turn FROM deliveries
        WHERE verdict IS NOT NULL AND body IS NOT NULL AND (received_at, id) > ($3, $4) AND received_at <= $5
        ORDER BY received_at, id LIMIT $1 {lock}
    )
"""
# The first of them in the order of their turns, as many as can be read at a time, and one at least: a body that is
# stored apart from its row is read only where the row is handed out.
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
_READ_HELD = _HELD.format(lock="") + _READ.format(taken="waiting")
_LOCK_HELD_AND_READ = _HELD.format(lock="FOR UPDATE") + _READ.format(taken="waiting")


def _deliveries(rows: Iterable[asyncpg.Record]) -> list[Delivery]:
    decompress, read = zstandard.ZstdDecompressor().decompress, msgspec.json.Decoder(dict[str, str]).decode
    return [
        Delivery(source, provider, provider_id, read(headers), decompress(body), received_at)
        for source, provider, provider_id, headers, body, received_at in rows
    ]


async def count_replayable(connection: Connection, since: datetime) -> tuple[int, datetime]:
    """How many deliveries `held` has to give, and when the newest of them was received; `since` where there is none."""
    query = select(func.count(), func.max(deliveries.c.received_at)).where(
        deliveries.c.verdict.is_not(None), deliveries.c.body.is_not(None), deliveries.c.received_at >= since
    )
    count, newest = (await connection.execute(query)).one()
    return count, newest or since


async def requeue_failed(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Let failed deliveries whose bodies are held be interpreted once more; returns those of the ids that are such."""
    # In the order in which a replay takes them, so that one waits for the other and never in a circle.
    failed = await connection.scalars(
        select(deliveries.c.id)
        .where(deliveries.c.id.in_(ids), deliveries.c.verdict == "failed", deliveries.c.body.is_not(None))
        .order_by(deliveries.c.received_at, deliveries.c.id)
        .with_for_update()
    )
    renewed = set(failed)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(renewed))
        .values(verdict=None, reason=None, rules=None, interpreted_at=None)
    )
    return renewed


async def verdicts_of(connection: Connection, ids: Collection[UUID]) -> dict[UUID, tuple[str | None, bool]]:
    """The verdict on each of the deliveries that there are, None while it is pending, and whether its body is held."""
    held = deliveries.c.body.is_not(None).label("held")
    rows = await connection.execute(select(deliveries.c.id, deliveries.c.verdict, held).where(deliveries.c.id.in_(ids)))
    return {row.id: (row.verdict, row.held) for row in rows}


async def delete_bodies(connection: Connection, before: datetime, limit: int) -> int:
    """Let go of what was sent in deliveries received before a time, oldest first, and return how many there were.

    Pending ones keep theirs. The delivery stays, with its verdict, so a redelivery is still known as one.
    """
    forgotten = await connection.execute(_DELETE_BODIES, {"before": before, "limit": limit})
    return forgotten.rowcount


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


async def record_verdicts(
    connection: Connection, settlements: Sequence[DeliveryVerdict], rules: str, at: datetime
) -> None:
    """Write verdicts down, come to under rules of this digest, as of `at`."""
    await connection.execute(
        _RECORD_VERDICTS,
        {
            "ids": [settlement.delivery for settlement in settlements],
            "verdicts": [settlement.verdict for settlement in settlements],
            "reasons": [settlement.reason for settlement in settlements],
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


_ROW_COLUMNS = [deliveries.c[name] for name in InboxRow.__dataclass_fields__]


async def read_page(
    connection: Connection,
    *,
    source: str | None = None,
    verdict: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[InboxRow], str | None]:
    """Deliveries, newest first, and the cursor of the next page or None.

    Args:
        verdict: counted, ignored, failed or pending.
        since: the earliest time of receipt.

    Raises:
        InvalidCursor: the cursor was not given out by an earlier page.
    """
    query = select(*_ROW_COLUMNS).order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc()).limit(limit + 1)
    if source is not None:
        query = query.where(deliveries.c.source == source)
    if verdict is not None:
        wanted = None if verdict == "pending" else verdict
        query = query.where(deliveries.c.verdict.is_not_distinct_from(wanted))
    if since is not None:
        query = query.where(deliveries.c.received_at >= since)
    if cursor is not None:
        query = query.where(tuple_(deliveries.c.received_at, deliveries.c.id) < _read_cursor(cursor))
    rows = [InboxRow(**row) for row in (await connection.execute(query)).mappings()]
    return rows[:limit], _write_cursor(rows[limit - 1]) if len(rows) > limit else None


async def read_delivery(
    connection: Connection, delivery: UUID
) -> tuple[InboxRow, Mapping[str, str], bytes | None] | None:
    """One delivery with its headers and raw body (None once its retention is over), or None where there is none."""
    query = select(*_ROW_COLUMNS, deliveries.c.headers, deliveries.c.body).where(deliveries.c.id == delivery)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    known: dict[str, Any] = dict(row)
    headers, body = known.pop("headers"), known.pop("body")
    return InboxRow(**known), headers, zstandard.ZstdDecompressor().decompress(body) if body is not None else None


CURSOR = "[0-9]{1,16}-[0-9a-f]{32}"
"""What a cursor looks like: microseconds since 1970 and the id of the last delivery of the page before."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _write_cursor(row: InboxRow) -> str:
    return f"{(row.received_at - _EPOCH) // _MICROSECOND}-{row.id.hex}"


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    if not re.fullmatch(CURSOR, cursor):
        raise InvalidCursor("the cursor was not given out by an earlier page; leave it away to begin anew")
    received_at, _, delivery = cursor.partition("-")
    return _EPOCH + int(received_at) * _MICROSECOND, UUID(delivery)

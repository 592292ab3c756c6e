"""How far deliveries have come: what waits, what came last, and of what projection has seen all."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from service.storage.database import Connection


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and what failed, at one moment.

    Attributes:
        pending: how many deliveries have no verdict.
        oldest_pending_at: when the first of them was received; None where there is none.
        failed: how many deliveries could not be interpreted, and still have what was sent, so that they can be retried.
        touched: how many subjects projection has not seen, those that were set aside too.
    """

    pending: int
    oldest_pending_at: datetime | None
    failed: int
    touched: int


async def read_backlog(connection: Connection) -> Backlog:
    """What waits now, counted in indexes that hold nothing else."""
    row = (await connection.execute(_WAITING)).one()
    return Backlog(row.pending, row.oldest_pending_at, row.failed, row.touched)


# Each in a query of its own: together they would be one pass through all deliveries.
_WAITING = text(
    """
    SELECT (SELECT count(*) FROM deliveries WHERE verdict IS NULL) AS pending,
        (SELECT min(received_at) FROM deliveries WHERE verdict IS NULL) AS oldest_pending_at,
        (SELECT count(*) FROM deliveries WHERE verdict = 'failed' AND body IS NOT NULL) AS failed,
        (SELECT count(*) FROM touched) AS touched
    """
)


@dataclass(frozen=True, slots=True)
class InboxStretch:
    """A stretch of the inbox, from a newer end to an older one.

    Attributes:
        newest: when the last delivery of each source in it was received.
        end: time of receipt and id of the oldest delivery in it; None where there is no older one.
    """

    newest: dict[str, datetime]
    end: tuple[datetime, UUID] | None


async def newest_by_source(connection: Connection, before: tuple[datetime, UUID] | None, limit: int) -> InboxStretch:
    """The newest delivery of each source, among so many.

    Args:
        before: where the stretch before this one ended; None at the newest delivery of all.
        limit: how many deliveries are looked at.
    """
    at, delivery = before or (None, None)
    rows = (await connection.execute(_NEWEST, {"at": at, "id": delivery, "limit": limit})).all()
    newest = {row.source: row.received_at for row in rows if row.source is not None}
    ends = [(row.received_at, row.id) for row in rows if row.source is None]
    return InboxStretch(newest, ends[0] if ends else None)


_NEWEST = text(
    """
    WITH stretch AS MATERIALIZED (
        SELECT source, received_at, id FROM deliveries
        WHERE (received_at, id) < (
            coalesce(CAST(:at AS timestamptz), 'infinity'),
            coalesce(CAST(:id AS uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        ORDER BY received_at DESC, id DESC LIMIT :limit
    )
    SELECT source, max(received_at) AS received_at, NULL::uuid AS id FROM stretch GROUP BY source
    UNION ALL
    (SELECT NULL, received_at, id FROM stretch ORDER BY received_at, id LIMIT 1)
    """
)


@dataclass(frozen=True, slots=True)
class CountedDelivery:
    """A counted delivery, when it was received and when it was interpreted."""

    id: UUID
    received_at: datetime
    interpreted_at: datetime


async def list_counted(
    connection: Connection, since: datetime, known: Collection[UUID], limit: int
) -> Sequence[CountedDelivery]:
    """The first deliveries that were found to count after a time, those left out that are known already."""
    rows = await connection.execute(_COUNTED, {"since": since, "known": list(known), "limit": limit})
    return [CountedDelivery(row.id, row.received_at, row.interpreted_at) for row in rows]


_COUNTED = text(
    """
    SELECT id, received_at, interpreted_at FROM deliveries
    WHERE verdict = 'counted' AND interpreted_at > :since AND id <> ALL(CAST(:known AS uuid[]))
    ORDER BY interpreted_at LIMIT :limit
    """
)


async def select_unprojected(connection: Connection, deliveries: Iterable[UUID]) -> set[UUID]:
    """Those of the deliveries that name a subject which is touched still, whoever touched it."""
    return set(await connection.scalars(_UNPROJECTED, {"deliveries": list(deliveries)}))


_UNPROJECTED = text(
    """
    WITH named AS (
        SELECT delivery_id, subject FROM event_deliveries WHERE delivery_id = ANY(:deliveries)
        UNION ALL
        SELECT delivery_id, unnest(targets || evidence) FROM link_statements WHERE delivery_id = ANY(:deliveries)
        UNION ALL
        SELECT delivery_id, unnest(ARRAY[old, new]) FROM aliases WHERE delivery_id = ANY(:deliveries)
    )
    SELECT DISTINCT delivery_id FROM named JOIN touched USING (subject)
    """
)

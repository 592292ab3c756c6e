"""The progress of deliveries: the backlog, the last delivery of each source, and the unprojected deliveries."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from service.storage.database import Connection


@dataclass(frozen=True, slots=True)
class Backlog:
    """The size of the backlog at one moment.

    Attributes:
        pending: number of deliveries without a verdict.
        oldest_pending_at: when the oldest pending delivery was received; None if no delivery is pending.
        failed: number of failed deliveries that still have a body, and can therefore be retried.
        dirty: number of dirty subjects, including postponed subjects.
        postponed: number of dirty subjects whose projection failed or did not end.
    """

    pending: int
    oldest_pending_at: datetime | None
    failed: int
    dirty: int
    postponed: int


# Each count is a separate subquery that reads a small index; one query for all counts would scan every delivery.
_BACKLOG = text(
    """
    SELECT (SELECT count(*) FROM deliveries WHERE verdict IS NULL) AS pending,
        (SELECT min(received_at) FROM deliveries WHERE verdict IS NULL) AS oldest_pending_at,
        (SELECT count(*) FROM deliveries WHERE verdict = 'failed' AND body IS NOT NULL) AS failed,
        (SELECT count(*) FROM touched) AS dirty,
        (SELECT count(*) FROM touched WHERE attempts > 0) AS postponed
    """
)


async def read_backlog(connection: Connection) -> Backlog:
    """Read the size of the backlog."""
    row = (await connection.execute(_BACKLOG)).one()
    return Backlog(row.pending, row.oldest_pending_at, row.failed, row.dirty, row.postponed)


@dataclass(frozen=True, slots=True)
class InboxStretch:
    """A range of consecutive deliveries in the inbox, the newest first.

    Attributes:
        newest: for each source in the range, when its newest delivery was received.
        end: time of receipt and id of the oldest delivery in the range; None if the range is empty.
    """

    newest: dict[str, datetime]
    end: tuple[datetime, UUID] | None


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


async def newest_by_source(connection: Connection, before: tuple[datetime, UUID] | None, limit: int) -> InboxStretch:
    """Read the newest delivery of each source within a range of the inbox.

    Args:
        before: the end of the previous range; None to start at the newest delivery.
        limit: the largest number of deliveries in the range.
    """
    at, delivery = before or (None, None)
    rows = (await connection.execute(_NEWEST, {"at": at, "id": delivery, "limit": limit})).all()
    newest = {row.source: row.received_at for row in rows if row.source is not None}
    ends = [(row.received_at, row.id) for row in rows if row.source is None]
    return InboxStretch(newest, ends[0] if ends else None)


@dataclass(frozen=True, slots=True)
class CountedDelivery:
    """A delivery with the verdict *counted*."""

    id: UUID
    received_at: datetime
    interpreted_at: datetime


_LIST_COUNTED = text(
    """
    SELECT id, received_at, interpreted_at FROM deliveries
    WHERE verdict = 'counted' AND interpreted_at > :since AND id <> ALL(CAST(:known AS uuid[]))
    ORDER BY interpreted_at LIMIT :limit
    """
)


async def list_counted(
    connection: Connection, since: datetime, known: Collection[UUID], limit: int
) -> Sequence[CountedDelivery]:
    """List deliveries with the verdict *counted* that were interpreted after `since`, the earliest first.

    Deliveries whose id is in `known` are omitted.
    """
    rows = await connection.execute(_LIST_COUNTED, {"since": since, "known": list(known), "limit": limit})
    return [CountedDelivery(row.id, row.received_at, row.interpreted_at) for row in rows]


_SELECT_UNPROJECTED = text(
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


async def select_unprojected(connection: Connection, delivery_ids: Iterable[UUID]) -> set[UUID]:
    """Select the deliveries that name a dirty subject, even if another delivery made the subject dirty."""
    return set(await connection.scalars(_SELECT_UNPROJECTED, {"deliveries": list(delivery_ids)}))

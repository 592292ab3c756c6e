"""Read what each source sent: its recent deliveries by status, and its deliveries that wait or failed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from service.storage.database import Connection


@dataclass(frozen=True, slots=True)
class RecentCount:
    """The number of recent deliveries of one source with one status.

    Attributes:
        status: pending, counted, ignored or failed.
        newest: when the newest of these deliveries was received.
        oldest: when the oldest of these deliveries was received.
    """

    source: str
    status: str
    count: int
    newest: datetime
    oldest: datetime


_RECENT = text(
    """
    WITH recent AS MATERIALIZED (
        SELECT source, verdict, received_at FROM deliveries
        WHERE received_at >= :since ORDER BY received_at DESC, id DESC LIMIT :limit
    )
    SELECT source, coalesce(verdict, 'pending') AS status, count(*) AS count, max(received_at) AS newest,
        min(received_at) AS oldest
    FROM recent GROUP BY source, verdict
    """
)


async def read_recent(connection: Connection, since: datetime, limit: int) -> list[RecentCount]:
    """Count the deliveries received since a time, by source and status.

    Args:
        limit: the largest number of deliveries to count; older deliveries are left out.
    """
    rows = await connection.execute(_RECENT, {"since": since, "limit": limit})
    return [RecentCount(*row) for row in rows]


# Each count reads a small index with the deliveries that it counts.
_PENDING = text("SELECT source, count(*) AS deliveries FROM deliveries WHERE verdict IS NULL GROUP BY source")
_FAILED = text(
    "SELECT source, count(*) AS deliveries FROM deliveries WHERE verdict = 'failed' AND body IS NOT NULL "
    "GROUP BY source"
)


async def count_pending(connection: Connection) -> dict[str, int]:
    """Count the pending deliveries of each source that has any."""
    return {row.source: row.deliveries for row in await connection.execute(_PENDING)}


async def count_failed(connection: Connection) -> dict[str, int]:
    """Count the failed deliveries that can be retried, for each source that has any."""
    return {row.source: row.deliveries for row in await connection.execute(_FAILED)}

"""Read what each source sent: its last delivery, its recent deliveries by status, and those that wait or failed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.storage import progress, source_activity
from service.storage.database import Database
from service.storage.source_activity import RecentCount

RECENT = timedelta(days=7)
_MOST_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class SourceActivity:
    """The deliveries of one source in numbers.

    Attributes:
        last_delivery_at: when its last delivery was received; None if it is not among the newest 100,000 deliveries of
            all sources.
        recent: the number of its recent deliveries by status.
        pending: the number of its deliveries that wait for a worker, of any age.
        failed: the number of its failed deliveries that can be retried, of any age.
    """

    name: str
    last_delivery_at: datetime | None
    recent: Mapping[str, int]
    pending: int
    failed: int


async def read_activity(
    database: Database, names: Collection[str], now: datetime
) -> tuple[list[SourceActivity], datetime]:
    """Read what each source sent, and since when deliveries count as recent.

    Deliveries of the last seven days are recent, but at most the newest 100,000.

    Args:
        names: the sources to list even if they sent nothing; other sources are listed if they sent anything recently.

    Raises:
        DatabaseUnavailable: the deliveries cannot be read.
    """
    since = now - RECENT
    async with database.read_transaction() as connection:
        recent = await source_activity.read_recent(connection, since, _MOST_COUNTED)
        pending = await source_activity.count_pending(connection)
        failed = await source_activity.count_failed(connection)
        newest = _newest(recent)
        if set(names) - newest.keys():
            stretch = await progress.newest_by_source(connection, None, _MOST_COUNTED)
            newest = stretch.newest | newest
    if sum(each.count for each in recent) >= _MOST_COUNTED:
        since = min(each.oldest for each in recent)
    sources = sorted({*names, *newest, *pending, *failed})
    return [
        SourceActivity(
            name,
            newest.get(name),
            {each.status: each.count for each in recent if each.source == name},
            pending.get(name, 0),
            failed.get(name, 0),
        )
        for name in sources
    ], since


def _newest(recent: Collection[RecentCount]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for each in recent:
        newest[each.source] = max(each.newest, newest.get(each.source, each.newest))
    return newest

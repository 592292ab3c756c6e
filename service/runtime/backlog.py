"""Watch: what waits in the database is looked at in the background, so that a scrape need not."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from service.storage import progress
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError
from service.telemetry import Telemetry
from service.telemetry.backlog import Backlog

_PATIENCE_SECONDS = 10.0
# Counting millions takes its time: so the next look waits the longer, this part of all time being enough.
_SHARE = 0.05
_LONGEST_SECONDS = 30.0
_STRETCH = 20_000
_STRETCHES = 50
_AGAIN_SECONDS = 5.0
_SPACING_SECONDS = 0.2

_log = structlog.get_logger(__name__)


class BacklogMonitor:
    """Looks at what waits in the database, and once at when the sources were last heard of.

    Args:
        sources: those that this process receives from.
        interval: how often to look; less often where a look takes long.
        clock: the time now, UTC.
    """

    def __init__(
        self,
        database: Database,
        telemetry: Telemetry,
        sources: Collection[str],
        interval: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._telemetry = telemetry
        self._sources = frozenset(sources)
        self._interval = interval.total_seconds()
        self._clock = clock

    async def run(self, ending: asyncio.Event) -> None:
        """Look until the end begins."""
        await asyncio.gather(self._watch(ending), self._recall(ending))

    async def look(self) -> None:
        """Look at what waits now; where that cannot be seen, it is not told either."""
        try:
            self._telemetry.set_backlog(await abandon_after(_PATIENCE_SECONDS, self._backlog()))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may succeed
            self._telemetry.set_backlog(None)
            ours = not isinstance(error, (DatabaseError, TimeoutError))
            _log.debug("what waits is not seen", cause=str(error) or type(error).__name__, exc_info=ours)

    async def _watch(self, ending: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        while not ending.is_set():
            began = clock()
            await self.look()
            rest = min((clock() - began) / _SHARE, _LONGEST_SECONDS)
            await _wait(ending, max(self._interval, rest))

    async def _backlog(self) -> Backlog:
        async with self._database.transaction() as connection:
            waiting = await progress.read_backlog(connection)
        oldest = waiting.oldest_pending_at
        # Another machine's clock may be ahead.
        age = max(0.0, (self._clock() - oldest).total_seconds()) if oldest is not None else 0.0
        return Backlog(waiting.pending, age, waiting.failed, waiting.touched)

    async def _recall(self, ending: asyncio.Event) -> None:
        """Find the last delivery of each source, from the newest delivery back, until all are found or it is enough."""
        missing = set(self._sources)
        end: tuple[datetime, UUID] | None = None
        stretches = 0
        while missing and stretches < _STRETCHES and not ending.is_set():
            try:
                stretch = await abandon_after(_PATIENCE_SECONDS, self._stretch(end))
            except Exception as error:  # noqa: BLE001 - whatever it was, the next attempt may succeed
                _log.debug("when the sources were last heard of is not seen", cause=str(error) or type(error).__name__)
                await _wait(ending, _AGAIN_SECONDS)
                continue
            for source in missing & stretch.newest.keys():
                self._telemetry.record_last_delivery(source, stretch.newest[source])
            missing -= stretch.newest.keys()
            if stretch.end is None:
                return
            end = stretch.end
            stretches += 1
            await _wait(ending, _SPACING_SECONDS)

    async def _stretch(self, end: tuple[datetime, UUID] | None) -> progress.InboxStretch:
        async with self._database.transaction() as connection:
            return await progress.newest_by_source(connection, end, _STRETCH)


async def _wait(ending: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ending.wait()
    except TimeoutError:
        return

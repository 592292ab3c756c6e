"""Measure the backlog in the background, so that a scrape never queries the database."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from service.runtime import shutdown
from service.runtime.pause import pause
from service.storage import progress
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError
from service.telemetry import Telemetry
from service.telemetry.backlog import Backlog

_PATIENCE_SECONDS = 10.0
# Counting millions of deliveries takes seconds. After a slow measurement, the pause is longer, so that measuring takes
# at most this fraction of the time. A measurement extends the pause to at most `_LONGEST_PAUSE_SECONDS`.
_SHARE = 0.05
_LONGEST_PAUSE_SECONDS = 30.0
_PAGE = 20_000
_PAGES = 50
_RETRY_SECONDS = 5.0
_SPACING_SECONDS = 0.2

_log = structlog.get_logger(__name__)


class BacklogMonitor:
    """Measures the backlog repeatedly, and looks up the last delivery of each source once.

    Args:
        sources: the sources whose deliveries this process receives.
        interval: the pause between two measurements; after a slow measurement, the pause is longer.
        clock: returns the current time in UTC.
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
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._monitor(), name="monitor the backlog"),
            asyncio.create_task(self._find_last_deliveries(), name="find the last deliveries"),
        ]

    async def stop(self) -> None:
        """Stop the tasks, within the shutdown budget."""
        self._ending.set()
        await asyncio.wait(self._tasks, timeout=shutdown.MONITOR_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def measure(self) -> None:
        """Measure the backlog now. If the measurement fails, the backlog's metrics have no value."""
        try:
            self._telemetry.set_backlog(await abandon_after(_PATIENCE_SECONDS, self._backlog()))
        except Exception as error:  # noqa: BLE001 - retry later, whatever the cause of the error
            self._telemetry.set_backlog(None)
            unexpected = not isinstance(error, (DatabaseError, TimeoutError))
            _log.debug("backlog not measured", cause=str(error) or type(error).__name__, exc_info=unexpected)

    async def _monitor(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self._ending.is_set():
            began = clock()
            await self.measure()
            rest = min((clock() - began) / _SHARE, _LONGEST_PAUSE_SECONDS)
            await pause(max(self._interval, rest), self._ending)

    async def _backlog(self) -> Backlog:
        async with self._database.transaction() as connection:
            backlog = await progress.read_backlog(connection)
        oldest = backlog.oldest_pending_at
        # The difference may be negative: the clock of the machine that received the delivery may be ahead.
        age = max(0.0, (self._clock() - oldest).total_seconds()) if oldest is not None else 0.0
        return Backlog(backlog.pending, age, backlog.failed, backlog.dirty, backlog.postponed)

    async def _find_last_deliveries(self) -> None:
        """Find the last delivery of each source.

        Read the inbox page by page, the newest delivery first, up to a limit.
        """
        missing = set(self._sources)
        cursor: tuple[datetime, UUID] | None = None
        pages = 0
        while missing and pages < _PAGES and not self._ending.is_set():
            try:
                page = await abandon_after(_PATIENCE_SECONDS, self._read_page(cursor))
            except Exception as error:  # noqa: BLE001 - retry later, whatever the cause of the error
                _log.debug("last deliveries not found", cause=str(error) or type(error).__name__)
                await pause(_RETRY_SECONDS, self._ending)
                continue
            for source in missing & page.newest.keys():
                self._telemetry.record_last_delivery(source, page.newest[source])
            missing -= page.newest.keys()
            if page.end is None:
                return
            cursor = page.end
            pages += 1
            await pause(_SPACING_SECONDS, self._ending)

    async def _read_page(self, cursor: tuple[datetime, UUID] | None) -> progress.InboxStretch:
        async with self._database.transaction() as connection:
            return await progress.newest_by_source(connection, cursor, _PAGE)

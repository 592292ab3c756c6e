"""Retention in the spool: delete quarantined deliveries, whose bodies would otherwise stay on the disk for ever."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from service.pipeline.clock_check import ClockInDoubt, check_clock
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError
from service.storage.spool import Spool
from service.storage.spool_file import SpoolUnavailable

_FIRST_SECONDS = 60.0
_SECONDS = 3600.0
_CHECK_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class SpoolRetention:
    """Deletes the quarantined deliveries of the spool once they are older than the retention of bodies.

    Args:
        retention: how long a body is kept.
        clock: returns the current time, UTC.
    """

    def __init__(self, database: Database, spool: Spool, retention: timedelta, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._spool = spool
        self._retention = retention
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="retain the spool")

    async def stop(self) -> None:
        """Cancel the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def delete_expired(self) -> int:
        """Delete the quarantined deliveries that are too old, and return their number.

        Raises:
            ClockInDoubt: the clock may be wrong, so nothing was deleted.
            DatabaseUnavailable: the clock could not be checked, so nothing was deleted.
            SpoolUnavailable: the spool cannot be used.
        """
        if not self._spool.exists:
            return 0
        now = await abandon_after(_CHECK_SECONDS, check_clock(self._database, self._clock))
        return await asyncio.to_thread(self._spool.delete_expired, now - self._retention)

    async def _run(self) -> None:
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            try:
                if deleted := await self.delete_expired():
                    _log.warning("deliveries that PostgreSQL rejected were deleted from the spool", deliveries=deleted)
            except (ClockInDoubt, DatabaseError, SpoolUnavailable, TimeoutError) as error:
                _log.warning("nothing is deleted from the spool", cause=str(error))
            except Exception:  # noqa: BLE001 - a bug in one attempt must not end the task
                _log.exception("nothing is deleted from the spool")
            await asyncio.sleep(_SECONDS)

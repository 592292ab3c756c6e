"""Drain: store deliveries in the spool during an outage, and move them to the inbox afterwards."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import structlog

from service.deliveries.delivery import Delivery
from service.storage import inbox
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError, DatabaseRejected
from service.storage.spool import Spool
from service.storage.spool_file import SpoolUnavailable
from service.telemetry import Telemetry

_BATCH = 256
_MOVE_SECONDS = 30.0
_RETRY_SECONDS = 0.5
_POLL_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class SpoolDrain:
    """Adds deliveries to the spool, and moves them to the inbox in a background task.

    Args:
        telemetry: shows how many deliveries the spool contains, and when each source sent its last delivery.
        patience: seconds to wait for an answer when checking whether PostgreSQL is back.
    """

    def __init__(self, database: Database, telemetry: Telemetry, spool: Spool, patience: float) -> None:
        self._database = database
        self._telemetry = telemetry
        self._spool = spool
        self._patience = patience
        self._outage = False
        self._pending = 0
        self._moved = 0
        self._filled = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        # The last fault of the spool that was logged, so that a fault is logged once and not at each attempt.
        self._fault = ""

    @property
    def outage(self) -> bool:
        """Whether PostgreSQL was away when the service last tried to use it."""
        return self._outage

    def check_directory(self) -> None:
        """Log a warning if the spool's directory cannot be used, so that an operator knows before the first outage."""
        try:
            self._spool.check_directory()
        except SpoolUnavailable as error:
            _log.warning("while PostgreSQL is away, deliveries will be refused", cause=str(error))

    def start(self) -> None:
        """Start the task that drains the spool, on the running event loop."""
        if self._spool.exists:
            self._filled.set()
        self._task = asyncio.create_task(self._drain(), name="drain the spool")

    async def finish(self) -> None:
        """Move the deliveries in the spool to the inbox if PostgreSQL answers, and end the task."""
        self._stopping = True
        self._filled.set()
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Cancel the task if it still runs, and close the spool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await asyncio.to_thread(self._spool.close)
        if self._pending:
            _log.warning("deliveries remain in the spool", deliveries=self._pending, spool=str(self._spool.path))

    async def add(self, deliveries: Sequence[Delivery], cause: DatabaseError) -> set[UUID]:
        """Add deliveries to the spool durably, and return the ids of the new ones.

        Raises:
            SpoolUnavailable: the deliveries could not be written to disk.
        """
        if not self._outage:
            _log.warning("deliveries go to the spool", cause=str(cause))
        # Until the drain task reaches PostgreSQL again, batches go straight to the spool.
        self._outage = True
        try:
            return set(await asyncio.to_thread(self._spool.add, deliveries))
        finally:
            # Wake the task only after the write, because the task reads the spool at once.
            self._filled.set()

    async def show_pending(self) -> None:
        """Export the number of deliveries in the spool as a metric."""
        with suppress(SpoolUnavailable):
            self._pending = await asyncio.to_thread(self._spool.count)
            self._telemetry.set_spool_pending(self._pending)

    async def _drain(self) -> None:
        """Whenever the spool contains deliveries and PostgreSQL answers, move them to the inbox, the oldest first."""
        await self.show_pending()
        if self._pending:
            _log.warning("deliveries wait in the spool", deliveries=self._pending, spool=str(self._spool.path))
        while True:
            await self._wait_until_filled()
            # Clear the flag before reading, so that a delivery added meanwhile is read in the next round.
            self._filled.clear()
            stopping = self._stopping
            await self.show_pending()
            moved = await self._try_move()
            if stopping and not moved:
                return
            if moved is None:
                await asyncio.sleep(_RETRY_SECONDS)
            if moved != 0:
                self._filled.set()

    async def _wait_until_filled(self) -> None:
        """Wait until this process adds deliveries, or until polling finds the file of the spool.

        Polling is necessary, because another process may add deliveries to the file.
        """
        while not self._filled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._filled.wait()
            if self._spool.exists:
                return

    async def _try_move(self) -> int | None:
        """Move the next deliveries, and return their number, or None if the move failed."""
        try:
            return await self._move()
        except SpoolUnavailable as error:
            self._warn(str(error))
        except (DatabaseError, TimeoutError) as error:
            _log.debug("the spool is not drained yet", cause=str(error))
        except Exception:  # noqa: BLE001 - a bug in one attempt must not end the task
            _log.exception("the spool is not drained")
        return None

    def _warn(self, fault: str) -> None:
        if fault != self._fault:
            _log.warning("the spool cannot be used, so the deliveries in it wait", cause=fault)
        self._fault = fault

    async def _move(self) -> int:
        if self._outage:
            await abandon_after(self._patience, self._database.check_writable())
        try:
            oldest = await asyncio.to_thread(self._spool.read_oldest, _BATCH)
        except SpoolUnavailable:
            # During an outage, new deliveries go to the spool only. The spool is broken, so let them go to the inbox.
            self._end_outage()
            raise
        self._fault = ""
        stored = await abandon_after(_MOVE_SECONDS, self._store(oldest)) if oldest else []
        self._end_outage()
        if oldest:
            # An earlier process may have received these deliveries, so this process may not know when their sources
            # last delivered.
            for delivery in oldest:
                self._telemetry.record_last_delivery(delivery.source, delivery.received_at)
            # Remove the deliveries last. If the process is killed before the removal, the deliveries are moved again,
            # and the inbox ignores the duplicates.
            await asyncio.to_thread(self._spool.remove, stored)
            self._moved += len(stored)
        else:
            await asyncio.to_thread(self._spool.tidy)
        await self.show_pending()
        if not oldest:
            self._log_moved()
        return len(oldest)

    def _log_moved(self) -> None:
        if self._moved:
            _log.info("deliveries moved from the spool to the queue", deliveries=self._moved, remain=self._pending)
        self._moved = 0

    def _end_outage(self) -> None:
        if self._outage:
            _log.info("PostgreSQL is back")
        self._outage = False

    async def _store(self, deliveries: Sequence[Delivery]) -> list[UUID]:
        """Store deliveries in the inbox, quarantine any that the inbox rejects, and return the ids of the others."""
        try:
            async with self._database.transaction() as connection:
                await inbox.store(connection, deliveries)
        except DatabaseRejected as error:
            if len(deliveries) > 1:
                return [stored for delivery in deliveries for stored in await self._store([delivery])]
            _log.error("the inbox rejects a spooled delivery", delivery=str(deliveries[0].id), cause=str(error))
            await asyncio.to_thread(self._spool.quarantine, deliveries[0].id, str(error))
            return []
        return [delivery.id for delivery in deliveries]

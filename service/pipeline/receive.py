"""Receive: a delivery is proven authentic, stored once, and only then acknowledged.

Deliveries that arrive together share one statement and one commit: while batches are being written the next one
gathers, so its size follows the load by itself and an idle service answers at once. While PostgreSQL is away they go to
the spool on this machine's disk, and are moved to the inbox when it is back.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from service.deliveries.delivery import Delivery
from service.storage import inbox, inbox_writer
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError, DatabaseRejected, DatabaseUnavailable
from service.storage.spool import Spool, SpoolUnavailable
from service.telemetry import Telemetry

_log = structlog.get_logger(__name__)

Stored = Literal["stored", "duplicate", "spooled"]
"""Where a delivery is once it is on disk: new in the inbox, there already, or new in the spool."""

# While one batch is synced to disk, another one can be on its way.
_WRITERS = 2
_BATCH = 256
_BATCH_BYTES = 32 * 1024 * 1024
# What waits is in memory. Senders hear that they should come again before it grows further.
_MOST_WAITING_BYTES = 64 * 1024 * 1024
# GitHub and GitLab hang up after ten seconds: what is not durable in the inbox by then has to be in the spool, or is
# better refused while they listen.
_STORE_SECONDS = 7.0
_SPOOLING_SECONDS = 2.0
_MOVE_SECONDS = 30.0
_AGAIN_SECONDS = 0.5
_LOOK_SECONDS = 10.0


@dataclass(slots=True)
class _Waiting:
    """Deliveries of one request: they are stored together or not at all."""

    deliveries: Sequence[Delivery]
    size: int
    stored: asyncio.Future[list[Stored]]


class DeliveryWriter:
    """Stores deliveries durably, those that arrive together in one commit.

    Args:
        telemetry: shows how many deliveries the spool holds, and when each source last delivered.
        spool: takes deliveries while PostgreSQL is away; without one they are refused then.
        spooling: whether new deliveries go to the spool; earlier ones move to the inbox in any case.
        patience: seconds that PostgreSQL has for one batch; by default fewer where there is a spool.
    """

    def __init__(
        self,
        database: Database,
        telemetry: Telemetry,
        spool: Spool | None = None,
        *,
        spooling: bool = True,
        patience: float | None = None,
    ) -> None:
        self._database = database
        self._writers = [inbox_writer.InboxWriter(database) for _ in range(_WRITERS)]
        self._spool = spool
        self._spooling = spooling and spool is not None
        self._patience = patience or (_SPOOLING_SECONDS if self._spooling else _STORE_SECONDS)
        self._telemetry = telemetry
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._spooled = asyncio.Event()
        self._away = False
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def spools(self) -> bool:
        """Whether PostgreSQL was away when it was last needed, so that what comes goes to the spool."""
        return self._away

    def start(self) -> None:
        """Begin to write, and to move what an earlier process left in the spool; on the running event loop."""
        self._tasks = [asyncio.create_task(self._write(writer), name="receive") for writer in self._writers]
        if self._spool is not None:
            self._tasks.append(asyncio.create_task(self._empty(self._spool), name="empty the spool"))
            if self._spooling:
                self._look_ahead(self._spool)
            if self._spool.exists:
                self._spooled.set()

    def _look_ahead(self, spool: Spool) -> None:
        """Say now what would otherwise be found out when PostgreSQL is away."""
        try:
            spool.check_directory()
        except SpoolUnavailable as error:
            _log.warning("while PostgreSQL is away, deliveries will be refused", cause=str(error))

    async def stop(self, patience: float | None = None) -> None:
        """Write what has arrived, move the spool to the inbox if PostgreSQL answers, and end.

        Args:
            patience: seconds for all of it; by default, as long as it takes. What is left stays in the spool, or was
                never acknowledged.
        """
        self._stopping = True
        self._arrived.set()
        self._spooled.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*self._tasks)
        for writer in self._writers:
            await writer.close()
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)

    async def store(self, delivery: Delivery) -> Stored:
        """Keep a delivery; returns once it is on disk.

        Raises:
            DatabaseUnavailable: it could not be made durable; the sender should try again later.
            DatabaseRejected: PostgreSQL takes no such value, now or later.
        """
        return (await self._wait_for((delivery,), len(delivery.body)))[0]

    async def store_all(self, deliveries: Sequence[Delivery]) -> list[Stored]:
        """Keep deliveries, all of them or none; returns once they are on disk.

        Raises:
            DatabaseUnavailable: they could not be made durable; the sender should try again later.
            DatabaseRejected: PostgreSQL does not take one of them, now or later.
        """
        return await self._wait_for(deliveries, sum(len(delivery.body) for delivery in deliveries))

    async def _wait_for(self, deliveries: Sequence[Delivery], size: int) -> list[Stored]:
        # One that is larger than all that may wait is let in alone.
        if self._waiting and self._waiting_bytes + size > _MOST_WAITING_BYTES:
            raise DatabaseUnavailable("more deliveries wait to be stored than may wait")
        waiting = _Waiting(deliveries, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        self._arrived.set()
        try:
            stored = await waiting.stored
        finally:
            self._waiting_bytes -= size
        self._record_receipt(deliveries)
        return stored

    def _record_receipt(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._telemetry.record_last_delivery(delivery.source, delivery.received_at)

    async def _write(self, writer: inbox_writer.InboxWriter) -> None:
        while not self._stopping or self._waiting:
            await self._arrived.wait()
            batch = self._next_batch()
            if not self._waiting and not self._stopping:
                self._arrived.clear()
            if not batch:
                # Another one was sooner.
                continue
            try:
                await self._keep(batch, writer)
            except Exception as error:  # noqa: BLE001 - those that come after this batch must not wait for ever
                _log.exception("batch failed", deliveries=len(batch))
                _fail(batch, DatabaseUnavailable(f"a fault in loopgauge: {type(error).__name__}"))

    def _next_batch(self) -> list[_Waiting]:
        taken = rows = size = 0
        for waiting in self._waiting:
            rows += len(waiting.deliveries)
            size += waiting.size
            if taken and (rows > _BATCH or size > _BATCH_BYTES):
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _keep(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> None:
        """Store a batch in the inbox, or where that cannot be had, in the spool."""
        away = DatabaseUnavailable("PostgreSQL is away") if self._away else await self._try_inbox(batch, writer)
        left = [waiting for waiting in batch if not waiting.stored.done()]
        if away is None or not left:
            return
        if self._spool is not None and self._spooling:
            await self._spool_instead(left, self._spool, away)
        else:
            _fail(left, away)

    async def _try_inbox(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> DatabaseError | None:
        """Store a batch in the inbox, or tell why it cannot be had."""
        try:
            await abandon_after(self._patience, self._store(batch, writer))
        except TimeoutError:
            return DatabaseUnavailable(f"PostgreSQL did not answer within {self._patience:g} seconds")
        except DatabaseError as error:
            return error
        return None

    async def _store(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> None:
        try:
            new = set(await writer.store([one for waiting in batch for one in waiting.deliveries]))
        except DatabaseRejected as error:
            if len(batch) == 1:
                _fail(batch, error)
            for waiting in batch if len(batch) > 1 else ():
                # One bad row spoils the statement for all: alone, it fails alone.
                await self._store([waiting], writer)
        else:
            for waiting in batch:
                _settle(waiting, new, "stored")

    async def _spool_instead(self, batch: Sequence[_Waiting], spool: Spool, cause: DatabaseError) -> None:
        if not self._away:
            _log.warning("deliveries go to the spool", cause=str(cause))
        # From now on nobody waits for PostgreSQL before whoever empties the spool has found it again.
        self._away = True
        deliveries = [one for waiting in batch for one in waiting.deliveries]
        try:
            new = set(await asyncio.to_thread(spool.add, deliveries))
        except SpoolUnavailable as error:
            _log.error("deliveries are refused", cause=str(error))
            _fail(batch, DatabaseUnavailable(f"{cause}; {error}"))
            return
        finally:
            # Not before: whoever looks into the spool must find them there.
            self._spooled.set()
        for waiting in batch:
            _settle(waiting, new, "spooled")
        await self._show_pending(spool)

    async def _empty(self, spool: Spool) -> None:
        """Move deliveries from the spool to the inbox, oldest first, whenever both are there."""
        while True:
            await self._something_to_move(spool)
            # Before looking: what comes while this is under way is looked for again.
            self._spooled.clear()
            ending = self._stopping
            await self._show_pending(spool)
            try:
                moved = await self._move(spool)
            except (DatabaseError, SpoolUnavailable, TimeoutError) as error:
                _log.debug("the spool is not emptied yet", cause=str(error))
                moved = None
            except Exception:  # noqa: BLE001 - a fault in one attempt must not end all of them
                _log.exception("the spool is not emptied")
                moved = None
            if ending and not moved:
                return
            if moved is None:
                await asyncio.sleep(_AGAIN_SECONDS)
            if moved != 0:
                self._spooled.set()

    async def _something_to_move(self, spool: Spool) -> None:
        """Wait until something was spooled here, or may have been left by another process that uses the same file."""
        while not self._spooled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._spooled.wait()
            if spool.exists:
                return

    async def _move(self, spool: Spool) -> int:
        """Move the next deliveries, and return how many; PostgreSQL that takes them is the end of an outage."""
        if self._away:
            await abandon_after(self._patience, self._database.check_writable())
        try:
            waiting = await asyncio.to_thread(spool.read_oldest, _BATCH)
        except SpoolUnavailable:
            # What is wrong with the spool must not keep new deliveries from the inbox.
            self._be_back()
            raise
        moved = await abandon_after(_MOVE_SECONDS, self._hand_over(waiting, spool)) if waiting else []
        self._be_back()
        if waiting:
            # Those that an earlier process has left were not heard of here.
            self._record_receipt(waiting)
            # In the inbox first, then out of the spool: who is killed in between moves them again, to where they are.
            await asyncio.to_thread(spool.remove, moved)
        await self._show_pending(spool)
        return len(waiting)

    async def _show_pending(self, spool: Spool) -> None:
        with suppress(SpoolUnavailable):
            self._telemetry.set_spool_pending(await asyncio.to_thread(spool.count))

    def _be_back(self) -> None:
        if self._away:
            _log.info("PostgreSQL is back")
        self._away = False

    async def _hand_over(self, deliveries: Sequence[Delivery], spool: Spool) -> list[UUID]:
        """Store deliveries in the inbox, and return which are there now."""
        try:
            async with self._database.transaction() as connection:
                await inbox.store(connection, deliveries)
        except DatabaseRejected as error:
            if len(deliveries) > 1:
                return [moved for one in deliveries for moved in await self._hand_over([one], spool)]
            _log.error("the inbox refuses a spooled delivery", delivery=str(deliveries[0].id), cause=str(error))
            await asyncio.to_thread(spool.quarantine, deliveries[0].id, str(error))
            return []
        return [one.id for one in deliveries]


def _settle(waiting: _Waiting, new: set[UUID], where: Literal["stored", "spooled"]) -> None:
    """Tell what became of each delivery, and take those that were new out of `new`."""
    stored: list[Stored] = []
    for delivery in waiting.deliveries:
        stored.append(where if delivery.id in new else "duplicate")
        # A second copy in the same batch is a duplicate of the first.
        new.discard(delivery.id)
    # Who has hung up meanwhile has cancelled the future.
    if not waiting.stored.done():
        waiting.stored.set_result(stored)


def _fail(batch: Sequence[_Waiting], error: DatabaseError) -> None:
    for waiting in batch:
        if not waiting.stored.done():
            waiting.stored.set_exception(error)

"""Receive: store each delivery durably, and only then acknowledge it.

Group commit: deliveries that arrive together share one statement and one commit. Deliveries that arrive while a batch
is being written form the next batch. Batches therefore grow with the load, and an idle service answers at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from service.deliveries.delivery import Delivery
from service.pipeline.spool_drain import SpoolDrain
from service.storage import inbox_writer
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError, DatabaseRejected, DatabaseUnavailable
from service.storage.spool import Spool
from service.storage.spool_file import SpoolUnavailable
from service.telemetry import Telemetry

_log = structlog.get_logger(__name__)

Stored = Literal["stored", "duplicate", "spooled"]
"""The result of storing a delivery: new in the inbox, a duplicate of a stored delivery, or new in the spool."""

# While one writer waits for PostgreSQL to sync a batch to disk, the other writer sends the next batch. One writer alone
# stores 9 to 16 % fewer deliveries a second.
_WRITERS = 2
_BATCH = 256
_BATCH_BYTES = 32 * 1024 * 1024
# Backpressure: while deliveries of this total size wait in memory, new deliveries are refused with a 503.
_MAX_WAITING_BYTES = 64 * 1024 * 1024
# GitHub and GitLab disconnect after ten seconds. Before that, each delivery must be stored in the inbox or the spool,
# or be refused.
_INBOX_SECONDS = 7.0
_INBOX_SECONDS_BEFORE_SPOOL = 2.0


@dataclass(slots=True)
class _Waiting:
    """The deliveries of one request, which are stored together or not at all."""

    deliveries: Sequence[Delivery]
    size: int
    stored: asyncio.Future[list[Stored]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A batch that could be stored neither in the inbox nor in the spool.

    Attributes:
        size: the bytes of its bodies.
    """

    size: int


class DeliveryWriter:
    """Stores deliveries in the inbox, or in the spool while PostgreSQL is away.

    Args:
        telemetry: shows how many deliveries the spool contains, and when each source sent its last delivery.
        spool: the spool of this process; without one, deliveries are refused while PostgreSQL is away.
        spooling: whether new deliveries may go to the spool. Deliveries that are already in the spool are moved to the
            inbox in any case.
        patience: the longest time, in seconds, to wait for PostgreSQL to store a batch. By default it is shorter if
            deliveries may go to the spool.
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
        spooling = spooling and spool is not None
        self._telemetry = telemetry
        self._patience = patience or (_INBOX_SECONDS_BEFORE_SPOOL if spooling else _INBOX_SECONDS)
        self._writers = [inbox_writer.InboxWriter(database) for _ in range(_WRITERS)]
        self._drain = SpoolDrain(database, telemetry, spool, self._patience) if spool is not None else None
        self._fallback = self._drain if spooling else None
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._stopping = False
        self._refusal: Refusal | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def spools(self) -> bool:
        """Whether new deliveries go to the spool, because PostgreSQL was away when the service last tried to use it."""
        return self._drain is not None and self._drain.outage

    @property
    def refusal(self) -> Refusal | None:
        """The last batch, if it was refused; None if it was stored, or if a check has shown that batches can be stored
        again.
        """
        return self._refusal

    def forget(self, refusal: Refusal) -> None:
        """Forget a refusal, because a check has shown that a batch of its size can be stored."""
        # Another batch may have been refused meanwhile.
        if self._refusal is refusal:
            self._refusal = None

    def start(self) -> None:
        """Start the writers, and the task that drains the spool into the inbox, on the running event loop."""
        self._tasks = [asyncio.create_task(self._write_batches(writer), name="receive") for writer in self._writers]
        if self._fallback is not None:
            self._fallback.check_directory()
        if self._drain is not None:
            self._drain.start()

    async def stop(self, patience: float | None = None) -> None:
        """Write the deliveries that have arrived, move the spool to the inbox if PostgreSQL answers, and end the tasks.

        Args:
            patience: seconds for all of these steps; None for no limit. If a delivery is not on disk after this
                time, its request fails.
        """
        self._stopping = True
        self._arrived.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*self._tasks)
                if self._drain is not None:
                    await self._drain.finish()
        _fail(self._waiting, DatabaseUnavailable("the service is stopping"))
        for writer in self._writers:
            await writer.close()
        if self._drain is not None:
            await self._drain.close()

    async def store(self, delivery: Delivery) -> Stored:
        """Store a delivery, and return once it is on disk.

        Raises:
            DatabaseUnavailable: the delivery could not be made durable; the sender should retry later.
            DatabaseRejected: PostgreSQL rejects a value; a retry cannot succeed.
        """
        return (await self._store_request((delivery,), len(delivery.body)))[0]

    async def store_all(self, deliveries: Sequence[Delivery]) -> list[Stored]:
        """Store either all of the deliveries or none, and return once they are on disk.

        Raises:
            DatabaseUnavailable: the deliveries could not be made durable; the sender should retry later.
            DatabaseRejected: PostgreSQL rejects a value of one delivery; a retry cannot succeed.
        """
        return await self._store_request(deliveries, sum(len(delivery.body) for delivery in deliveries))

    async def _store_request(self, deliveries: Sequence[Delivery], size: int) -> list[Stored]:
        # A request that is larger than the limit is admitted if no other request waits.
        if self._waiting and self._waiting_bytes + size > _MAX_WAITING_BYTES:
            raise DatabaseUnavailable("too many deliveries wait to be stored")
        waiting = _Waiting(deliveries, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        self._arrived.set()
        try:
            stored = await waiting.stored
        finally:
            self._waiting_bytes -= size
        for delivery in deliveries:
            self._telemetry.record_last_delivery(delivery.source, delivery.received_at)
        return stored

    async def _write_batches(self, writer: inbox_writer.InboxWriter) -> None:
        while not self._stopping or self._waiting:
            await self._arrived.wait()
            batch = self._next_batch()
            if not self._waiting and not self._stopping:
                self._arrived.clear()
            if not batch:
                # The other writer has taken all deliveries.
                continue
            try:
                await self._write_batch(batch, writer)
            except asyncio.CancelledError:
                _fail(batch, DatabaseUnavailable("the service is stopping"))
                raise
            except Exception as error:  # noqa: BLE001 - a bug in one batch must not stop the writer
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

    async def _write_batch(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> None:
        """Write a batch to the inbox, or else to the spool."""
        error = DatabaseUnavailable("PostgreSQL is away") if self.spools else await self._try_inbox(batch, writer)
        left = [waiting for waiting in batch if not waiting.stored.done()]
        if error is None or not left:
            self._refusal = None
        elif self._fallback is not None:
            await self._write_to_spool(left, self._fallback, error)
        else:
            self._refuse(left, error)

    async def _try_inbox(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> DatabaseError | None:
        """Write a batch to the inbox. Return the error if PostgreSQL does not store the batch."""
        try:
            await abandon_after(self._patience, self._write_to_inbox(batch, writer))
        except TimeoutError:
            return DatabaseUnavailable(f"PostgreSQL did not answer within {self._patience:g} seconds")
        except DatabaseError as error:
            return error
        return None

    async def _write_to_inbox(self, batch: Sequence[_Waiting], writer: inbox_writer.InboxWriter) -> None:
        try:
            new = set(await writer.store([delivery for waiting in batch for delivery in waiting.deliveries]))
        except DatabaseRejected as error:
            if len(batch) == 1:
                _fail(batch, error)
            for waiting in batch if len(batch) > 1 else ():
                # PostgreSQL rejects the whole statement because of one row: write each request alone.
                await self._write_to_inbox([waiting], writer)
        else:
            for waiting in batch:
                _answer(waiting, new, "stored")

    async def _write_to_spool(self, batch: Sequence[_Waiting], drain: SpoolDrain, cause: DatabaseError) -> None:
        try:
            new = await drain.add([delivery for waiting in batch for delivery in waiting.deliveries], cause)
        except SpoolUnavailable as error:
            _log.error("deliveries are refused", cause=str(error))
            self._refuse(batch, DatabaseUnavailable(f"{cause}; {error}"))
            return
        self._refusal = None
        for waiting in batch:
            _answer(waiting, new, "spooled")
        await drain.show_pending()

    def _refuse(self, batch: Sequence[_Waiting], error: DatabaseError) -> None:
        self._refusal = Refusal(sum(waiting.size for waiting in batch))
        _fail(batch, error)


def _answer(waiting: _Waiting, new: set[UUID], where: Literal["stored", "spooled"]) -> None:
    """Answer a request, and remove its deliveries from `new`.

    If a later request of the batch brings one of these deliveries again, the answer to it says `duplicate`.
    """
    stored: list[Stored] = []
    for delivery in waiting.deliveries:
        stored.append(where if delivery.id in new else "duplicate")
        new.discard(delivery.id)
    # If the client has disconnected, the future is already cancelled.
    if not waiting.stored.done():
        waiting.stored.set_result(stored)


def _fail(batch: Sequence[_Waiting], error: DatabaseError) -> None:
    for waiting in batch:
        if not waiting.stored.done():
            waiting.stored.set_exception(error)

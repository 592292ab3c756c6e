"""Receive: a delivery is proven authentic, stored once, and only then acknowledged.

Deliveries that arrive together share one statement and one commit: while one batch is being written the next one
gathers, so its size follows the load by itself and an idle service answers at once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from service.storage import inbox
from service.storage.database import Database, DatabaseError, DatabaseRejected, DatabaseUnavailable
from service.webhook import Delivery

_log = structlog.get_logger(__name__)

Stored = Literal["stored", "duplicate"]

_BATCH = 256
_BATCH_BYTES = 32 * 1024 * 1024
# GitHub and GitLab hang up after ten seconds; what is not durable by then is better refused while they listen.
_STORE_SECONDS = 8.0


@dataclass(slots=True)
class _Waiting:
    """Deliveries of one request: they are stored together or not at all."""

    deliveries: Sequence[Delivery]
    stored: asyncio.Future[list[Stored]]


class Receiver:
    """Stores deliveries durably, those that arrive together in one commit.

    How many may wait is bounded by who reads the bodies: see `MAX_INFLIGHT_BYTES`.

    Args:
        patience: seconds that PostgreSQL is given for one batch.
    """

    def __init__(self, database: Database, *, patience: float = _STORE_SECONDS) -> None:
        self._database = database
        self._patience = patience
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to write; on the running event loop."""
        self._writer = asyncio.create_task(self._write(), name="receive")

    async def stop(self) -> None:
        """Write what has arrived, and end."""
        self._stopping = True
        self._arrived.set()
        if self._writer is not None:
            await self._writer

    async def store(self, delivery: Delivery) -> Stored:
        """Keep a delivery; returns once it is on disk.

        Raises:
            DatabaseUnavailable: it could not be made durable; the sender should try again later.
            DatabaseRejected: PostgreSQL takes no such value, now or later.
        """
        return (await self.store_all([delivery]))[0]

    async def store_all(self, deliveries: Sequence[Delivery]) -> list[Stored]:
        """Keep deliveries, all of them or none; returns once they are on disk.

        Raises:
            DatabaseUnavailable: they could not be made durable; the sender should try again later.
            DatabaseRejected: PostgreSQL does not take one of them, now or later.
        """
        waiting = _Waiting(deliveries, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.stored

    async def _write(self) -> None:
        while not self._stopping or self._waiting:
            await self._arrived.wait()
            batch = self._next_batch()
            if not self._waiting and not self._stopping:
                self._arrived.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._store(batch)
            except TimeoutError:
                _fail(batch, DatabaseUnavailable(f"PostgreSQL did not answer within {self._patience:g} seconds"))
            except Exception as error:  # noqa: BLE001 - those that come after this batch must not wait for ever
                _log.exception("batch failed", deliveries=len(batch))
                _fail(batch, DatabaseUnavailable(f"a fault in loopgauge: {type(error).__name__}"))

    def _next_batch(self) -> list[_Waiting]:
        taken = number = size = 0
        for waiting in self._waiting[:_BATCH]:
            number += len(waiting.deliveries)
            size += sum(len(delivery.body) for delivery in waiting.deliveries)
            if taken and (number > _BATCH or size > _BATCH_BYTES):
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        try:
            if not batch:
                return
            async with self._database.transaction() as connection:
                new = set(await inbox.store(connection, [one for waiting in batch for one in waiting.deliveries]))
        except DatabaseRejected as error:
            if len(batch) == 1:
                _fail(batch, error)
            for waiting in batch if len(batch) > 1 else ():
                # One bad row spoils the statement for all: alone, it fails alone.
                await self._store([waiting])
        except DatabaseError as error:
            _fail(batch, error)
        else:
            for waiting in batch:
                _settle(waiting, new)


def _settle(waiting: _Waiting, new: set[UUID]) -> None:
    """Tell what became of each delivery, and take those that were stored out of `new`."""
    stored: list[Stored] = []
    for delivery in waiting.deliveries:
        stored.append("stored" if delivery.id in new else "duplicate")
        # A second copy in the same batch is a duplicate of the first.
        new.discard(delivery.id)
    # Who has hung up meanwhile has cancelled the future.
    if not waiting.stored.done():
        waiting.stored.set_result(stored)


def _fail(batch: Sequence[_Waiting], error: DatabaseError) -> None:
    for waiting in batch:
        if not waiting.stored.done():
            waiting.stored.set_exception(error)

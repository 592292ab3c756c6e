"""Replay: stored deliveries are interpreted again under today's rules."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from service.deliveries.delivery import Delivery
from service.metrics.terms import Terms
from service.pipeline.interpret import revise_events, revise_interpretations
from service.pipeline.project import project_dirty
from service.pipeline.snapshot import ExperimentCache, sample_values
from service.rules.model import Rules
from service.storage import dirty_subjects, inbox
from service.storage.database import Database, Transactions
from service.storage.dry_run import open_dry_run
from service.storage.errors import DatabaseUnavailable

_BATCH = 200
_WAIT_SECONDS = 0.1
_PAUSES = (0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger(__name__)
_Done = TypeVar("_Done")

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]
"""Told how many deliveries are done, and of how many."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to: how many deliveries it read, and each figure that changed, from what to what."""

    deliveries: int
    changed: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Replay:
    """Interprets deliveries again whose bodies are still held; what only others brought stays as it is.

    Attributes:
        rules: today's.
        terms: of the figures that are compared.
        clock: the time now, UTC.
        progress: told after each batch.
    """

    rules: Rules
    terms: Terms
    clock: Clock
    progress: Progress

    async def run(self, database: Database, since: datetime | None = None) -> ReplayResult:
        """Replay deliveries received since a time, batch by batch, while live traffic goes on.

        Each batch is a transaction of its own, and tried again where PostgreSQL is away for a moment. What is received
        after the beginning is not waited for.

        Raises:
            DatabaseUnavailable: it stopped half-way; running it again does no harm, and tells what that changes yet.
        """
        return await self._replay(database, since)

    async def dry_run(self, database: Database, since: datetime | None = None) -> ReplayResult:
        """What `run` would come to if nothing else happened meanwhile; changes nothing, and holds nobody up.

        Raises:
            DatabaseUnavailable: it was not finished.
        """
        async with open_dry_run(database) as copies:
            return await self._replay(copies, since)

    async def _replay(self, database: Transactions, since: datetime | None) -> ReplayResult:
        # What is still to be projected is no change of ours.
        await self._project(database)
        async with database.transaction() as connection:
            before = await ExperimentCache().view(connection, self.terms, self.clock())
            total, until = await inbox.count_replayable(connection, since or _BEGINNING)
        done, last = 0, (since or _BEGINNING, UUID(int=0))
        while batch := await _patiently(database, partial(self._batch, database, last, until)):
            done, last = done + len(batch), (batch[-1].received_at, batch[-1].id)
            self.progress(done, max(done, total))
        await _patiently(database, partial(self._project, database))
        async with database.transaction() as connection:
            after = await ExperimentCache().view(connection, self.terms, self.clock())
        # Both as of now, so that the time that has passed changes nothing.
        now = self.clock()
        return ReplayResult(done, _changes(sample_values(before.at(now)), sample_values(after.at(now))))

    async def _batch(self, database: Transactions, last: tuple[datetime, UUID], until: datetime) -> list[Delivery]:
        async with database.transaction() as connection:
            batch = await inbox.replayable(connection, last, until, _BATCH)
            if database.exclusive:
                await revise_events(connection, self.rules, batch)
            else:
                await revise_interpretations(connection, self.rules, batch, self.clock())
        return batch

    async def _project(self, database: Transactions) -> None:
        """See that what is touched now is projected, by us or by workers, whatever is touched meanwhile."""
        async with database.transaction() as connection:
            newest = await dirty_subjects.newest_mark(connection)
        while await self._is_touched(database, newest):
            if not await project_dirty(database, self.clock):
                await asyncio.sleep(_WAIT_SECONDS)

    async def _is_touched(self, database: Transactions, mark: int) -> bool:
        async with database.transaction() as connection:
            return await dirty_subjects.has_due(connection, mark, self.clock())


async def _patiently(database: Transactions, work: Callable[[], Awaitable[_Done]]) -> _Done:
    """Work on the database, again where it is away for a moment; what is done in one transaction has but one chance."""
    for pause in () if database.exclusive else _PAUSES:
        try:
            return await work()
        except DatabaseUnavailable as error:
            _log.warning("replay waits for PostgreSQL", cause=str(error))
            await asyncio.sleep(pause)
    return await work()


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float | None, float | None]]:
    """Figures that differ; one that is not there on a side is None."""
    names = sorted({*before, *after})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}

"""Replay: interpret stored deliveries again, by the current rules."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from service.storage.database import Database, Transactions, is_exclusive
from service.storage.dry_run import open_dry_run
from service.storage.errors import DatabaseUnavailable

_BATCH = 200
_ROUNDS = 2
_WAIT_SECONDS = 0.1
_BACKOFF = (0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger(__name__)
_Done = TypeVar("_Done")

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]
"""A function that is called with the number of finished deliveries, and the number of all deliveries."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The number of deliveries that a replay read, and the old and new value of each sample that changed."""

    deliveries: int
    changed: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Replay:
    """Interprets again all deliveries whose bodies are still stored. The events of other deliveries do not change.

    Attributes:
        rules: the current rules.
        terms: the windows, thresholds and limits of the metrics that a replay compares before and after its changes.
        clock: returns the current time in UTC.
        progress: called after each batch.
    """

    rules: Rules
    terms: Terms
    clock: Clock
    progress: Progress

    async def run(self, database: Database, since: datetime | None = None) -> ReplayResult:
        """Replay the deliveries received at `since` or later, batch by batch, while live traffic goes on.

        Each batch is a separate transaction, which is retried if PostgreSQL is away for a moment. Deliveries received
        after the start are not replayed.

        Raises:
            DatabaseUnavailable: the replay stopped before the end. Another run is safe, and reports only the remaining
                changes.
        """
        return await self._replay(database, since, _BACKOFF)

    async def dry_run(self, database: Database, since: datetime | None = None) -> ReplayResult:
        """Report what `run` would change, without changing anything or blocking live traffic.

        Raises:
            DatabaseUnavailable: the dry run did not finish.
        """
        async with open_dry_run(database) as copies:
            # A dry run is a single transaction, so it cannot be retried.
            return await self._replay(copies, since, backoff=())

    async def _replay(self, database: Transactions, since: datetime | None, backoff: Sequence[float]) -> ReplayResult:
        # Project first: the replay must not report changes that were already waiting for their projection.
        await self._project(database)
        async with database.transaction() as connection:
            before = await ExperimentCache().view(connection, self.terms, self.clock())
            total, until = await inbox.count_replayable(connection, since or _BEGINNING)
        done, last = 0, (since or _BEGINNING, UUID(int=0))
        while batch := await _retry(backoff, partial(self._batch, database, last, until)):
            done, last = done + len(batch), (batch[-1].received_at, batch[-1].id)
            self.progress(done, max(done, total))
        await _retry(backoff, partial(self._project, database))
        async with database.transaction() as connection:
            after = await ExperimentCache().view(connection, self.terms, self.clock())
        # Compare both views as of the same time, so that no sample differs only because time has passed.
        now = self.clock()
        return ReplayResult(done, _changes(sample_values(before.at(now)), sample_values(after.at(now))))

    async def _batch(self, database: Transactions, last: tuple[datetime, UUID], until: datetime) -> list[Delivery]:
        async with database.transaction() as connection:
            batch = await inbox.replayable(connection, last, until, _BATCH)
            if is_exclusive(connection):
                await revise_events(connection, self.rules, batch)
            else:
                await revise_interpretations(connection, self.rules, batch, self.clock())
        return batch

    async def _project(self, database: Transactions) -> None:
        """Project subjects until each subject that is dirty now is projected, or set aside after an error.

        The projection of a project or group marks what is in it dirty. Therefore a second round projects these subjects
        too.
        """
        for _ in range(_ROUNDS):
            async with database.transaction() as connection:
                newest = await dirty_subjects.newest_mark(connection)
            while await self._has_dirty(database, newest):
                if not await project_dirty(database, self.clock):
                    await asyncio.sleep(_WAIT_SECONDS)

    async def _has_dirty(self, database: Transactions, mark: int) -> bool:
        async with database.transaction() as connection:
            return await dirty_subjects.has_due(connection, mark, self.clock())


async def _retry(backoff: Sequence[float], work: Callable[[], Awaitable[_Done]]) -> _Done:
    """Do some work. While PostgreSQL is away, retry the work after each pause in `backoff`."""
    for pause in backoff:
        try:
            return await work()
        except DatabaseUnavailable as error:
            _log.warning("replay waits for PostgreSQL", cause=str(error))
            await asyncio.sleep(pause)
    return await work()


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float | None, float | None]]:
    """The old and new value of each sample whose value differs. None stands for a missing sample."""
    names = sorted({*before, *after})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}

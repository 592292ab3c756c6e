"""Replay: stored deliveries are interpreted again under today's rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from service.metrics.view import Window
from service.pipeline.interpret import write_down
from service.pipeline.project import project, project_touched
from service.pipeline.snapshot import figures, read_view
from service.rules.model import Rules
from service.storage import events, inbox
from service.storage.database import Connection, Database

_BATCH = 50
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]
"""Told how many deliveries are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to: how many deliveries it read, and each figure that changed, from what to what."""

    deliveries: int
    changed: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Replay:
    """Interprets deliveries again whose bodies are still held; what only others brought stays as it is.

    Attributes:
        rules: today's.
        windows: of the figures that are compared.
        clock: the time now, UTC.
        progress: told after each batch.
    """

    rules: Rules
    windows: Sequence[Window]
    clock: Clock
    progress: Progress

    async def run(self, database: Database, since: datetime | None = None) -> Replayed:
        """Replay deliveries received since a time, batch by batch, while live traffic goes on.

        Raises:
            DatabaseUnavailable: it stopped half-way; running it again does no harm.
        """
        now = self.clock()
        async with database.transaction() as connection:
            before = figures(await read_view(connection, self.windows), now)
            total = await inbox.count_held(connection, since or _BEGINNING)
        done, last = 0, _start(since)
        while True:
            async with database.transaction() as connection:
                count, last = await self._batch(connection, last)
            if not count:
                break
            done += count
            self.progress(done, total)
        while await project_touched(database, self.clock):
            pass
        async with database.transaction() as connection:
            return Replayed(done, _changes(before, figures(await read_view(connection, self.windows), now)))

    async def rehearse(self, database: Database, since: datetime | None = None) -> Replayed:
        """What `run` would come to; changes nothing.

        It all happens in one transaction that is undone. Deliveries are received meanwhile, and interpreted after it.

        Raises:
            DatabaseUnavailable: it was not finished.
        """
        now = self.clock()
        async with database.transaction() as connection:
            undone = await connection.begin_nested()
            before = figures(await read_view(connection, self.windows), now)
            total = await inbox.count_held(connection, since or _BEGINNING)
            done, last = 0, _start(since)
            while True:
                count, last = await self._batch(connection, last)
                if not count:
                    break
                done += count
                self.progress(done, total)
            while touched := await events.claim_touched(connection, _BATCH, now):
                await project(connection, touched)
            after = figures(await read_view(connection, self.windows), now)
            await undone.rollback()
        return Replayed(done, _changes(before, after))

    async def _batch(self, connection: Connection, last: tuple[datetime, UUID]) -> tuple[int, tuple[datetime, UUID]]:
        held = await inbox.held(connection, last, _BATCH)
        await write_down(connection, self.rules, held, self.clock(), events.revise)
        return len(held), (held[-1].received_at, held[-1].id) if held else last


def _start(since: datetime | None) -> tuple[datetime, UUID]:
    return since or _BEGINNING, UUID(int=0)


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float | None, float | None]]:
    """Figures that differ; one that is not there on a side is None."""
    names = sorted({*before, *after})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}

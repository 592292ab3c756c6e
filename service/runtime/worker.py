"""The background work: interpret and project; and, where this process leads, keep the snapshot fresh and retain."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import structlog

from service.pipeline.interpret import interpret_pending
from service.pipeline.latency import DeliveryLatency
from service.pipeline.project import BATCH, project_dirty
from service.pipeline.retention import forget_bodies, forget_unattached
from service.pipeline.snapshot import ExportedSnapshot
from service.rules.model import Rules
from service.runtime.leadership import Leadership
from service.runtime.refresher import Refresher
from service.runtime.subprocess import ChildProcessFailed
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError
from service.telemetry import Telemetry

# How soon idle loops look again: a lookup in an index that is empty but for what is pending.
_IDLE_SECONDS = 0.2
_GATHER_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 5.0
_REFRESH_SPACING_SECONDS = 1.0
_FIRST_RETAIN_SECONDS = 300.0
_RETAIN_SECONDS = 3600.0
# Longer than any one statement may take, and what one step is made of.
_STEP_SECONDS = 120.0
_SNAPSHOT_SECONDS = 60.0
_FINISH_SECONDS = 10.0

_log = structlog.get_logger(__name__)

Step: TypeAlias = Callable[[], Coroutine[Any, Any, int]]
"""Work that is done in one go; returns how much it was."""


def retry_seconds(failures: int) -> float:
    """How long work waits that has failed so many times in a row."""
    doublings = min(failures - 1, 10)  # beyond, it is the longest anyway
    return min(_RETRY_SECONDS * 2.0**doublings, _LONGEST_RETRY_SECONDS)


class Worker:
    """Turns stored deliveries into experiments, and experiments into a snapshot.

    Args:
        leadership: whether this process is the one that takes snapshots and forgets what is old.
        refresher: takes the snapshots.
        raw_retention: how long is kept what was sent in a delivery that has its verdict.
        evidence_retention: how long evidence is kept that belongs to no experiment.
        interval: how old the snapshot may get; after a change it is refreshed sooner.
        clock: the time now, UTC.
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        telemetry: Telemetry,
        leadership: Leadership,
        refresher: Refresher,
        raw_retention: timedelta,
        evidence_retention: timedelta,
        interval: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rules = rules
        self._telemetry = telemetry
        self._leadership = leadership
        self._refresher = refresher
        self._raw_retention = raw_retention
        self._evidence_retention = evidence_retention
        self._interval = interval
        self._clock = clock
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._snapshot: ExportedSnapshot | None = None
        self._visibility = DeliveryLatency(telemetry)

    @property
    def snapshot(self) -> ExportedSnapshot | None:
        """The last snapshot; None where this process does not lead, and until it has taken its first one."""
        return self._snapshot if self._leadership.leads else None

    def start(self) -> None:
        """Begin; on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._repeat(self._interpret), name="interpret"),
            asyncio.create_task(self._repeat(self._project), name="project"),
            asyncio.create_task(self._leadership.run(self._stopping, self._begin_to_lead), name="lead"),
            asyncio.create_task(self._refresh(), name="snapshot"),
            asyncio.create_task(self._retain(), name="retain"),
        ]

    async def stop(self) -> None:
        """Finish what is pending, within bounds, and end; what is left stays for the next worker."""
        self._stopping.set()
        self._changed.set()
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                await asyncio.gather(*self._tasks)
                # The last deliveries may have been interpreted after projection had seen nothing left.
                await self._repeat(self._project)
        except TimeoutError:
            _log.warning("work left to the next worker")
        await self._refresher.close()

    async def _interpret(self) -> int:
        return await interpret_pending(self._database, self._rules, self._telemetry, self._clock)

    async def _project(self) -> int:
        projected = await project_dirty(self._database, self._clock, self._telemetry)
        if projected:
            self._changed.set()
        if 0 < projected < BATCH:
            # Much is soon said again of what is being talked about: together, it is folded once.
            await self._pause(_GATHER_SECONDS)
        return projected

    async def _repeat(self, step: Step) -> None:
        failures = 0
        while True:
            # What was acknowledged before the end was asked for is seen by a step that begins after it.
            ending = self._stopping.is_set()
            done = await self._attempt(step)
            if ending and not done:
                return
            failures = failures + 1 if done is None else 0
            if failures:
                await self._pause(retry_seconds(failures))
            elif done == 0:
                await self._pause(_IDLE_SECONDS)

    def _begin_to_lead(self) -> None:
        # From when we led last: others have exported newer ones since.
        self._snapshot = None
        self._visibility = DeliveryLatency(self._telemetry)
        self._changed.set()

    async def _refresh(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._changed.clear()
            if self._leadership.leads:
                if await self._attempt(self._take_snapshot, _SNAPSHOT_SECONDS) is None:
                    failures += 1
                    await self._pause(retry_seconds(failures))
                    continue
                failures = 0
                await self._pause(self._spacing())
            else:
                await self._refresher.close()
            await self._until_changed()

    def _spacing(self) -> float:
        """How long to wait after a snapshot, so that refreshing takes a third of the time or what the interval asks."""
        took = self._snapshot.took.total_seconds() if self._snapshot else 0.0
        return min(max(_REFRESH_SPACING_SECONDS, 2 * took), self._interval.total_seconds())

    async def _until_changed(self) -> None:
        try:
            async with asyncio.timeout(self._interval.total_seconds()):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _retain(self) -> None:
        # Not at the start: who restarts often would look through everything often.
        await self._pause(_FIRST_RETAIN_SECONDS)
        while not self._stopping.is_set():
            if self._leadership.leads:
                await self._attempt(self._forget_bodies, _RETAIN_SECONDS)
                await self._attempt(self._forget_unattached, _RETAIN_SECONDS)
            await self._pause(_RETAIN_SECONDS)

    async def _forget_bodies(self) -> int:
        forgotten = await forget_bodies(self._database, self._clock() - self._raw_retention)
        if forgotten:
            _log.info("bodies of deliveries forgotten", deliveries=forgotten)
        return forgotten

    async def _forget_unattached(self) -> int:
        forgotten = await forget_unattached(self._database, self._clock() - self._evidence_retention)
        if forgotten:
            _log.info("unattached evidence forgotten", subjects=forgotten)
        return forgotten

    async def _take_snapshot(self) -> int:
        visibility, steady = self._visibility, asyncio.get_running_loop().time
        await visibility.fresh(self._database, self._clock())
        began = steady()
        snapshot = await self._refresher.refresh()
        # Compressing leaves the event loop to others.
        exported = await asyncio.to_thread(ExportedSnapshot.of, snapshot, timedelta(seconds=steady() - began))
        # Where this process has begun to lead anew meanwhile, somebody else may have exported a newer one.
        if visibility is self._visibility:
            self._snapshot = exported
            visibility.shown(self._clock())
        return 1

    async def _attempt(self, step: Step, patience: float | None = None) -> int | None:
        """One step, or None where it failed: the work stays where it is, and is tried again."""
        patience = patience or _STEP_SECONDS
        try:
            # A connection may have gone silent: whoever waits on it for an answer waits for ever.
            return await abandon_after(patience, step())
        except (DatabaseError, ChildProcessFailed, TimeoutError) as error:
            cause = str(error) or f"not done within {patience:g} seconds"
            _log.warning("work postponed", work=step.__name__.strip("_"), cause=cause)
        except Exception:  # noqa: BLE001 - a fault in one step must not end the loop
            _log.exception("work failed")
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the end begins."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

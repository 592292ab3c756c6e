"""The background work: interpret deliveries and project subjects; on the leader, take snapshots and delete old data."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import structlog

from service.pipeline.clock_check import ClockInDoubt
from service.pipeline.delivery_latency import DeliveryLatency
from service.pipeline.interpret import interpret_pending
from service.pipeline.project import BATCH, project_dirty
from service.pipeline.retention import delete_old
from service.pipeline.snapshot import ExportedSnapshot
from service.rules.model import Rules
from service.runtime import shutdown
from service.runtime.failure_log import FailureLog
from service.runtime.figures_process import FiguresProcess
from service.runtime.leadership import Leadership
from service.runtime.pause import pause
from service.runtime.subprocess import ChildProcessFailed
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError
from service.telemetry import Telemetry

# Polling is cheap: each poll is one lookup in the index of pending deliveries.
_IDLE_SECONDS = 0.2
_DEBOUNCE_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 5.0
_REFRESH_SPACING_SECONDS = 1.0
_FIRST_RETAIN_SECONDS = 300.0
_RETAIN_SECONDS = 3600.0
# The time limit of one step, which is longer than the timeout of any statement.
_STEP_SECONDS = 120.0
_SNAPSHOT_SECONDS = 60.0

_log = structlog.get_logger(__name__)

Step: TypeAlias = Callable[[], Coroutine[Any, Any, int]]
"""A function that does one batch of work, and returns the size of the batch."""


def retry_seconds(failures: int) -> float:
    """The pause in seconds after this number of consecutive failures, with exponential backoff."""
    doublings = min(failures - 1, 10)  # avoids an overflow; the result is capped anyway
    return min(_RETRY_SECONDS * 2.0**doublings, _LONGEST_RETRY_SECONDS)


class Worker:
    """Turns stored deliveries into experiments, and experiments into a snapshot.

    Args:
        leadership: decides whether this process takes snapshots and applies the retention.
        figures: the process that computes the snapshots.
        raw_retention: how long the body of a processed delivery is kept.
        evidence_retention: how long evidence that belongs to no experiment is kept.
        interval: how long to wait for a change; after this time, the next snapshot is taken even without a change.
        clock: returns the current time in UTC.
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        telemetry: Telemetry,
        leadership: Leadership,
        figures: FiguresProcess,
        raw_retention: timedelta,
        evidence_retention: timedelta,
        interval: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rules = rules
        self._telemetry = telemetry
        self._leadership = leadership
        self._figures = figures
        self._raw_retention = raw_retention
        self._evidence_retention = evidence_retention
        self._interval = interval
        self._clock = clock
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._snapshot: ExportedSnapshot | None = None
        self._latency = DeliveryLatency(telemetry)
        self._failures = FailureLog(lambda: asyncio.get_running_loop().time())
        self._term = 0
        self._project_each_alone = True

    @property
    def snapshot(self) -> ExportedSnapshot | None:
        """The newest snapshot since this process became the leader; None if there is none, or if it does not lead."""
        current = self._leadership.leads and self._leadership.term == self._term
        return self._snapshot if current else None

    def start(self) -> None:
        """Start the tasks on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._repeat(self._interpret), name="interpret"),
            asyncio.create_task(self._repeat(self._project), name="project"),
            asyncio.create_task(self._leadership.run(self._stopping, self._changed.set), name="lead"),
            asyncio.create_task(self._refresh(), name="snapshot"),
            asyncio.create_task(self._retain(), name="retain"),
        ]

    async def stop(self) -> None:
        """Process pending work within the shutdown budget, and end the tasks.

        Another worker does the work that remains.
        """
        self._stopping.set()
        self._changed.set()
        try:
            async with asyncio.timeout(shutdown.WORK_SECONDS):
                await asyncio.gather(*self._tasks)
                # Project again: the last deliveries may have been interpreted after the projection task had ended.
                await self._repeat(self._project)
        except TimeoutError:
            _log.warning("work left to the next worker")
        await self._figures.close()

    async def _interpret(self) -> int:
        return await interpret_pending(self._database, self._rules, self._telemetry, self._clock)

    async def _project(self) -> int:
        # One subject may cause a lost connection or the end of the process. After either, project each subject alone,
        # and count the attempt before it begins, so that this subject is found and set aside.
        each_alone, self._project_each_alone = self._project_each_alone, True
        projected = await project_dirty(self._database, self._clock, self._telemetry, each_alone=each_alone)
        self._project_each_alone = False
        if projected:
            self._changed.set()
        if 0 < projected < BATCH:
            # Debounce: a subject that changed usually changes again at once.
            await self._pause(_DEBOUNCE_SECONDS)
        return projected

    async def _repeat(self, step: Step) -> None:
        failures = 0
        while True:
            # After `stop` is called, run at least one more step: only a step that begins after the call is sure to see
            # every delivery that was acknowledged before the call.
            ending = self._stopping.is_set()
            done = await self._attempt(step)
            if ending and not done:
                return
            failures = failures + 1 if done is None else 0
            if failures:
                await self._pause(retry_seconds(failures))
            elif done == 0:
                await self._pause(_IDLE_SECONDS)

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
                # Another process takes the snapshots now. If a snapshot of this process has failed, log that the
                # failure is over.
                self._log_success(self._take_snapshot)
                await self._figures.close()
            await pause(self._interval.total_seconds(), self._changed)

    def _spacing(self) -> float:
        """The pause after a snapshot: twice the time that it took, but at least a second, and at most the interval."""
        took = self._snapshot.took.total_seconds() if self._snapshot else 0.0
        return min(max(_REFRESH_SPACING_SECONDS, 2 * took), self._interval.total_seconds())

    async def _retain(self) -> None:
        # Wait first: a process that restarts often would otherwise scan all events after each start.
        await self._pause(_FIRST_RETAIN_SECONDS)
        while not self._stopping.is_set():
            if self._leadership.leads:
                await self._attempt(self._delete_old, _RETAIN_SECONDS)
            await self._pause(_RETAIN_SECONDS)

    async def _delete_old(self) -> int:
        """Delete the bodies and the unattached evidence that are too old, unless the clock may be wrong."""
        try:
            deleted = await delete_old(self._database, self._clock, self._raw_retention, self._evidence_retention)
        except ClockInDoubt as error:
            _log.warning("nothing is deleted", cause=str(error))
            return 0
        if deleted.bodies:
            _log.info("bodies of deliveries deleted", deliveries=deleted.bodies)
        if deleted.subjects:
            _log.info("unattached evidence deleted", subjects=deleted.subjects)
        return deleted.bodies + deleted.subjects

    async def _take_snapshot(self) -> int:
        self._follow_term()
        term, steady = self._term, asyncio.get_running_loop().time
        await self._latency.find_projected(self._database, self._clock())
        began = steady()
        snapshot = await self._figures.take_snapshot()
        # Compress the snapshot in a thread, so that the event loop is not blocked.
        exported = await asyncio.to_thread(ExportedSnapshot.of, snapshot, timedelta(seconds=steady() - began))
        # If this process has lost and regained the lease meanwhile, drop the snapshot: another process may have led and
        # exported a newer one.
        if term == self._leadership.term:
            self._snapshot = exported
            self._latency.observe_exported(self._clock())
        return 1

    def _follow_term(self) -> None:
        """Drop the snapshot and the latencies if this process has become the leader again since they were recorded."""
        if self._term != self._leadership.term:
            self._term = self._leadership.term
            self._snapshot = None
            self._latency = DeliveryLatency(self._telemetry)

    async def _attempt(self, step: Step, patience: float | None = None) -> int | None:
        """Run one step, and return its result. If the step fails, log the failure and return None.

        The caller runs a failed step again later.
        """
        patience = patience or _STEP_SECONDS
        try:
            # Limit the time, since a connection may be lost without an error.
            done = await abandon_after(patience, step())
        except (DatabaseError, ChildProcessFailed, TimeoutError) as error:
            self._log_failure(step, str(error) or f"not done within {patience:g} seconds")
        except Exception:  # noqa: BLE001 - a bug in one step must not end the loop
            _log.exception("work failed")
        else:
            self._log_success(step)
            return done
        return None

    def _log_failure(self, step: Step, cause: str) -> None:
        work = _name(step)
        log = _log.warning if self._failures.record_failure(work, cause) else _log.debug
        log("work postponed", work=work, cause=cause)

    def _log_success(self, step: Step) -> None:
        if self._failures.record_success(_name(step)):
            _log.info("work continues")

    async def _pause(self, seconds: float) -> None:
        await pause(seconds, self._stopping)


def _name(step: Step) -> str:
    return step.__name__.strip("_")

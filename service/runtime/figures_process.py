"""The figures process: a child process that computes snapshots and scorecards.

A snapshot of many experiments takes a second of pure Python, which would block the service's event loop. The process
caches the experiments that it has read, so the next computation reads only experiments that changed.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from service.lifecycle.errors import UnknownTeam
from service.logs import configure_logs
from service.metrics.terms import Terms, Window
from service.pipeline.snapshot import ExperimentCache, Snapshot, take_snapshot
from service.runtime.subprocess import AnswerQuestion, ChildProcess, ChildProcessFailed, run_child
from service.storage.database import Database

if TYPE_CHECKING:
    from service.queries.scorecard import Scorecards

# Many proxies abandon a request after about a minute.
_PATIENCE_SECONDS = 50.0
# A process that takes longer than this for one scorecard counts as frozen.
_LONGEST_SECONDS = 600.0
_IDLE_SECONDS = 300.0


class _Setup(msgspec.Struct):
    url: str
    terms: Terms
    log_level: str
    scorecard_lifetime: timedelta


class _SnapshotQuestion(msgspec.Struct, tag="snapshot"):
    pass


class _ScorecardQuestion(msgspec.Struct, tag="scorecard"):
    team: str
    window: Window


_Question: TypeAlias = _SnapshotQuestion | _ScorecardQuestion


class _ScorecardAnswer(msgspec.Struct):
    """The scorecard as JSON, or the reason why the team has no scorecard."""

    scorecard: bytes = b""
    unknown_team: str = ""


class FiguresProcess:
    """The service's handle to a figures process.

    The first question starts the process. The process answers one question at a time; each caller waits for its turn.
    The service ends the process `idle_seconds` after its last scorecard. The service has two figures processes: one
    takes snapshots while the service leads, and the other compiles scorecards, so that no scorecard delays a snapshot.

    Args:
        terms: the windows and thresholds of the metrics; each scorecard has its own window.
        log_level: the level of the process's logs, which go to the service's standard error.
        scorecard_lifetime: how long scorecards are compiled from cached rows before the experiments are read again.
        idle_seconds: seconds from the last scorecard to the end of the process.
    """

    def __init__(
        self,
        database: Database,
        terms: Terms,
        log_level: str,
        scorecard_lifetime: timedelta,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        setup = _Setup(database.url, terms, log_level, scorecard_lifetime)
        self._process = ChildProcess("service.runtime.figures_process", setup)
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._idle: asyncio.Task[None] | None = None

    async def take_snapshot(self) -> Snapshot:
        """Take a snapshot of the metrics as of now. Cancelling the call kills the process.

        Raises:
            DatabaseUnavailable: the experiments cannot be read.
            ChildProcessFailed: the process failed, or was killed.
        """
        async with self._turn:
            return await self._process.ask(_SnapshotQuestion(), Snapshot)

    async def compile_scorecard(self, team: str, window: Window) -> bytes:
        """Compile a scorecard as JSON. After a timeout, the call fails, but the work continues for later calls.

        Raises:
            UnknownTeam: no experiment belongs to this team, or its experiments are in the row `_other`.
            DatabaseUnavailable: the experiments cannot be read.
            ChildProcessFailed: the process failed, was killed, or takes too long.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._turn.acquire()
                answer = await asyncio.shield(asyncio.create_task(self._ask_for_scorecard(team, window)))
        except TimeoutError as error:
            raise ChildProcessFailed("the scorecard is not ready yet: ask again in a moment") from error
        if answer.unknown_team:
            raise UnknownTeam(answer.unknown_team)
        return answer.scorecard

    async def close(self) -> None:
        """End the process, if it runs."""
        self._cancel_idle()
        await self._process.close()

    async def _ask_for_scorecard(self, team: str, window: Window) -> _ScorecardAnswer:
        """Ask for a scorecard. The caller must have acquired `_turn`; the lock is released after the answer."""
        self._cancel_idle()
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                return await self._process.ask(_ScorecardQuestion(team, window), _ScorecardAnswer)
        except TimeoutError as error:
            raise ChildProcessFailed(f"the scorecard was not ready within {_LONGEST_SECONDS:g} seconds") from error
        finally:
            self._idle = asyncio.create_task(self._end_when_idle(), name="end an idle figures process")
            self._turn.release()

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        async with self._turn:
            self._idle = None
            await self._process.close()


class _Figures:
    """The child's part of a figures process: answers questions, and caches the experiments that it has read."""

    def __init__(self, setup: _Setup) -> None:
        self._setup = setup
        self._database = Database(setup.url, pool_size=1)
        self._cache = ExperimentCache()
        self._scorecards: Scorecards | None = None

    async def answer(self, question: msgspec.Raw) -> Snapshot | _ScorecardAnswer:
        asked: _Question = msgspec.msgpack.decode(question, type=_Question)
        match asked:
            case _SnapshotQuestion():
                return await self._take_snapshot()
            case _ScorecardQuestion(team, window):
                return await self._compile_scorecard(team, window)

    async def _take_snapshot(self) -> Snapshot:
        try:
            return await take_snapshot(self._database, self._setup.terms, _now, self._cache)
        except Exception:
            # Drop the cache, which finds changed experiments by the version of their rows: the next connection may
            # reach a server restored from a backup, where a changed row can have the version that the cache knows.
            self._cache = ExperimentCache()
            raise

    async def _compile_scorecard(self, team: str, window: Window) -> _ScorecardAnswer:
        # Import the module here, so that the process that takes snapshots never loads pydantic.
        from service.queries.scorecard import Scorecards  # noqa: PLC0415

        self._scorecards = self._scorecards or Scorecards(
            self._database, self._setup.terms, _now, self._setup.scorecard_lifetime
        )
        try:
            scorecard = await self._scorecards.scorecard(team, window)
        except UnknownTeam as error:
            return _ScorecardAnswer(unknown_team=str(error))
        return _ScorecardAnswer(scorecard.model_dump_json().encode())


def _start(setup: msgspec.Raw) -> AnswerQuestion:
    decoded = msgspec.msgpack.decode(setup, type=_Setup)
    configure_logs(decoded.log_level)
    return _Figures(decoded).answer


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    run_child(_start)

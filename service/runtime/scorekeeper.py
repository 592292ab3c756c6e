"""The scorekeeper: a process beside the service that compiles scorecards, so that they hold nobody up.

It is started when the first one is asked for, keeps what it has read and computed, and ends after a while in which
nobody asks.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from service.metrics.terms import Terms, Window
from service.queries.scorecard import Scorecards, UnknownTeam
from service.runtime.subprocess import Answering, Beginning, ChildProcess, ChildProcessFailed, accompany
from service.storage.database import Database

# Proxies do not wait for much longer.
_PATIENCE_SECONDS = 50.0
# By then it is frozen.
_LONGEST_SECONDS = 600.0
_IDLE_SECONDS = 300.0


class _Question(msgspec.Struct):
    team: str
    window: Window
    kept: timedelta


class _Told(msgspec.Struct):
    """The scorecard as JSON, or why there is none of this team."""

    scorecard: bytes = b""
    unknown_team: str = ""


class Scorekeeper:
    """The service's end.

    Args:
        database: whose experiments are counted.
        terms: those of the figures, but for their windows.
        log_level: of what the process logs, to the same standard error.
        kept: how long figures are told without being computed anew.
        idle_seconds: after how long the process ends that nobody asks.
    """

    def __init__(
        self,
        database: Database,
        terms: Terms,
        log_level: str,
        kept: timedelta,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        beginning = Beginning(database.url, terms, log_level)
        self._companion = ChildProcess("service.runtime.scorekeeper", "compiles scorecards", beginning, _Told)
        self._kept = kept
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._leaving: asyncio.Task[None] | None = None

    async def scorecard(self, team: str, window: Window) -> bytes:
        """The scorecard as JSON; whoever asks meanwhile waits for their turn.

        Raises:
            UnknownTeam: nobody has proposed anything under this name.
            DatabaseUnavailable: the experiments cannot be read.
            CompanionFailed: the process has a fault, was killed, or takes long.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._turn.acquire()
                # Whoever asks next has the good of what goes on.
                told = await asyncio.shield(asyncio.create_task(self._ask(_Question(team, window, self._kept))))
        except TimeoutError as error:
            raise ChildProcessFailed("the scorecard is not ready yet: ask again in a moment") from error
        if told.unknown_team:
            raise UnknownTeam(told.unknown_team)
        return told.scorecard

    async def close(self) -> None:
        """End the process, if there is one."""
        self._stay()
        await self._companion.close()

    async def _ask(self, question: _Question) -> _Told:
        """Ask in one's turn, which then is over."""
        try:
            self._stay()
            async with asyncio.timeout(_LONGEST_SECONDS):
                return await self._companion.ask(question)
        except TimeoutError as error:
            raise ChildProcessFailed(f"the scorecard was not ready within {_LONGEST_SECONDS:g} seconds") from error
        finally:
            self._leaving = asyncio.create_task(self._leave(), name="end an idle scorekeeper")
            self._turn.release()

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()

    async def _leave(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        async with self._turn:
            self._leaving = None
            await self._companion.close()


def _begin(beginning: Beginning) -> Answering:
    database = Database(beginning.url, pool_size=1)
    scorecards: Scorecards | None = None

    async def told(asked: msgspec.Raw) -> _Told:
        nonlocal scorecards
        question = msgspec.msgpack.decode(asked, type=_Question)
        scorecards = scorecards or Scorecards(database, beginning.terms, _now, question.kept)
        try:
            scorecard = await scorecards.scorecard(question.team, question.window)
        except UnknownTeam as error:
            return _Told(unknown_team=str(error))
        return _Told(scorecard.model_dump_json().encode())

    return told


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    accompany(_begin)

"""The process beside the service that compiles scorecards: asked, killed, left alone, and gone when nobody asks."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.metrics.terms import Window
from service.queries.scorecard import Scorecards, UnknownTeam
from service.runtime.scorekeeper import Scorekeeper
from service.runtime.subprocess import ChildProcessFailed
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from tests.support.builders import Issue
from tests.support.outage import line_to, until
from tests.support.road import TERMS, deliver

QUARTER, MONTH = (Window(f"{days}d", timedelta(days=days)) for days in (90, 30))
NONE_KEPT = timedelta(0)


@asynccontextmanager
async def scorekeeper(
    database: Database, kept: timedelta = NONE_KEPT, idle_seconds: float = 60
) -> AsyncIterator[Scorekeeper]:
    made = Scorekeeper(database, TERMS, "info", kept, idle_seconds)
    try:
        yield made
    finally:
        await made.close()


def companions() -> list[int]:
    """The scorekeepers that this process has started and that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = status.read_text().rpartition(")")[2].split()[:2]
            command = (status.parent / "cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if int(above) == os.getpid() and state != "Z" and b"service.runtime.scorekeeper" in command:
            found.append(int(status.parent.name))
    return found


async def test_it_compiles_the_scorecard_that_is_compiled_here(database: Database) -> None:
    await deliver(database, Issue(created_at=datetime.now(UTC) - timedelta(days=2)).opened())
    async with scorekeeper(database) as beside:
        told = await beside.scorecard("_org", QUARTER)
    then = datetime.fromisoformat(json.loads(told)["taken_at"])
    here = await Scorecards(database, TERMS, lambda: then, NONE_KEPT).scorecard("_org", QUARTER)
    assert told == here.model_dump_json().encode()
    assert here.loops.open.value == 1


async def test_it_is_started_when_the_first_one_is_asked_for_and_serves_all_who_ask_at_once(
    database: Database,
) -> None:
    async with scorekeeper(database, timedelta(hours=1)) as beside:
        assert companions() == []
        told = await asyncio.gather(*(beside.scorecard("_org", QUARTER) for _ in range(5)))
        assert len(companions()) == 1
    assert len(set(told)) == 1
    assert companions() == []


async def test_when_nobody_asks_it_ends_and_is_started_again_by_the_next_question(database: Database) -> None:
    async with scorekeeper(database, idle_seconds=0.1) as beside:
        await beside.scorecard("_org", QUARTER)

        async def gone() -> bool:
            return not companions()

        await until(gone)
        assert await beside.scorecard("_org", QUARTER)


async def test_a_team_that_nobody_has_is_told_of_and_the_process_stays(database: Database) -> None:
    async with scorekeeper(database) as beside:
        await beside.scorecard("_org", QUARTER)
        process = companions()
        with pytest.raises(UnknownTeam, match="no experiment is of the team search"):
            await beside.scorecard("search", QUARTER)
        assert companions() == process


async def test_killed_it_fails_once_and_is_started_again(database: Database) -> None:
    async with scorekeeper(database) as beside:
        await beside.scorecard("_org", QUARTER)
        os.kill(companions()[0], signal.SIGKILL)
        with pytest.raises(ChildProcessFailed, match="the process that compiles scorecards ended with status -9"):
            await beside.scorecard("_org", QUARTER)
        assert await beside.scorecard("_org", QUARTER)


async def test_frozen_it_is_given_up_and_another_one_is_started(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scorekeeper(database) as beside:
        await beside.scorecard("_org", QUARTER)
        os.kill(frozen := companions()[0], signal.SIGSTOP)
        with monkeypatch.context() as impatient:
            impatient.setattr("service.runtime.scorekeeper._LONGEST_SECONDS", 0.3)
            with pytest.raises(ChildProcessFailed, match="not ready within"):
                await beside.scorecard("_org", QUARTER)
        assert await beside.scorecard("_org", QUARTER)
        assert frozen not in companions()


async def test_what_takes_long_goes_on_for_whoever_asks_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scorekeeper(database) as beside:
        await beside.scorecard("_org", QUARTER)
        (busy,) = companions()
        os.kill(busy, signal.SIGSTOP)
        with monkeypatch.context() as impatient:
            impatient.setattr("service.runtime.scorekeeper._PATIENCE_SECONDS", 0.3)
            for _ in range(2):
                with pytest.raises(ChildProcessFailed, match="ask again in a moment"):
                    await beside.scorecard("_org", QUARTER)
        os.kill(busy, signal.SIGCONT)
        assert await beside.scorecard("_org", QUARTER)
        assert companions() == [busy]


async def test_while_the_database_is_away_it_says_so_and_compiles_when_it_is_back(database_url: str) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with scorekeeper(far) as beside:
            await beside.scorecard("_org", QUARTER)
            await line.cut()
            # What was compiled just now is told all the same.
            with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
                await beside.scorecard("_org", MONTH)
            await line.mend()
            assert await beside.scorecard("_org", MONTH)
        await far.close()

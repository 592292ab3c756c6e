"""The figures process answers questions, survives errors, and ends when it is idle, closed or orphaned."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.lifecycle.errors import UnknownTeam
from service.metrics.terms import Window
from service.pipeline.snapshot import ExperimentCache, take_snapshot
from service.queries.scorecard import Scorecards
from service.runtime.figures_process import FiguresProcess
from service.runtime.subprocess import ChildProcessFailed
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from tests.support.builders import Issue, at
from tests.support.outage import line_to, until
from tests.support.road import TERMS, deliver

QUARTER, MONTH = (Window(f"{days}d", timedelta(days=days)) for days in (90, 30))
NOT_CACHED = timedelta(0)


@asynccontextmanager
async def figures_process(
    database: Database, scorecard_lifetime: timedelta = NOT_CACHED, idle_seconds: float = 60
) -> AsyncIterator[FiguresProcess]:
    figures = FiguresProcess(database, TERMS, "info", scorecard_lifetime, idle_seconds)
    try:
        yield figures
    finally:
        await figures.close()


def children(parent: int) -> list[int]:
    """The running figures processes among the children of a process."""
    running = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = status.read_text().rpartition(")")[2].split()[:2]
            command = (status.parent / "cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if int(above) == parent and state != "Z" and b"service.runtime.figures_process" in command:
            running.append(int(status.parent.name))
    return running


def child() -> int:
    """The id of the only figures process that this process has started."""
    (process,) = children(os.getpid())
    return process


def is_running(process: int) -> bool:
    """Whether a process runs; a zombie does not count as running."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


async def test_the_figures_process_takes_the_same_snapshot_as_this_process(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    async with figures_process(database) as figures:
        snapshot = await figures.take_snapshot()
    assert snapshot == await take_snapshot(database, TERMS, lambda: snapshot.taken_at, ExperimentCache())


async def test_each_snapshot_has_the_values_of_its_own_moment(database: Database) -> None:
    async with figures_process(database) as figures:
        first = await figures.take_snapshot()
        process = child()
        await deliver(database, Issue(created_at=at(2)).opened())
        second = await figures.take_snapshot()
        assert child() == process
    assert first.taken_at < second.taken_at
    assert b'stage="proposed",team="acme/app"} 1.0' in second.text
    assert b"acme/app" not in first.text


async def test_after_a_kill_one_snapshot_fails_and_the_next_one_starts_another_process(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.take_snapshot()
        os.kill(killed := child(), signal.SIGKILL)
        with pytest.raises(ChildProcessFailed, match="ended with status -9"):
            await figures.take_snapshot()
        assert (await figures.take_snapshot()).text
        assert child() != killed


async def test_a_frozen_process_is_killed_when_the_caller_gives_up(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.take_snapshot()
        os.kill(frozen := child(), signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await figures.take_snapshot()
        assert (await figures.take_snapshot()).text
        assert child() != frozen


async def test_while_the_database_is_away_a_snapshot_fails_and_the_process_keeps_running(database_url: str) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with figures_process(far) as figures:
            await figures.take_snapshot()
            process = child()
            await line.cut()
            with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
                await figures.take_snapshot()
            await line.mend()
            assert (await figures.take_snapshot()).text
            assert child() == process
        await far.close()


async def test_closing_leaves_no_process_behind(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.take_snapshot()
    assert not children(os.getpid())


async def test_closing_waits_for_a_process_whose_end_was_interrupted(database: Database) -> None:
    figures = FiguresProcess(database, TERMS, "info", NOT_CACHED)
    await figures.take_snapshot()
    process = child()
    os.kill(process, signal.SIGSTOP)
    asking = asyncio.create_task(figures.take_snapshot())
    for _ in range(2):
        await asyncio.sleep(0)
        asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await figures.close()
    assert not is_running(process)


async def test_the_figures_process_ignores_signals_to_its_group_until_the_service_has_ended(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.take_snapshot()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child(), number)
        assert (await figures.take_snapshot()).text


_LEADER = """
import asyncio, sys
from datetime import timedelta
from service.runtime.figures_process import FiguresProcess
from service.storage.database import Database
from tests.support.road import TERMS

async def main():
    figures = FiguresProcess(Database(sys.argv[1]), TERMS, "info", timedelta(0))
    await figures.take_snapshot()
    print("taken", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_the_figures_process_ends_however_its_parent_process_ends(database_url: str) -> None:
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LEADER, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout is not None
    assert await leader.stdout.readline() == b"taken\n"
    (figures,) = children(leader.pid)
    leader.kill()
    await leader.wait()

    async def ended() -> bool:
        return not is_running(figures)

    await until(ended)


async def test_a_folder_named_like_the_package_is_not_imported(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    async with figures_process(database) as figures:
        assert (await figures.take_snapshot()).text


async def test_the_figures_process_compiles_the_same_scorecard_as_this_process(database: Database) -> None:
    await deliver(database, Issue(created_at=datetime.now(UTC) - timedelta(days=2)).opened())
    async with figures_process(database) as figures:
        compiled = await figures.compile_scorecard("_org", QUARTER)
    then = datetime.fromisoformat(json.loads(compiled)["taken_at"])
    here = await Scorecards(database, TERMS, lambda: then, NOT_CACHED).scorecard("_org", QUARTER)
    assert compiled == here.model_dump_json().encode()
    assert here.loops.open.value == 1


async def test_the_first_question_starts_one_process_that_serves_concurrent_callers(database: Database) -> None:
    async with figures_process(database, timedelta(hours=1)) as figures:
        assert children(os.getpid()) == []
        compiled = await asyncio.gather(*(figures.compile_scorecard("_org", QUARTER) for _ in range(5)))
        assert len(children(os.getpid())) == 1
    assert len(set(compiled)) == 1
    assert children(os.getpid()) == []


async def test_an_idle_figures_process_ends_and_the_next_question_starts_another(database: Database) -> None:
    async with figures_process(database, idle_seconds=0.1) as figures:
        await figures.compile_scorecard("_org", QUARTER)

        async def ended() -> bool:
            return not children(os.getpid())

        await until(ended)
        assert await figures.compile_scorecard("_org", QUARTER)


async def test_an_unknown_team_is_an_error_and_the_process_keeps_running(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.compile_scorecard("_org", QUARTER)
        process = child()
        with pytest.raises(UnknownTeam, match="no experiment belongs to the team search"):
            await figures.compile_scorecard("search", QUARTER)
        assert child() == process


async def test_after_a_kill_one_scorecard_fails_and_the_next_one_starts_another_process(database: Database) -> None:
    async with figures_process(database) as figures:
        await figures.compile_scorecard("_org", QUARTER)
        os.kill(child(), signal.SIGKILL)
        with pytest.raises(ChildProcessFailed, match="ended with status -9"):
            await figures.compile_scorecard("_org", QUARTER)
        assert await figures.compile_scorecard("_org", QUARTER)


async def test_a_process_frozen_during_a_scorecard_is_killed_and_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with figures_process(database) as figures:
        await figures.compile_scorecard("_org", QUARTER)
        os.kill(frozen := child(), signal.SIGSTOP)
        with monkeypatch.context() as impatient:
            impatient.setattr("service.runtime.figures_process._LONGEST_SECONDS", 0.3)
            with pytest.raises(ChildProcessFailed, match="not ready within"):
                await figures.compile_scorecard("_org", QUARTER)
        assert await figures.compile_scorecard("_org", QUARTER)
        assert frozen not in children(os.getpid())


async def test_a_slow_scorecard_continues_after_its_caller_gives_up_and_serves_the_next_caller(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with figures_process(database) as figures:
        await figures.compile_scorecard("_org", QUARTER)
        busy = child()
        os.kill(busy, signal.SIGSTOP)
        with monkeypatch.context() as impatient:
            impatient.setattr("service.runtime.figures_process._PATIENCE_SECONDS", 0.3)
            for _ in range(2):
                with pytest.raises(ChildProcessFailed, match="ask again in a moment"):
                    await figures.compile_scorecard("_org", QUARTER)
        os.kill(busy, signal.SIGCONT)
        assert await figures.compile_scorecard("_org", QUARTER)
        assert child() == busy


async def test_while_the_database_is_away_a_scorecard_fails_and_the_process_stays_usable(database_url: str) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with figures_process(far) as figures:
            await figures.compile_scorecard("_org", QUARTER)
            await line.cut()
            with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
                await figures.compile_scorecard("_org", MONTH)
            await line.mend()
            assert await figures.compile_scorecard("_org", MONTH)
        await far.close()

"""The process beside the leader that takes snapshots: asked, killed, left alone, and in the way of nobody."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.pipeline.snapshot import ExperimentCache, take_snapshot
from service.runtime.refresher import Refresher
from service.runtime.subprocess import ChildProcessFailed
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from tests.support.builders import Issue, at
from tests.support.outage import line_to, until
from tests.support.road import TERMS, deliver


@asynccontextmanager
async def refresher(database: Database) -> AsyncIterator[Refresher]:
    made = Refresher(database, TERMS, "info")
    try:
        yield made
    finally:
        await made.close()


def child() -> int:
    """The process id of the only process that this one has started and not ended."""
    (found,) = children(os.getpid())
    return found


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def children(parent: int) -> list[int]:
    """The processes that a process has started, but for those that have ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = status.read_text().rpartition(")")[2].split()[:2]
        except FileNotFoundError:
            continue
        if (
            int(above) == parent
            and state != "Z"
            and b"service.runtime.refresher" in (status.parent / "cmdline").read_bytes()
        ):
            found.append(int(status.parent.name))
    return found


async def test_it_takes_the_same_snapshot_as_is_taken_here(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    async with refresher(database) as beside:
        taken = await beside.refresh()
    assert taken == await take_snapshot(database, TERMS, lambda: taken.taken_at, ExperimentCache())


async def test_it_takes_one_snapshot_after_another_each_of_its_moment(database: Database) -> None:
    async with refresher(database) as beside:
        first = await beside.refresh()
        process = child()
        await deliver(database, Issue(created_at=at(2)).opened())
        second = await beside.refresh()
        assert child() == process
    assert first.taken_at < second.taken_at
    assert b'stage="proposed",team="acme/app"} 1.0' in second.text
    assert b"acme/app" not in first.text


async def test_killed_it_fails_once_and_is_started_again(database: Database) -> None:
    async with refresher(database) as beside:
        await beside.refresh()
        os.kill(killed := child(), signal.SIGKILL)
        with pytest.raises(ChildProcessFailed, match="ended with status -9"):
            await beside.refresh()
        assert (await beside.refresh()).text
        assert child() != killed


async def test_frozen_it_is_killed_when_it_is_waited_for_no_longer(database: Database) -> None:
    async with refresher(database) as beside:
        await beside.refresh()
        os.kill(frozen := child(), signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await beside.refresh()
        assert (await beside.refresh()).text
        assert child() != frozen


async def test_while_the_database_is_away_it_says_so_and_takes_the_next_one_when_it_is_back(
    database_url: str,
) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with refresher(far) as beside:
            await beside.refresh()
            process = child()
            await line.cut()
            with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
                await beside.refresh()
            await line.mend()
            assert (await beside.refresh()).text
            assert child() == process
        await far.close()


async def test_closed_it_leaves_no_process_behind(database: Database) -> None:
    async with refresher(database) as beside:
        await beside.refresh()
    assert not children(os.getpid())


async def test_asked_to_end_with_the_others_of_its_group_it_goes_on_until_the_service_has_ended(
    database: Database,
) -> None:
    async with refresher(database) as beside:
        await beside.refresh()
        for asked in (signal.SIGINT, signal.SIGTERM):
            os.kill(child(), asked)
        assert (await beside.refresh()).text


_LEADER = """
import asyncio, sys
from datetime import UTC, datetime
from service.runtime.refresher import Refresher
from service.storage.database import Database
from tests.support.road import TERMS

async def main():
    beside = Refresher(Database(sys.argv[1]), TERMS, "info")
    await beside.refresh()
    print("taken", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_ends_with_the_process_that_started_it_however_that_ends(database_url: str) -> None:
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LEADER, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout is not None
    assert await leader.stdout.readline() == b"taken\n"
    (beside,) = children(leader.pid)
    leader.kill()
    await leader.wait()

    async def gone() -> bool:
        return not is_alive(beside)

    await until(gone)


async def test_a_folder_by_the_name_of_the_package_does_not_come_in_its_place(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    async with refresher(database) as beside:
        assert (await beside.refresh()).text

"""One process leads at a time.

The leader holds a lease in PostgreSQL. It stops leading when the lease has run out by the leader's own clock.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.runtime.leadership import LENGTH_SECONDS, Leadership
from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.waiting import PATIENCE_SECONDS


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.frozen_for = 0.0
        """The seconds that pass right after the next read, as if the process that read the clock were frozen."""

    def __call__(self) -> float:
        read, self.now, self.frozen_for = self.now, self.now + self.frozen_for, 0.0
        return read


def _process(database: Database, clock: Clock, number: int) -> Leadership:
    return Leadership(database, UUID(int=number), clock)


async def _pass(database: Database, clock: Clock, seconds: float) -> None:
    """Let time pass on the clock of the test, and age every lease in PostgreSQL by the same time."""
    clock.now += seconds
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE leases SET renewed_at = renewed_at - make_interval(secs => :seconds)"), {"seconds": seconds}
        )


async def _live(database: Database, clock: Clock, seconds: float, *processes: Leadership) -> None:
    """Send a heartbeat of each process every second."""
    for _ in range(int(seconds)):
        for process in processes:
            await process.beat()
        await _pass(database, clock, 1)


async def test_the_first_process_leads_at_once_and_the_second_does_not(database: Database) -> None:
    clock = Clock()
    one, other = _process(database, clock, 1), _process(database, clock, 2)
    assert not one.leads
    await one.beat()
    await other.beat()
    assert (one.leads, other.leads) == (True, False)


async def test_without_a_heartbeat_a_process_leads_until_its_lease_runs_out(database: Database) -> None:
    clock = Clock()
    process = _process(database, clock, 1)
    await process.beat()
    clock.now += LENGTH_SECONDS - 0.1
    assert process.leads
    clock.now += 0.1
    assert not process.leads


async def test_another_process_succeeds_a_silent_leader_when_its_lease_has_run_out(database: Database) -> None:
    clock = Clock()
    silent, next_one = _process(database, clock, 1), _process(database, clock, 2)
    await silent.beat()
    await _live(database, clock, LENGTH_SECONDS, next_one)
    assert not next_one.leads
    await next_one.beat()
    assert (silent.leads, next_one.leads) == (False, True)
    await silent.beat()
    assert (silent.leads, next_one.leads) == (False, True)


async def test_a_process_frozen_during_its_heartbeat_does_not_lead_when_it_goes_on(database: Database) -> None:
    clock = Clock()
    process = _process(database, clock, 1)
    clock.frozen_for = LENGTH_SECONDS
    await process.beat()
    assert not process.leads
    await process.beat()
    assert process.leads


async def test_a_new_process_waits_for_the_length_of_a_lease_before_it_takes_over(database: Database) -> None:
    clock = Clock()
    await _process(database, clock, 1).beat()
    await _pass(database, clock, 3600)
    newcomer = _process(database, clock, 2)
    await _live(database, clock, LENGTH_SECONDS, newcomer)
    assert not newcomer.leads
    await newcomer.beat()
    assert newcomer.leads


async def test_when_a_leader_ends_the_next_process_leads_at_once(database: Database) -> None:
    clock = Clock()
    one, other = _process(database, clock, 1), _process(database, clock, 2)
    ending, gained = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(one.run(ending, gained.set))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await gained.wait()
    await other.beat()
    assert (one.leads, other.leads) == (True, False)
    ending.set()
    await running
    await other.beat()
    assert (one.leads, other.leads) == (False, True)


async def test_while_postgresql_does_not_answer_only_the_leader_leads_until_its_lease_runs_out(
    database: Database,
) -> None:
    clock = Clock()
    leader, other = _process(database, clock, 1), _process(database, clock, 2)
    await _live(database, clock, 20, leader, other)
    async with database.transaction() as connection:
        await connection.execute(text("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE"))
        await asyncio.gather(leader.beat(), other.beat())
    assert leader.leads
    await _pass(database, clock, LENGTH_SECONDS)
    await other.beat()
    assert (leader.leads, other.leads) == (False, False)
    await leader.beat()
    assert leader.leads


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 9), st.just(0)),
        st.tuples(st.just("beat"), st.integers(0, 2), st.sampled_from([0, 0, 0, 5, 9])),
        st.tuples(st.just("resign"), st.integers(0, 2), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(_steps)
async def test_two_processes_never_lead_at_once(database: Database, steps: list[tuple[str, int, int]]) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM leases"))
    clock = Clock()
    processes = [_process(database, clock, number) for number in range(3)]
    for step, number, frozen_for in steps:
        match step:
            case "pass":
                await _pass(database, clock, number)
            case "beat":
                clock.frozen_for = frozen_for
                await processes[number].beat()
                await _pass(database, clock, frozen_for)
                clock.now -= frozen_for
            case _:
                await processes[number].resign()
        assert sum(process.leads for process in processes) <= 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A PostgreSQL that the test may kill."""
    own = EmbeddedServer(tmp_path)
    own.start()
    yield own
    own.release()


def _kill(server: EmbeddedServer, directory: Path) -> None:
    os.kill(int((directory / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    while server.answers():
        time.sleep(0.05)


async def _let_the_lease_run_out(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE leases SET renewed_at = renewed_at - interval '1 hour'"))


@pytest.fixture
async def own_database(server: EmbeddedServer) -> AsyncIterator[Database]:
    """A database on the PostgreSQL that the test may kill."""
    opened = Database(server.url)
    await opened.migrate()
    yield opened
    await opened.close()


async def test_the_leader_stays_while_postgresql_is_away_and_when_it_is_back(
    own_database: Database, server: EmbeddedServer, tmp_path: Path
) -> None:
    clock = Clock()
    leader, other = _process(own_database, clock, 1), _process(own_database, clock, 2)
    await _live(own_database, clock, 20, leader, other)
    await asyncio.to_thread(_kill, server, tmp_path)
    for _ in range(20):
        await leader.beat()
        await other.beat()
        assert (leader.leads, other.leads) == (True, False)
        clock.now += 2
    await asyncio.to_thread(server.restart)
    await _let_the_lease_run_out(own_database)
    await _live(own_database, clock, 4, other)
    assert (leader.leads, other.leads) == (True, False)
    await leader.beat()
    await _live(own_database, clock, 20, other, leader)
    assert (leader.leads, other.leads) == (True, False)


async def test_another_process_succeeds_a_leader_that_dies_while_postgresql_is_away(
    own_database: Database, server: EmbeddedServer, tmp_path: Path
) -> None:
    clock = Clock()
    leader, other = _process(own_database, clock, 1), _process(own_database, clock, 2)
    await leader.beat()
    await asyncio.to_thread(_kill, server, tmp_path)
    await leader.beat()
    await other.beat()
    await asyncio.to_thread(server.restart)
    await _let_the_lease_run_out(own_database)
    await _live(own_database, clock, LENGTH_SECONDS, other)
    assert (leader.leads, other.leads) == (False, False)
    await other.beat()
    assert (leader.leads, other.leads) == (False, True)

"""A lease has one holder, until it is given up or runs out."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from service.storage import leases
from service.storage.database import Database

pytestmark = pytest.mark.oldest_postgresql_too
_ONE, _OTHER = UUID(int=1), UUID(int=2)
_LENGTH = timedelta(seconds=8)


async def _acquire(database: Database, holder: UUID, *, take_over: bool = True, name: str = "leader") -> bool:
    async with database.autocommit() as connection:
        return await leases.acquire(connection, name, holder, _LENGTH, take_over=take_over)


async def _release(database: Database, holder: UUID) -> None:
    async with database.autocommit() as connection:
        await leases.release(connection, "leader", holder)


async def _let_pass(database: Database, span: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(f"UPDATE leases SET renewed_at = renewed_at - interval '{span}'"))


async def test_a_lease_that_nobody_has_is_taken(database: Database) -> None:
    assert await _acquire(database, _ONE, take_over=False)


async def test_its_holder_renews_it_and_others_do_not_get_it(database: Database) -> None:
    for _ in range(3):
        assert await _acquire(database, _ONE)
        assert not await _acquire(database, _OTHER)
        await _let_pass(database, "7 seconds")


async def test_one_that_ran_out_is_taken_over_and_only_by_who_may(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "8 seconds")
    assert not await _acquire(database, _OTHER, take_over=False)
    assert await _acquire(database, _OTHER)
    assert not await _acquire(database, _ONE)


async def test_one_that_ran_out_and_that_nobody_took_is_renewed(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "1 hour")
    assert await _acquire(database, _ONE, take_over=False)
    assert not await _acquire(database, _OTHER)


async def test_one_from_before_the_clock_was_set_back_does_not_last_longer(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "-1 hour")
    assert await _acquire(database, _OTHER)


async def test_one_that_is_given_up_is_free_at_once(database: Database) -> None:
    await _acquire(database, _ONE)
    await _release(database, _ONE)
    assert await _acquire(database, _OTHER, take_over=False)


async def test_nobody_gives_up_what_others_hold(database: Database) -> None:
    await _acquire(database, _ONE)
    await _release(database, _OTHER)
    assert not await _acquire(database, _OTHER)


async def test_leases_of_different_names_do_not_meet(database: Database) -> None:
    assert await _acquire(database, _ONE)
    assert await _acquire(database, _OTHER, name="another")


@pytest.mark.parametrize("ran_out", [False, True])
async def test_of_many_that_ask_at_once_one_gets_it(database: Database, ran_out: bool) -> None:
    if ran_out:
        await _acquire(database, UUID(int=99))
        await _let_pass(database, "1 minute")
    got = await asyncio.gather(*(_acquire(database, UUID(int=number)) for number in range(20)))
    assert sum(got) == 1


async def test_who_stops_half_way_through_holds_nobody_up(database: Database) -> None:
    async with database.autocommit() as stopped, database.autocommit() as going_on:
        await leases.acquire(stopped, "leader", _ONE, _LENGTH, take_over=True)
        async with asyncio.timeout(20):
            assert not await leases.acquire(going_on, "leader", _OTHER, _LENGTH, take_over=True)

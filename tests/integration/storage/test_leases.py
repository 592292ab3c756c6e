"""A lease has one holder until it is released or expires."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from service.storage import leases
from service.storage.database import Database
from tests.support.waiting import PATIENCE_SECONDS

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


async def test_a_free_lease_is_acquired(database: Database) -> None:
    assert await _acquire(database, _ONE, take_over=False)


async def test_the_holder_renews_its_lease_and_others_do_not_acquire_it(database: Database) -> None:
    for _ in range(3):
        assert await _acquire(database, _ONE)
        assert not await _acquire(database, _OTHER)
        await _let_pass(database, "7 seconds")


async def test_another_process_acquires_an_expired_lease_only_with_take_over(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "8 seconds")
    assert not await _acquire(database, _OTHER, take_over=False)
    assert await _acquire(database, _OTHER)
    assert not await _acquire(database, _ONE)


async def test_an_expired_lease_is_renewed_by_its_holder(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "1 hour")
    assert await _acquire(database, _ONE, take_over=False)
    assert not await _acquire(database, _OTHER)


async def test_a_lease_does_not_last_longer_after_the_clock_was_set_back(database: Database) -> None:
    await _acquire(database, _ONE)
    await _let_pass(database, "-1 hour")
    assert await _acquire(database, _OTHER)


async def test_a_released_lease_is_free_at_once(database: Database) -> None:
    await _acquire(database, _ONE)
    await _release(database, _ONE)
    assert await _acquire(database, _OTHER, take_over=False)


async def test_a_release_does_not_affect_another_holders_lease(database: Database) -> None:
    await _acquire(database, _ONE)
    await _release(database, _OTHER)
    assert not await _acquire(database, _OTHER)


async def test_leases_with_different_names_are_independent(database: Database) -> None:
    assert await _acquire(database, _ONE)
    assert await _acquire(database, _OTHER, name="another")


@pytest.mark.parametrize("expired", [False, True])
async def test_only_one_of_many_concurrent_acquirers_succeeds(database: Database, expired: bool) -> None:
    if expired:
        await _acquire(database, UUID(int=99))
        await _let_pass(database, "1 minute")
    got = await asyncio.gather(*(_acquire(database, UUID(int=number)) for number in range(20)))
    assert sum(got) == 1


async def test_a_process_that_freezes_while_it_acquires_a_lease_blocks_no_other_process(database: Database) -> None:
    async with database.autocommit() as stopped, database.autocommit() as going_on:
        await leases.acquire(stopped, "leader", _ONE, _LENGTH, take_over=True)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert not await leases.acquire(going_on, "leader", _OTHER, _LENGTH, take_over=True)

"""Each kind of database failure raises an error of its own, and work that takes too long is abandoned."""

import asyncio

import pytest
from sqlalchemy import text

from service.storage.database import Database, abandon_after, savepoint
from service.storage.errors import DatabaseError, DatabaseRejected, DatabaseUnavailable, DatabaseUnprepared
from tests.support.outage import line_to
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.oldest_postgresql_too


async def test_a_missing_server_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
        await database.check_writable()
    await database.close()


async def test_a_missing_database_is_unavailable(database_url: str) -> None:
    database = Database(database_url.replace("/test_", "/no_test_"))
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        await database.check_writable()
    await database.close()


async def test_a_server_that_does_not_answer_is_unavailable_after_a_time(database_url: str) -> None:
    async with line_to(database_url) as line:
        line.freeze()
        database = Database(line.url, timeout=0.5)
        with pytest.raises(DatabaseUnavailable, match=r"PostgreSQL is not available: no answer within 0\.5 seconds"):
            await database.check_writable()
        await database.close()


async def test_a_missing_permission_is_refused_and_names_the_remedy(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("CREATE ROLE a_reader"))
        await connection.execute(text("SET LOCAL ROLE a_reader"))
        with pytest.raises(DatabaseUnprepared, match=r"PostgreSQL refuses: permission denied .*; grant the permission"):
            async with savepoint(connection):
                await connection.execute(text("SELECT * FROM deliveries"))
        await connection.rollback()


async def test_an_exhausted_pool_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, timeout=2.0)
    async with database.transaction():
        with pytest.raises(DatabaseUnavailable):
            await database.check_writable()
    await database.close()


async def test_an_invalid_value_is_rejected(database: Database) -> None:
    with pytest.raises(DatabaseRejected):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT CAST(:value AS text)"), {"value": "a\0b"})


async def test_a_terminated_connection_is_unavailable_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    await database.check_writable()


async def test_a_read_only_database_is_not_writable(database: Database) -> None:
    async with database.transaction() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
        await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    await database.engine.dispose()
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await database.check_writable()


async def test_the_error_for_a_missing_schema_names_the_remedy(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(DatabaseError, match=r"the schema is missing, .* is needed; run: loopgauge migrate"):
        await database.check_schema()
    await database.close()


async def test_a_newer_schema_is_accepted(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.check_schema()


async def test_work_on_a_frozen_server_is_abandoned_each_time(database_url: str) -> None:
    async with line_to(database_url) as line:
        database = Database(line.url, pool_size=2, timeout=5.0)
        # Open a connection before the freeze. The abandoned work then cancels its query on this connection, and the
        # frozen server answers neither the query nor the cancellation.
        await database.check_writable()
        line.freeze()
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(4):
                with pytest.raises((TimeoutError, DatabaseUnavailable)):
                    await abandon_after(0.3, database.check_writable())
        await line.mend()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await abandon_after(2.0, database.check_writable())
                    break
                except (TimeoutError, DatabaseUnavailable):
                    await asyncio.sleep(0.1)
        await database.close()


async def test_work_that_ends_in_time_returns_its_result_or_raises_its_error() -> None:
    async def work(error: Exception | None) -> int:
        if error:
            raise error
        return 7

    assert await abandon_after(5.0, work(None)) == 7
    with pytest.raises(DatabaseRejected, match="no"):
        await abandon_after(5.0, work(DatabaseRejected("no")))


async def test_cancelling_the_caller_cancels_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(abandon_after(60, work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ended.wait()

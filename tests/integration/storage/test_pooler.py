"""A pooler may give each transaction another session of PostgreSQL. Nothing depends on the session, or stays in it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.storage.database import Connection, Database, driver_of
from service.storage.dry_run import open_dry_run
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable
from service.storage.inbox_writer import InboxWriter
from tests.support.builders import Issue, at
from tests.support.pgbouncer import Mode, PgBouncer, pooling
from tests.support.road import all_experiments, deliver

pytestmark = pytest.mark.oldest_postgresql_too
_CLIENTS = 8


def _delivery(number: int) -> Delivery:
    return Issue(number=number, created_at=at(2)).opened().delivery(at(2))


@pytest.fixture(params=["session", "transaction"])
async def pooler(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[PgBouncer]:
    """PgBouncer in front of a fresh migrated database, in each mode."""
    with pooling(database_url, request.param) as started:
        yield started


@pytest.fixture
async def pooled(pooler: PgBouncer) -> AsyncIterator[Database]:
    """A database behind PgBouncer."""
    opened = Database(pooler.url, pool_size=_CLIENTS)
    yield opened
    await opened.close()


async def _settings(connection: Connection) -> tuple[str, ...]:
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "synchronous_commit", "transaction_isolation")
    driver = await driver_of(connection)
    return tuple([str((await driver.fetch(f"SELECT current_setting('{name}')"))[0][0]) for name in names])


_WANTED = ("30s", "30s", "on", "read committed")


async def test_every_transaction_has_the_settings_whatever_the_defaults_of_the_server_are(
    pooled: Database, database_url: str
) -> None:
    direct = await asyncpg.connect(database_url)
    name = await direct.fetchval("SELECT current_database()")
    for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
        await direct.execute(f"ALTER DATABASE {name} SET {setting}")
    await direct.close()

    async def observe() -> tuple[str, ...]:
        async with pooled.transaction() as connection:
            return await _settings(connection)

    assert set(await asyncio.gather(*(observe() for _ in range(3 * _CLIENTS)))) == {_WANTED}
    writer = await pooled.connect()
    assert [row[0] for row in await writer.fetch("SELECT current_setting('synchronous_commit')")] == ["on"]
    assert [row[0] for row in await writer.fetch("SELECT current_setting('statement_timeout')")] == ["30s"]
    await writer.close()


async def test_deliveries_become_experiments(pooled: Database) -> None:
    await asyncio.gather(*(deliver(pooled, Issue(number=number, created_at=at(2)).opened()) for number in range(1, 9)))
    assert len(await all_experiments(pooled)) == 8


async def test_writers_share_the_sessions_of_postgresql(pooled: Database) -> None:
    writers = [InboxWriter(pooled) for _ in range(_CLIENTS)]

    async def write(place: int) -> int:
        return sum([len(await writers[place].store([_delivery(1000 * place + turn)])) for turn in range(25)])

    assert await asyncio.gather(*map(write, range(_CLIENTS))) == [25] * _CLIENTS
    for writer in writers:
        await writer.close()


async def test_a_rejected_value_does_not_break_the_writer(pooled: Database) -> None:
    connection = await pooled.connect()
    for query, value in (("SELECT 1 / $1::int", 0), ("SELECT $1::int", "no number")):
        with pytest.raises((asyncpg.DataError, asyncpg.InterfaceError)):
            await connection.fetch(query, value)
        assert not connection.is_in_transaction()
    assert len(await connection.fetch("SELECT 1 / $1::int", 1)) == 1
    await connection.close()


async def test_a_dry_run_leaves_nothing_behind(pooled: Database) -> None:
    for _ in range(3):
        async with open_dry_run(pooled) as run, run.transaction() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM pg_class WHERE relname = 'touch_marks'")) == 2
        async with pooled.transaction() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM pg_class WHERE relname = 'touch_marks'")) == 1


async def test_a_transaction_leaves_no_state_in_the_sessions_that_it_shares(database_url: str) -> None:
    with pooling(database_url, "transaction") as pooler:
        database = Database(pooler.url, pool_size=_CLIENTS)
        await asyncio.gather(*(deliver(database, Issue(number=n, created_at=at(2)).opened()) for n in range(1, 5)))
        async with database.transaction() as connection:
            await connection.execute(text("SELECT * FROM deliveries WHERE source = :source"), {"source": "github"})
        await database.close()
        raw = await asyncpg.connect(pooler.url, statement_cache_size=0)
        for _ in range(20):
            async with raw.transaction():
                assert await raw.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
                assert await raw.fetchval("SELECT current_setting('statement_timeout')") == "0"
                held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                assert await raw.fetchval(held) == 0
        await raw.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_pooler_is_found_out(database_url: str, mode: Mode) -> None:
    with pooling(database_url, mode) as pooler:
        database = Database(pooler.url)
        connection = await database.connect()
        rows = await connection.fetch("SELECT name FROM pg_prepared_statements")
        # A connection with a session of its own would have prepared this statement under a name.
        assert rows == []
        await connection.close()
        await database.close()


async def test_a_connection_without_a_pooler_keeps_its_statements_and_settings(database: Database) -> None:
    connection = await database.connect()
    assert len(await connection.fetch("SELECT name FROM pg_prepared_statements")) == 1
    assert await connection.fetchval("SELECT current_setting('statement_timeout')") == "30s"
    assert await connection.fetchval("SELECT current_setting('default_transaction_isolation')") == "read committed"
    await connection.close()


async def test_the_url_can_say_that_a_pooler_keeps_the_session(database_url: str) -> None:
    with pooling(database_url, "session") as pooler:
        database = Database(f"{pooler.url}&pgbouncer=false")
        connection = await database.connect()
        assert len(await connection.fetch("SELECT name FROM pg_prepared_statements")) == 1
        assert await connection.fetchval("SELECT current_setting('statement_timeout')") == "30s"
        await connection.close()
        await database.close()


async def test_the_url_can_say_that_a_pooler_that_nothing_shows_is_in_transaction_mode(database_url: str) -> None:
    database = Database(f"{database_url}&pgbouncer=true")
    connection = await database.connect()
    assert await connection.fetch("SELECT name FROM pg_prepared_statements") == []
    await connection.close()
    async with database.transaction() as sql:
        assert await _settings(sql) == _WANTED
    await database.close()


async def test_a_setting_that_the_pooler_refuses_is_named(database_url: str) -> None:
    with pooling(database_url, "transaction") as pooler:
        database = Database(f"{pooler.url}&search_path=elsewhere")
        with pytest.raises(DatabaseMisconfigured, match=r"a connection pooler refuses search_path; .* ALTER ROLE"):
            await database.check_url()
        await database.close()


async def test_a_killed_pooler_is_unavailable_and_is_used_again_when_it_is_back(
    pooler: PgBouncer, pooled: Database
) -> None:
    writer = InboxWriter(pooled)
    assert len(await writer.store([_delivery(1)])) == 1
    pooler.kill()
    with pytest.raises(DatabaseUnavailable):
        await pooled.check_writable()
    with pytest.raises(DatabaseUnavailable):
        await writer.store([_delivery(2)])
    pooler.start()
    await pooled.check_writable()
    assert len(await writer.store([_delivery(3)])) == 1
    await writer.close()


async def test_the_schema_is_migrated_through_a_pooler_by_one_process_at_a_time(empty_database_url: str) -> None:
    with pooling(empty_database_url, "transaction") as pooler:
        databases = [Database(pooler.url) for _ in range(3)]
        revisions = await asyncio.gather(*(database.migrate() for database in databases))
        assert len(set(revisions)) == 1
        for database in databases:
            assert await database.check_schema() == revisions[0]
            await database.close()


async def test_a_database_with_another_encoding_than_utf_8_is_refused(postgresql: str) -> None:
    server = await asyncpg.connect(postgresql)
    await server.execute("CREATE DATABASE of_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        database = Database(postgresql.replace("/postgres?", "/of_latin1?"))
        with pytest.raises(DatabaseMisconfigured, match=r"has the encoding LATIN1, .* ENCODING 'UTF8'"):
            await database.migrate()
        await database.close()
    finally:
        await server.execute("DROP DATABASE of_latin1 WITH (FORCE)")
        await server.close()

"""What the service learns about its database."""

import pytest
from sqlalchemy import text

from service.storage.database import Database, DatabaseError, DatabaseRejected, DatabaseUnavailable


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
        await database.check_writable()
    await database.close()


async def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    database = Database(database_url.replace("/test_", "/no_test_"))
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        await database.check_writable()
    await database.close()


async def test_a_pool_that_is_used_up_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, patience=0.1)
    async with database.transaction():
        with pytest.raises(DatabaseUnavailable):
            await database.check_writable()
    await database.close()


async def test_a_value_that_postgresql_does_not_take_is_rejected(database: Database) -> None:
    with pytest.raises(DatabaseRejected):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT CAST(:value AS text)"), {"value": "a\0b"})


async def test_a_connection_that_was_cut_off_is_unavailable_and_the_next_one_works(database: Database) -> None:
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


async def test_a_missing_schema_is_told_with_the_remedy(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(DatabaseError, match=r"the schema is missing, .* is needed; run: loopgauge migrate"):
        await database.check_schema()
    await database.close()


async def test_a_schema_that_is_newer_than_this_version_will_do(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.check_schema()

"""The migrations and the tables say the same."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from service.storage.database import Database
from service.storage.tables import metadata


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_upgrading_to_head_makes_exactly_the_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await database.migrate()
    async with database.transaction() as connection:
        differences = await connection.run_sync(_differences)
    await database.close()
    assert differences == []


async def test_a_table_that_no_migration_makes_is_noticed(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE touched"))
        differences = await connection.run_sync(_differences)
    assert differences != []


async def test_bodies_are_stored_without_a_second_compression(database: Database) -> None:
    async with database.transaction() as connection:
        storage = await connection.scalar(
            text("SELECT attstorage FROM pg_attribute WHERE attrelid = 'deliveries'::regclass AND attname = 'body'")
        )
    assert storage in ("e", b"e")


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await database.migrate() == await database.migrate()
    await database.check_schema()

"""Alembic's entry point: uses the caller's connection, or else opens a connection to LOOPGAUGE_DATABASE_URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from service.storage.database import Database
from service.storage.tables import metadata


def run(connection: Connection) -> None:
    """Run the migrations in one transaction."""
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_own_connection() -> None:
    """Run the migrations for the `alembic` command, which developers use to create a revision."""
    database = Database(os.environ["LOOPGAUGE_DATABASE_URL"])
    async with database.engine.begin() as connection:
        await connection.run_sync(run)
    await database.close()


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    asyncio.run(run_on_own_connection())

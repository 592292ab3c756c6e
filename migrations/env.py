"""Alembic's entry: runs on the connection that it is handed, or on LOOPGAUGE_DATABASE_URL's."""

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
    """For the alembic command itself, when a developer makes a new revision."""
    database = Database(os.environ["LOOPGAUGE_DATABASE_URL"])
    async with database.engine.begin() as connection:
        await connection.run_sync(run)
    await database.close()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    asyncio.run(run_on_own_connection())

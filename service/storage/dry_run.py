"""A rehearsal: the statements of this room run on copies of its tables, and hold nobody up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Table, text

from service.storage.database import Connection, Database, mark_exclusive, savepoint
from service.storage.tables import (
    aliases,
    event_deliveries,
    events,
    exclusions,
    experiments,
    link_statements,
    links,
    touch_marks,
    touched,
)

_COPIED = (events, event_deliveries, links, link_statements, aliases, touched, experiments, exclusions)
# Until it bears the table's name, what is read by that name is the live table, in whatever schema that is.
_COPY = "rehearsed_{}"


class DryRun:
    """Stands in for a database: its transactions find the tables as they were at one moment.

    Deliveries are the live ones, and can only be read; all other tables are copies.
    """

    exclusive = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Kept for the transactions after it at the end, undone on an exception.

        Raises:
            DatabaseUnavailable: PostgreSQL went away; the rehearsal is over.
            DatabaseRejected: PostgreSQL does not accept a value.
        """
        async with savepoint(self._connection):
            yield self._connection


@asynccontextmanager
async def open_dry_run(database: Database) -> AsyncIterator[DryRun]:
    """Copies of what is committed now, which are gone at the end.

    It is one transaction on one snapshot, so nothing of what is committed meanwhile shows. It takes no lock that
    anybody who reads or writes waits for, and PostgreSQL itself refuses whatever would change a table that is no copy.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, went away, or grants no temporary tables.
    """
    async with database.transaction() as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        # Copying takes as long as there is much to copy.
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        for table in _COPIED:
            await _copy(connection, table)
        await _copy_marks(connection)
        # Also what the connection has prepared is read anew when this changes, and once more when it is undone.
        await connection.execute(_COPIES_FIRST)
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        await mark_exclusive(connection)
        yield DryRun(connection)
        await connection.rollback()


async def _copy(connection: Connection, table: Table) -> None:
    copy = _COPY.format(table.name)
    for statement in (
        f"CREATE TEMPORARY TABLE {copy} (LIKE {table.name} INCLUDING ALL) ON COMMIT DROP",
        f"INSERT INTO pg_temp.{copy} SELECT * FROM {table.name}",  # noqa: S608 - constants
        f"ANALYZE pg_temp.{copy}",
        f"ALTER TABLE pg_temp.{copy} RENAME TO {table.name}",
    ):
        await connection.execute(text(statement))


async def _copy_marks(connection: Connection) -> None:
    for statement in (
        f"CREATE TEMPORARY SEQUENCE {touch_marks.name}",
        f"ALTER TABLE pg_temp.{touched.name} ALTER mark SET DEFAULT nextval('pg_temp.{touch_marks.name}')",
        # After those that were copied: the longest touched subjects are projected first.
        f"SELECT setval('pg_temp.{touch_marks.name}', max(mark)) FROM pg_temp.{touched.name}",  # noqa: S608 - constants
    ):
        await connection.execute(text(statement))


_COPIES_FIRST = text("SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)")

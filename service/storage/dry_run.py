"""A dry run: the functions of this package work on copies of the tables, and block no other reader or writer."""

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
    identities,
    identity_version,
    link_statements,
    links,
    pushes,
    spare_events,
    touch_marks,
    touched,
)

_COPIED = (
    events,
    spare_events,
    event_deliveries,
    links,
    link_statements,
    aliases,
    identities,
    identity_version,
    pushes,
    touched,
    experiments,
    exclusions,
)
# A copy is filled under this name, and then gets its table's name. Until then, the table's name refers to the live
# table, whichever schema the live table is in.
_COPY = "dry_run_{}"


class DryRun:
    """A stand-in for the database, with copies of its tables.

    Each transaction of a dry run sees the changes of the earlier ones, but no commit of other transactions since the
    dry run began. The table `deliveries` is not copied: the dry run reads the live table.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a savepoint. Later transactions of the dry run see its changes, unless an exception undoes them.

        Raises:
            DatabaseUnavailable: the connection was lost, which ends the dry run.
            DatabaseRejected: PostgreSQL rejects a value.
        """
        async with savepoint(self._connection):
            yield self._connection


_COPIES_FIRST = text("SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)")


@asynccontextmanager
async def open_dry_run(database: Database) -> AsyncIterator[DryRun]:
    """Copy the tables into temporary tables, and drop the copies at the end.

    The dry run is one transaction on one snapshot, so it does not see later commits. The dry run takes no lock that
    blocks readers or writers, and its transaction is read-only: PostgreSQL rejects changes to any table that is not a
    copy.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, the connection was lost, or the user may not create temporary
            tables.
    """
    async with database.transaction() as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        # Copying large tables may take longer than the usual timeout.
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        for table in _COPIED:
            await _copy(connection, table)
        await _copy_marks(connection)
        # Let table names refer to the copies. PostgreSQL plans prepared statements anew after this change, and again
        # after its rollback, so that none of them uses the wrong tables.
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
        # Start the sequence above the copied marks: subjects are projected in the order of their marks, and a new mark
        # must come last.
        f"SELECT setval('pg_temp.{touch_marks.name}', max(mark)) FROM pg_temp.{touched.name}",  # noqa: S608 - constants
    ):
        await connection.execute(text(statement))

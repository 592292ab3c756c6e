"""The connection pool, transactions and savepoints."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.storage import schema
from service.storage.connecting import Connector
from service.storage.errors import DatabaseUnavailable, translated_errors

_Result = TypeVar("_Result")
_Connect: TypeAlias = Callable[[], Awaitable[asyncpg.Connection]]
Connection: TypeAlias = AsyncConnection
"""A connection of the pool, which the functions of this package take as an argument.

The connection is inside a transaction, unless it is from `Database.autocommit`.
"""


class Transactions(Protocol):
    """A handle that opens transactions: the database, or a dry run on copies of its tables."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction. The changes are kept when the block ends, and undone if it raises an exception."""
        ...


class Database:
    """A pool of connections to one PostgreSQL database.

    Args:
        url: `postgresql://…`, with any user information and query parameters that libpq accepts.
        pool_size: the largest number of pooled connections; connections that `connect` opens are not counted.
        timeout: seconds to wait for a new connection to open, or for a pooled connection to become free.
    """

    def __init__(self, url: str, *, pool_size: int = 10, timeout: float = 5) -> None:
        self.url = url
        self._connect = Connector(url, timeout).connect
        self.engine = _engine(self._connect, pool_size, timeout)

    async def close(self) -> None:
        await self.engine.dispose()

    async def connect(self) -> asyncpg.Connection:
        """Open a driver connection outside the pool; the caller must close the connection.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
            DatabaseMisconfigured: the URL is invalid.
        """
        with translated_errors():
            return await self._connect()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a READ COMMITTED transaction, which commits at the end of the block and rolls back on an exception.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost.
            DatabaseRejected: PostgreSQL rejects a value.
        """
        with translated_errors():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read_transaction(self) -> AsyncIterator[Connection]:
        """Open a read-only transaction whose queries all see one snapshot.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost.
        """
        async with self.transaction() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Connection]:
        """Open a connection on which each statement commits by itself.

        There is no open transaction, so a process that freezes between two statements holds no lock.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost.
            DatabaseRejected: PostgreSQL rejects a value.
        """
        with translated_errors():
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def check_url(self) -> None:
        """Check that the URL is valid, whether or not PostgreSQL is available.

        Raises:
            DatabaseMisconfigured: the URL is invalid.
        """
        with suppress(DatabaseUnavailable):
            await self.check_writable()

    async def check_writable(self) -> None:
        """Check that PostgreSQL accepts writes.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or is a read-only replica.
        """
        async with self.transaction() as connection:
            if await connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                raise DatabaseUnavailable("PostgreSQL is read-only")

    async def migrate(self) -> str:
        """Upgrade the schema to the revision that this version of loopgauge needs, and return the schema's revision.

        A schema of a newer revision stays as it is.

        Raises:
            DatabaseError: PostgreSQL cannot be reached, or a table stays locked for too long.
        """
        async with self.transaction() as connection:
            return await schema.upgrade_schema(connection)

    async def check_schema(self) -> str:
        """Check that the schema has the revision that loopgauge needs, or a newer one, and return its revision.

        Raises:
            DatabaseError: the schema is missing, or its revision is too old.
        """
        async with self.transaction() as connection:
            return await schema.check_schema(connection)

    async def server_version(self) -> str:
        """The version of PostgreSQL, such as 15.8.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        async with self.transaction() as connection:
            version: str = await connection.scalar(text("SELECT current_setting('server_version')"))
            return version.split(maxsplit=1)[0]


def _engine(connect: _Connect, pool_size: int, timeout: float) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        # This check costs a round trip, but discards connections that a restart of PostgreSQL has broken.
        pool_pre_ping=True,
    )


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """Open a savepoint. An exception undoes the changes made after the savepoint, and the transaction can continue.

    Raises:
        DatabaseUnavailable: the connection was lost.
        DatabaseRejected: PostgreSQL rejects a value.
    """
    with translated_errors():
        async with connection.begin_nested():
            yield


async def driver_of(connection: Connection) -> asyncpg.Connection:
    """The driver's connection, inside the transaction. The driver reads many rows in half the time of SQLAlchemy."""
    driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
    if not driver.is_in_transaction():
        # SQLAlchemy begins the transaction only with the first statement.
        await connection.execute(text("SELECT"))
    return driver


_EXCLUSIVE = "loopgauge_exclusive"


async def mark_exclusive(connection: Connection) -> None:
    """Mark a connection as exclusive: functions that use the connection then take no locks.

    The caller makes sure that no other transaction can reach the tables that the connection changes.
    """
    await connection.execution_options(**{_EXCLUSIVE: True})


def is_exclusive(connection: Connection) -> bool:
    """Whether no other transaction can reach the tables that this connection changes. If so, no locks are needed."""
    return connection.sync_connection is not None and _EXCLUSIVE in connection.sync_connection.get_execution_options()


async def abandon_after(seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of work on the database, or abandon the work after a time limit.

    `asyncio.timeout` cannot interrupt a query on a frozen server: to cancel the query, the driver sends a request to
    the server and waits for an answer that never comes. Abandoned work is cancelled, but not awaited.

    Raises:
        TimeoutError: the work took too long. PostgreSQL may still commit the work.
    """
    task = asyncio.create_task(work)
    try:
        finished, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not finished:
        _abandon(task)
        raise TimeoutError
    return task.result()


# The event loop keeps only weak references to tasks: without this set, a task could be garbage-collected too early.
_abandoned: set[asyncio.Task[Any]] = set()


def _abandon(task: asyncio.Task[Any]) -> None:
    task.cancel()
    _abandoned.add(task)
    task.add_done_callback(_discard)


def _discard(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        # Retrieve the exception; asyncio otherwise logs that it was never retrieved.
        task.exception()

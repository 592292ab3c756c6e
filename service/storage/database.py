"""The connection to PostgreSQL, and its schema."""

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar

import asyncpg
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

# Any constant will do, so long as every process of every version takes the same one.
_MIGRATION_LOCK = 0x6C6F6F70
_STATEMENT_TIMEOUT = "30s"
# A process that is frozen in a transaction holds what it has locked: so long, and then others go on.
_IDLE_TIMEOUT = "30s"

_Result = TypeVar("_Result")
Connection: TypeAlias = AsyncConnection
"""A connection inside a transaction, as the functions of this room take it."""


class DatabaseError(Exception):
    """Something is wrong with the database; the message says what, and what to do."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL does not answer or does not take writes; it may again, so the work can be tried later."""


class DatabaseAway(DatabaseUnavailable):
    """PostgreSQL does not run, or is only starting or ending: it refuses connections, ours and everybody else's."""


class DatabaseUnprepared(DatabaseUnavailable):
    """PostgreSQL answers, but does not let us in or has no schema of ours; the message says what to do."""


class DatabaseTimeout(DatabaseUnavailable):
    """PostgreSQL gave up on a statement that took too long; smaller work may succeed."""


class DatabaseMisconfigured(DatabaseError):
    """The database's URL cannot be used; the message says what is wrong with it."""


class DatabaseRejected(DatabaseError):
    """PostgreSQL does not accept a value; trying the same again cannot help."""


class Transactions(Protocol):
    """A handle that opens transactions: the database, or a dry run on copies of its tables.

    Attributes:
        exclusive: whether no other transaction can reach its tables.
    """

    @property
    def exclusive(self) -> bool: ...

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction: its changes are kept at the end and undone on an exception."""
        ...


_EXCLUSIVE = "loopgauge_exclusive"


async def mark_exclusive(connection: Connection) -> None:
    """Note that no other transaction can reach the tables that this connection changes."""
    await connection.execution_options(**{_EXCLUSIVE: True})


def is_exclusive(connection: Connection) -> bool:
    """Whether no other transaction can reach the tables that this connection changes, so that it needs no locks."""
    return _EXCLUSIVE in connection.sync_connection.get_execution_options() if connection.sync_connection else False


class Database:
    """A pool of connections to one PostgreSQL database.

    Args:
        url: `postgresql://…`, with any user information and query that libpq takes.
        pool_size: how many connections are held at most, beside those that `connect` makes.
        timeout: seconds to wait for a connection, a new one or one that others give back.
    """

    exclusive = False

    def __init__(self, url: str, *, pool_size: int = 10, timeout: float = 5) -> None:
        self.url = url
        self._connect = _connector(url, timeout)
        self.engine = _engine(self._connect, pool_size, timeout)

    async def close(self) -> None:
        await self.engine.dispose()

    async def connect(self) -> asyncpg.Connection:
        """A connection of the driver's, outside of the pool, for whoever keeps one to itself.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
            DatabaseMisconfigured: the URL cannot be used.
        """
        with translated_errors():
            return await self._connect()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One READ COMMITTED transaction: committed at the end, rolled back on an exception.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or went away meanwhile.
            DatabaseRejected: PostgreSQL does not accept a value.
        """
        with translated_errors():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read_transaction(self) -> AsyncIterator[Connection]:
        """One transaction that only reads, and reads everything as of one moment.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or went away meanwhile.
        """
        async with self.transaction() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Connection]:
        """A connection whose every statement PostgreSQL commits by itself.

        A process that is stopped between two statements, or before it has read an answer, then holds no lock.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or went away meanwhile.
            DatabaseRejected: PostgreSQL does not accept a value.
        """
        with translated_errors():
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def check_url(self) -> None:
        """See that the URL can be used; whether PostgreSQL is there now is another matter.

        Raises:
            DatabaseMisconfigured: it cannot.
        """
        with suppress(DatabaseUnavailable):
            await self.check_writable()

    async def migrate(self) -> str:
        """Bring the schema to this version's revision, under an advisory lock, and return the revision that it is at.

        A newer schema stays as it is, since this version works with it, and its revision is returned.

        Raises:
            DatabaseError: PostgreSQL cannot be reached, or a newer version has migrated it.
        """
        async with self.transaction() as connection:
            # Another process may be migrating, and an index on a large table takes its time.
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            current = await _current(connection)
            if _is_recent_enough(current):
                return current
            await connection.run_sync(_upgrade)
        return _revisions()[-1]

    async def check_writable(self) -> None:
        """See that PostgreSQL takes writes.

        Raises:
            DatabaseUnavailable: it cannot be reached, or is a read-only replica.
        """
        async with self.transaction() as connection:
            if await connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                raise DatabaseUnavailable("PostgreSQL is read-only")

    async def check_schema(self) -> None:
        """See that the schema is at this version's revision, or at a newer one.

        Migrations expand first and contract a release later, so a revision that this version does not know is a
        newer one that it can work with.

        Raises:
            DatabaseError: there is no schema, or an older one.
        """
        async with self.transaction() as connection:
            current = await _current(connection)
        if not _is_recent_enough(current):
            found = f"is at revision {current}" if current else "is missing"
            raise DatabaseError(f"the schema {found}, {_revisions()[-1]} is needed; run: loopgauge migrate")


async def abandon_after(seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of work on the database, awaited for so long and no longer.

    Work that is late is asked to end and left behind: to cancel a query the driver asks the server, and one that is
    frozen would be waited for as long as it is.

    Raises:
        TimeoutError: it was late. What it was about to commit may be committed yet.
    """
    task = asyncio.create_task(work)
    try:
        finished, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _leave(task)
        raise
    if not finished:
        _leave(task)
        raise TimeoutError
    return task.result()


# A task that nobody refers to may vanish before its end.
_left_behind: set[asyncio.Task[Any]] = set()


def _leave(task: asyncio.Task[Any]) -> None:
    task.cancel()
    _left_behind.add(task)
    task.add_done_callback(_end)


def _end(task: asyncio.Task[Any]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        # Asked for, so that nobody is told that it was not: who waited has been told already.
        task.exception()


_Connect: TypeAlias = Callable[[], Awaitable[asyncpg.Connection]]


def _connector(url: str, timeout: float) -> _Connect:
    async def connect() -> asyncpg.Connection:
        # The driver reads the URL itself, since SQLAlchemy knows less of what libpq takes (sslmode, for one).
        try:
            return await asyncpg.connect(
                url,
                timeout=timeout,
                server_settings={
                    "application_name": "loopgauge",
                    "statement_timeout": _STATEMENT_TIMEOUT,
                    "idle_in_transaction_session_timeout": _IDLE_TIMEOUT,
                    # What is acknowledged is on disk, whatever the server's own settings say.
                    "synchronous_commit": "on",
                },
            )
        except ValueError as error:
            # The text could hold the password.
            raise DatabaseMisconfigured(
                "LOOPGAUGE_DATABASE_URL cannot be used; expected postgresql://user:password@host:port/database, "
                "with options that libpq knows"
            ) from error

    return connect


def _engine(connect: _Connect, pool_size: int, timeout: float) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        # One round trip, so that a connection from before a restart of PostgreSQL is not handed out.
        pool_pre_ping=True,
    )


# What is raised while connecting comes from the driver as it is.
_UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, PoolTimeout)
# SQLSTATE: data exception, integrity constraint violation, program limit exceeded (a key too long for its index).
_ABOUT_VALUES = ("22", "23", "54")
_QUERY_CANCELED = "57014"
# By SQLSTATE, for what somebody else has to see to.
_ADVICE = {
    "28P01": "look at the user and the password in LOOPGAUGE_DATABASE_URL",
    "28000": "look at the user and the password in LOOPGAUGE_DATABASE_URL",
    "3D000": "create it, or name another one in LOOPGAUGE_DATABASE_URL",
    "42501": "allow it to the user in LOOPGAUGE_DATABASE_URL, or name another one",
    "42P01": "run: loopgauge migrate",
    "42703": "run: loopgauge migrate",
    "55P03": "somebody reads for long, as a backup does; run it again when that is over",
}
# A port or socket where nobody listens, a name that nobody has.
_REFUSED = {errno.ECONNREFUSED, errno.ENOENT, socket.EAI_NONAME}


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A part of a transaction that can fail alone: what it did is undone, and the transaction goes on.

    Raises:
        DatabaseUnavailable: PostgreSQL went away.
        DatabaseRejected: PostgreSQL does not accept a value.
    """
    with translated_errors():
        async with connection.begin_nested():
            yield


async def driver_of(connection: Connection) -> asyncpg.Connection:
    """The driver's own connection, in the transaction: of many rows, SQLAlchemy takes twice its time."""
    driven: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
    if not driven.is_in_transaction():
        # SQLAlchemy begins the transaction with its first statement.
        await connection.execute(text("SELECT"))
    return driven


@contextmanager
def translated_errors() -> Iterator[None]:
    """What SQLAlchemy and the driver raise, in the words of this room.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or went away.
        DatabaseRejected: PostgreSQL does not accept a value.
    """
    try:
        yield
    except (DBAPIError, *_UNAVAILABLE) as error:
        if _is_about_a_value(error):
            raise DatabaseRejected(f"PostgreSQL rejects a value: {_cause(error)}") from error
        if _state_of(error) == _QUERY_CANCELED:
            raise DatabaseTimeout(f"PostgreSQL took too long: {_cause(error)}") from error
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> DatabaseUnavailable:
    said = f"PostgreSQL is not available: {_cause(error)}"
    advice = _ADVICE.get(_state_of(error) or "")
    if advice is not None:
        return DatabaseUnprepared(f"{said}; {advice}")
    return DatabaseAway(said) if _is_refused(error) else DatabaseUnavailable(said)


def _is_about_a_value(error: Exception) -> bool:
    if state := _state_of(error):
        return state.startswith(_ABOUT_VALUES)
    # Without a state it is the driver that could not encode a value; SQLAlchemy has that as the cause of its own.
    driven = getattr(getattr(error, "orig", None), "__cause__", error)
    return isinstance(driven, asyncpg.InterfaceError) and isinstance(driven, ValueError)


def _state_of(error: Exception) -> str | None:
    """The SQLSTATE that PostgreSQL gave, where it was PostgreSQL that said no."""
    state: str | None = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return state


def _is_refused(error: Exception) -> bool:
    if isinstance(error, asyncpg.CannotConnectNowError):
        return True
    # Of a host with several addresses there is one error in whose text each of theirs stands.
    numbers = re.findall(r"\[Errno (-?\d+)\]", str(error)) if isinstance(error, OSError) else []
    return bool(numbers) and all(int(number) in _REFUSED for number in numbers)


def _cause(error: BaseException) -> str:
    """The driver's own words on one line; SQLAlchemy's would carry the statement's parameters."""
    original = getattr(error, "orig", None) or error
    words = str(original).strip() or type(original).__name__
    return words.splitlines()[0]


def _migrations() -> Path:
    package = Path(__file__).parents[1]
    # Beside the package in a checkout, inside it in a wheel.
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


@cache
def _revisions() -> tuple[str, ...]:
    """All revisions that this version knows, the newest last; each begins the name of its file."""
    return tuple(sorted(path.stem.partition("_")[0] for path in _migrations().glob("versions/*.py")))


def _is_recent_enough(revision: str | None) -> TypeGuard[str]:
    """Whether it is this version's, or a newer one that this version does not know: all older ones, it does."""
    *older, _ = _revisions()
    return revision is not None and revision not in older


async def _current(connection: Connection) -> str | None:
    if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: SyncConnection) -> None:
    from alembic import command, config  # noqa: PLC0415 - a tenth of all that is imported, and seldom needed

    settings = config.Config()
    settings.set_main_option("script_location", str(_migrations()))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")

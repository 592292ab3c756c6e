"""The driver's connections: one for a PostgreSQL session of its own, and one for a pooler in transaction mode."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg

# After a statement timeout, PostgreSQL cancels a statement. After an idle timeout, PostgreSQL ends an idle transaction,
# so that a frozen process does not keep its locks. A delivery must be on disk before it is acknowledged, even if the
# server's own setting is "off".
_SETTINGS = {
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
    "synchronous_commit": "on",
}
# Each lock of `recording.py` relies on READ COMMITTED, whatever the default of the database or the user is.
_ISOLATION = "read committed"

_SET_FOR_SESSION = ", ".join(
    f"set_config('{name}', '{value}', false)"
    for name, value in {**_SETTINGS, "default_transaction_isolation": _ISOLATION}.items()
)
_SET_FOR_TRANSACTION = "".join(f" SET LOCAL {name} = '{value}';" for name, value in _SETTINGS.items())

# Only the options that the operating system supports are set, as libpq does.
_SOCKET_OPTIONS = {
    option: (level, getattr(socket, name))
    for option, level, name in (
        ("keepalives", socket.SOL_SOCKET, "SO_KEEPALIVE"),
        ("keepalives_idle", socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
        ("keepalives_interval", socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
        ("keepalives_count", socket.IPPROTO_TCP, "TCP_KEEPCNT"),
        ("tcp_user_timeout", socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
    )
    if hasattr(socket, name)
}


class SessionConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """A connection with a session of its own: straight to PostgreSQL, or through a pooler in session mode."""

    def set_socket_options(self, options: Mapping[str, int]) -> None:
        """Set options of libpq on the TCP socket. A Unix socket has no such options."""
        connected = self._transport.get_extra_info("socket")
        if connected is not None and connected.family != socket.AF_UNIX:
            # libpq switches keepalives on by default.
            for name in _SOCKET_OPTIONS.keys() & {"keepalives": 1, **options}.keys():
                connected.setsockopt(*_SOCKET_OPTIONS[name], options.get(name, 1))

    async def set_for_session(self) -> None:
        """Apply the settings for the whole session."""
        await self.execute(f"SELECT {_SET_FOR_SESSION}")

    async def set_unless_pooled(self) -> bool:
        """Apply the settings for the whole session, unless the connection leads to a pooler. Return whether it does.

        A pooler makes up the process id that it reports to its clients, so this id differs from the id of the process
        that executes the statement. The statement is a simple query: a pooler in transaction mode may lose a prepared
        statement.
        """
        status = await self.execute(f"SELECT {_SET_FOR_SESSION} WHERE pg_backend_pid() = {self.get_server_pid()}")
        return str(status) == "SELECT 0"

    async def is_read_only(self) -> bool:
        """Whether PostgreSQL is a standby, or read-only by default."""
        status = await self.execute(
            "SELECT WHERE pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'"
        )
        return str(status) == "SELECT 1"


class PooledConnection(SessionConnection):
    """A connection through a pooler that may use another session of PostgreSQL for each transaction.

    No state outlives a transaction: each transaction applies the settings to itself, and prepared statements have no
    name. PostgreSQL parses a statement without a name at each execution, in the same round trip. Open this connection
    with `statement_cache_size=0`, so that the driver gives statements no name.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unnamed: dict[str, Any] = {}

    def transaction(self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False) -> Any:
        """Create a transaction, or a savepoint if the connection is in a transaction."""
        if isolation is None and not self.is_in_transaction():
            isolation = _ISOLATION.replace(" ", "_")
        return super().transaction(isolation=isolation, readonly=readonly, deferrable=deferrable)

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Execute a query. If it begins a transaction, apply the settings to the transaction in the same round trip."""
        if query.startswith("BEGIN"):
            query += _SET_FOR_TRANSACTION
        status: str = await super().execute(query, *arguments, timeout=timeout)
        return status

    async def fetch(self, query: str, *arguments: Any, **options: Any) -> list[Any]:
        """Execute a query and return its rows. Outside a transaction, open one, so that the settings apply."""
        if self.is_in_transaction():
            return await self._fetch(query, arguments, options)
        # Use no `async with`: at a cancellation, it would wait for a server that may be frozen.
        transaction = self.transaction()
        await transaction.start()
        try:
            rows = await self._fetch(query, arguments, options)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            await transaction.rollback()
            raise
        await transaction.commit()
        return rows

    async def cursor(
        self,
        query: str,
        *arguments: Any,
        prefetch: int | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Iterate over the rows of a query, inside a transaction."""
        statement = await self._prepared(query)
        async for row in statement.cursor(*arguments, prefetch=prefetch, **options):
            yield row

    async def _fetch(self, query: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
        statement = await self._prepared(query)
        try:
            rows: list[Any] = await statement.fetch(*arguments, **options)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            # The statement may be outdated, because a migration has changed its tables.
            self._unnamed.pop(query, None)
            raise
        return rows

    async def _prepared(self, query: str) -> Any:
        """The prepared statement of a query. Keep it, because preparing a statement costs a round trip."""
        if query not in self._unnamed:
            self._unnamed[query] = await self.prepare(query, name="")
        return self._unnamed[query]

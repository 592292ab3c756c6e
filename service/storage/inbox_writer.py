"""The hot path of the inbox: store deliveries on a dedicated connection."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from service.deliveries.delivery import Delivery
from service.storage.database import Database
from service.storage.errors import DatabaseRejected, translated_errors
from service.storage.inbox import insert_deliveries

_IDLE_SECONDS = 1.0


class InboxWriter:
    """Stores each batch of deliveries in one statement, on a dedicated connection.

    `asyncpg.Pool` does not fit. After each use of a connection, the pool spends a round trip to reset the connection.
    The pool also hands out a connection without checking whether it still works. When a statement is cancelled, the
    pool waits until the server confirms the cancellation, which a frozen server never does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._used_at = 0.0

    async def store(self, batch: Sequence[Delivery]) -> frozenset[UUID]:
        """Store deliveries, all or none, and return the ids of the new ones.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost. If the connection was lost,
                the deliveries may have been stored.
            DatabaseRejected: PostgreSQL rejects a value.
        """
        connection = await self._take_connection()
        try:
            with translated_errors():
                stored = await insert_deliveries(connection, batch)
        except BaseException as error:
            # Close the connection: the next statement would otherwise read the response to this statement.
            if not isinstance(error, DatabaseRejected):
                connection.terminate()
            raise
        finally:
            if not connection.is_closed():
                self._connection, self._used_at = connection, asyncio.get_running_loop().time()
        return stored

    async def _take_connection(self) -> asyncpg.Connection:
        """Take the connection, so that no other call uses it.

        If the connection is in use or was lost, open a new one.
        """
        connection, self._connection = self._connection, None
        # The driver has closed the connection if PostgreSQL stopped.
        if connection is None or connection.is_closed():
            return await self._database.connect()
        if asyncio.get_running_loop().time() - self._used_at > _IDLE_SECONDS:
            # Test the connection: a pooler or firewall may have dropped it without notice while it was idle.
            try:
                await connection.execute("SELECT")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                connection.terminate()
                return await self._database.connect()
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def close(self) -> None:
        """Close the connection without waiting for the server."""
        if self._connection is not None:
            self._connection.terminate()

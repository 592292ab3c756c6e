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

    `asyncpg.Pool` does not fit. It spends a round trip to reset a connection after each use. It returns stale
    connections without checking them. It waits until the server confirms that a statement is cancelled, which a frozen
    server never does.

    Args:
        database: the database that holds the inbox.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._used_at = 0.0

    async def store(self, batch: Sequence[Delivery]) -> frozenset[UUID]:
        """Store deliveries, all or none, and return the ids of the new ones.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost. In the latter case, the
                deliveries may have been stored.
            DatabaseRejected: PostgreSQL rejects a value.
        """
        connection = await self._take_connection()
        try:
            with translated_errors():
                stored = await insert_deliveries(connection, batch)
        except BaseException as error:
            # Close the connection: the next statement would otherwise read the response to this one.
            if not isinstance(error, DatabaseRejected):
                connection.terminate()
            raise
        finally:
            if not connection.is_closed():
                self._connection, self._used_at = connection, asyncio.get_running_loop().time()
        return stored

    async def _take_connection(self) -> asyncpg.Connection:
        """Take the connection, so that no other call uses it. Open a new one if it is in use or was lost."""
        connection, self._connection = self._connection, None
        # The driver closes a connection when PostgreSQL stops.
        if connection is None or connection.is_closed():
            return await self._database.connect()
        if asyncio.get_running_loop().time() - self._used_at > _IDLE_SECONDS:
            # A pooler or firewall may have dropped the idle connection, which shows only when it is used.
            try:
                await connection.execute("SELECT")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
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

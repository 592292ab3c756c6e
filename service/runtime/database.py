"""Open the process's database: an external server, or the embedded server, which is restarted when it is killed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from service.runtime import shutdown
from service.storage.database import Database, abandon_after
from service.storage.embedded import EmbeddedServer, EmbeddedUnavailable
from service.storage.errors import DatabaseUnavailable

_CHECK_SECONDS = 1.0
_MIGRATE_SECONDS = 10.0

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_server(url: str) -> AsyncIterator[Database]:
    """Open the database at a URL.

    Raises:
        DatabaseMisconfigured: the URL cannot be used.
    """
    database = Database(url)
    try:
        await database.check_url()
        yield database
    finally:
        await _close(database)


@asynccontextmanager
async def run_embedded(data_dir: Path, tuning: Mapping[str, str] | None) -> AsyncIterator[Database]:
    """Run the embedded PostgreSQL, restart it when it is killed, and stop it at the end.

    Args:
        data_dir: the directory that contains the cluster.
        tuning: PostgreSQL's own settings, which apply if the server is not running yet.

    Raises:
        EmbeddedUnavailable: the embedded server cannot run.
    """
    server = EmbeddedServer(data_dir, tuning)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        # Shield the start from a cancellation: the server can be stopped only after the start has finished.
        await asyncio.shield(starting)
        async with _supervise(server), _migrate(Database(server.url)) as database:
            yield database
    finally:
        await asyncio.gather(starting, return_exceptions=True)
        try:
            await asyncio.to_thread(server.release, shutdown.EMBEDDED_SECONDS)
        except EmbeddedUnavailable as error:
            # Every acknowledged delivery is on disk, so the service ends without an error.
            _log.warning("the embedded PostgreSQL has not stopped yet", cause=str(error))


@asynccontextmanager
async def _migrate(database: Database) -> AsyncIterator[Database]:
    """Migrate the database.

    If the migration takes long, the service starts before the migration has finished; until then, deliveries wait in
    the spool.
    """
    migrating = asyncio.create_task(_migrate_patiently(database))
    try:
        await asyncio.wait({migrating}, timeout=_MIGRATE_SECONDS)
        if migrating.done():
            migrating.result()
        else:
            _log.warning("the embedded PostgreSQL does not answer; the service starts without it")
        yield database
    finally:
        migrating.cancel()
        await _close(database)


async def _migrate_patiently(database: Database) -> None:
    """Migrate the database, and retry until the server answers: `_supervise` restarts a killed server."""
    while True:
        try:
            await database.migrate()
        except DatabaseUnavailable as error:
            _log.warning("the embedded PostgreSQL is not migrated yet", cause=str(error))
            await asyncio.sleep(_CHECK_SECONDS)
        else:
            return


@asynccontextmanager
async def _supervise(server: EmbeddedServer) -> AsyncIterator[None]:
    supervising = asyncio.create_task(_restart_when_killed(server))
    try:
        yield
    finally:
        supervising.cancel()
        await asyncio.gather(supervising, return_exceptions=True)


async def _restart_when_killed(server: EmbeddedServer) -> None:
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        if await asyncio.to_thread(server.answers):
            continue
        _log.warning("the embedded PostgreSQL has stopped; starting it again")
        try:
            await asyncio.to_thread(server.restart)
        except Exception as error:  # noqa: BLE001 - retry later, whatever the cause of the error
            _log.error("the embedded PostgreSQL cannot be started again", cause=str(error))


async def _close(database: Database) -> None:
    # Limit the wait: a frozen server never confirms that a connection is closed.
    with suppress(TimeoutError):
        await abandon_after(shutdown.DATABASE_SECONDS, database.close())

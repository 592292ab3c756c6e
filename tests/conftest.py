"""One embedded PostgreSQL for the whole suite, and a fresh database for each test that asks for one."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer

_SERVER = "LOOPGAUGE_TEST_SERVER"
_TEMPLATE = "loopgauge_template"
# The machines that run this are shared: how long an example takes says nothing about the code.
settings.register_profile("loopgauge", deadline=None)
settings.load_profile("loopgauge")
_served = pytest.StashKey[tuple[EmbeddedServer, Path]]()
_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Start the server in the process that started the suite; the workers beside it find it by its address."""
    for name in [name for name in os.environ if name.startswith("LOOPGAUGE_") and name != _SERVER]:
        del os.environ[name]
    if hasattr(config, "workerinput"):
        return
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-tests-"))
    # What a crash of the machine would do to a test's database is no concern.
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    server = EmbeddedServer(directory, fast)
    server.start()
    config.stash[_served] = (server, directory)
    os.environ[_SERVER] = server.url
    asyncio.run(_make_template(server.url))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, and leave nothing behind."""
    if _served in config.stash:
        server, directory = config.stash[_served]
        server.release()
        shutil.rmtree(directory)


async def _make_template(server: str) -> None:
    await _execute(server, f"CREATE DATABASE {_TEMPLATE}")
    database = Database(_url(server, _TEMPLATE))
    await database.migrate()
    await database.close()


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _url(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def empty_database_url() -> AsyncIterator[str]:
    """The URL of a database without a schema."""
    async for url in _fresh("template0"):
        yield url


@pytest.fixture
async def database_url() -> AsyncIterator[str]:
    """The URL of a fresh database at the newest schema."""
    async for url in _fresh(_TEMPLATE):
        yield url


async def _fresh(template: str) -> AsyncIterator[str]:
    server = os.environ[_SERVER]
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield _url(server, name)
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database at the newest schema."""
    opened = Database(database_url, pool_size=5)
    yield opened
    await opened.close()

"""One PostgreSQL for the whole suite, and a fresh database for each test that asks for one."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.postgresql import oldest, running

_SERVER = "LOOPGAUGE_TEST_SERVER"
_TEMPLATE = "loopgauge_template"
# What a crash of the machine would do to a test's database is no concern.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
# The machines that run this are shared: how long an example takes says nothing about the code.
settings.register_profile("loopgauge", deadline=None)
settings.load_profile("loopgauge")
_served = pytest.StashKey[ExitStack]()
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the suite run on any PostgreSQL that is installed."""
    parser.addoption(
        "--postgresql",
        type=Path,
        metavar="DIRECTORY",
        help="run on the PostgreSQL whose programs are there, such as /usr/lib/postgresql/16/bin, not on the wheel's",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the server in the process that started the suite; the workers beside it find it by its address."""
    for name in [name for name in os.environ if name.startswith("LOOPGAUGE_") and name != _SERVER]:
        del os.environ[name]
    if hasattr(config, "workerinput"):
        return
    programs = config.getoption("postgresql")
    with ExitStack() as serving:
        url = serving.enter_context(running(programs, _FAST) if programs else _embedded())
        asyncio.run(_make_template(url))
        os.environ[_SERVER] = url
        config.stash[_served] = serving.pop_all()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, and leave nothing behind."""
    if _served in config.stash:
        config.stash[_served].close()


@contextmanager
def _embedded() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-tests-"))
    server = EmbeddedServer(directory, _FAST)
    try:
        server.start()
        yield server.url
    finally:
        server.release()
        shutil.rmtree(directory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked so on the oldest PostgreSQL too, unless one was chosen for all."""
    marked = metafunc.definition.get_closest_marker("oldest_postgresql_too")
    if marked and "postgresql" in metafunc.fixturenames and not metafunc.config.getoption("postgresql"):
        metafunc.parametrize("postgresql", ["newest", "oldest"], indirect=True)


@pytest.fixture(scope="session")
def oldest_postgresql() -> Iterator[str]:
    """The URL of the oldest PostgreSQL that is supported; started when the first test asks for it."""
    with running(oldest(), _FAST) as url:
        asyncio.run(_make_template(url))
        yield url


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> str:
    """The URL of the server that a test runs on."""
    if getattr(request, "param", "newest") == "newest":
        return os.environ[_SERVER]
    chosen: str = request.getfixturevalue("oldest_postgresql")
    return chosen


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
async def empty_database_url(postgresql: str) -> AsyncIterator[str]:
    """The URL of a database without a schema."""
    async for url in _fresh(postgresql, "template0"):
        yield url


@pytest.fixture
async def database_url(postgresql: str) -> AsyncIterator[str]:
    """The URL of a fresh database at the newest schema."""
    async for url in _fresh(postgresql, _TEMPLATE):
        yield url


async def _fresh(server: str, template: str) -> AsyncIterator[str]:
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

"""PostgreSQL for the tests that ask for it: these tests share one server, and each test has a fresh database."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import get_args

import asyncpg
import pytest
from hypothesis import settings

from service.storage.database import Database
from tests.support.data_directory import use_data_directory
from tests.support.guardian import TEMPLATE, Run, server_url
from tests.support.pgbouncer import Mode, pooling
from tests.support.postgresql import oldest

_DIRECTORY = "PYTEST_RUN_DIRECTORY"
# Set no deadline: other programs slow the tests down, so the duration of an example says nothing about the code.
# In continuous integration, draw the same examples for the same code, so that a change fails for its own faults only.
# All other runs draw new examples.
settings.register_profile("thorough", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("quick", settings.get_profile("thorough"), max_examples=20)
settings.load_profile("thorough")
_TIERS = [Path(__file__).parent / tier for tier in ("system", "integration", "unit")]
_run = pytest.StashKey[Run]()
_temporary = pytest.StashKey[Path]()
_numbers = count(1)
# Some tests hold several transactions at once.
_POOLED_SESSIONS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options that run the suite on an installed PostgreSQL, and behind PgBouncer."""
    parser.addoption(
        "--postgresql",
        type=Path,
        metavar="DIRECTORY",
        help="use the PostgreSQL in this directory, such as /usr/lib/postgresql/16/bin, instead of the embedded one",
    )
    parser.addoption(
        "--pgbouncer",
        choices=get_args(Mode),
        help="connect to PostgreSQL through PgBouncer in this mode, in tests that use a migrated database",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Remove the user's settings of loopgauge from the environment, and choose the directories of this test run.

    No test may use the default data directory, in which a real service may have its data.

    Only pytest's main process creates the `Run`, whose directory contains the PostgreSQL servers. The workers of xdist
    read this directory from the environment.
    """
    for name in [name for name in os.environ if name.startswith("LOOPGAUGE_")]:
        del os.environ[name]
    if not hasattr(config, "workerinput"):
        config.stash[_run] = run = Run()
        os.environ[_DIRECTORY] = str(run.directory)
        # Do not use pytest's default directory for temporary files, which all runs share: each start of pytest closes
        # it to other users. A PostgreSQL that another run started there as another user could no longer open its files.
        if config.option.basetemp is None:
            config.option.basetemp = tempfile.mkdtemp(prefix="loopgauge-tests-")
            config.stash[_temporary] = Path(config.option.basetemp)
    use_data_directory(Path(os.environ[_DIRECTORY]) / "data")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that the short ones fill all processes until the end."""
    items.sort(key=lambda item: _tier(item.path))


def _tier(path: Path) -> int:
    return next((place for place, tier in enumerate(_TIERS) if path.is_relative_to(tier)), len(_TIERS))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """If a test failed, keep the temporary files, and print their directory."""
    if session.testsfailed and _temporary in session.config.stash:
        print(f"\nthe temporary files are in {session.config.stash[_temporary]}")
        del session.config.stash[_temporary]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers, and remove the temporary files unless a test failed."""
    if _run in config.stash:
        config.stash[_run].end()
    if _temporary in config.stash:
        shutil.rmtree(config.stash[_temporary], ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `oldest_postgresql_too` on the oldest PostgreSQL too, unless `--postgresql` is given."""
    marked = metafunc.definition.get_closest_marker("oldest_postgresql_too")
    if marked and "postgresql" in metafunc.fixturenames and not metafunc.config.getoption("postgresql"):
        metafunc.parametrize("postgresql", ["newest", "oldest"], indirect=True)


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> str:
    """The URL of the PostgreSQL server that a test uses. The server starts when the first test asks for its URL."""
    chosen: Path | None = request.config.getoption("postgresql")
    return _server_url(oldest() if getattr(request, "param", "newest") == "oldest" else chosen)


@cache
def _server_url(programs: Path | None) -> str:
    return server_url(Path(os.environ[_DIRECTORY]), programs)


@pytest.fixture
async def empty_database_url(postgresql: str) -> AsyncIterator[str]:
    """The URL of a fresh database that is not migrated."""
    async for url in _fresh(postgresql, "template0"):
        yield url


@pytest.fixture
async def database_url(request: pytest.FixtureRequest, postgresql: str) -> AsyncIterator[str]:
    """The URL of a fresh migrated database."""
    mode: Mode | None = request.config.getoption("--pgbouncer")
    async for url in _fresh(postgresql, TEMPLATE):
        if mode is None:
            yield url
        else:
            with pooling(url, mode, _POOLED_SESSIONS) as pooler:
                yield pooler.url


async def _fresh(server: str, template: str) -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database."""
    opened = Database(database_url, pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
async def gone() -> AsyncIterator[Database]:
    """A database whose server does not exist."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    yield database
    await database.close()

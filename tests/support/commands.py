"""Run the command line in this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import TypeVar

import structlog
from click.testing import CliRunner

from service.cli import main
from service.storage.database import Database

_Result = TypeVar("_Result")


def invoke(*arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run a command in this process. The command starts an event loop, so the caller must not run in one.

    Args:
        variables: the values of settings, by name without the prefix `LOOPGAUGE_`.
    """
    settings = {f"LOOPGAUGE_{name}": value for name, value in variables.items()}
    with _unchanged_logging():
        ended = CliRunner().invoke(main, arguments, env=settings, prog_name="loopgauge", catch_exceptions=False)
    return CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


@contextmanager
def _unchanged_logging() -> Iterator[None]:
    """Undo what `configure_logs` changes for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def in_database(url: str, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    """Open a database, and run `work` on it in a new event loop. The caller must not run in an event loop."""

    async def open_and_work() -> _Result:
        database = Database(url, pool_size=5)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(open_and_work())

"""Run the command line in this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess

import structlog
from click.testing import CliRunner

from service.cli import main


def invoke(*arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run a command in this process, outside of an event loop.

    Args:
        variables: settings, by their names without the prefix.
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

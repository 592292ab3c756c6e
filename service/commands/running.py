"""Functions that several commands share: read settings, run a command, and report an error in one line."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

# Every command imports this module, and a command that only prints its help must not wait for slow imports.
if TYPE_CHECKING:
    import socket

    from service.rules.model import Rules
    from service.settings import Settings


class CommandFailed(Exception):
    """A command cannot do its work; the message says why, and what to do."""


def require_settings(**given: Any) -> "Settings":
    from service.settings import read_settings

    with _report_settings():
        return read_settings(**given)


def require_known_variables() -> None:
    """End the process if a variable with the prefix is misspelt. A command that needs no settings calls this."""
    from service.settings import refuse_misspelt

    with _report_settings():
        refuse_misspelt()


@contextmanager
def _report_settings() -> Iterator[None]:
    """End the process with the faults if settings are invalid."""
    from service.settings import InvalidSetting

    try:
        yield
    except InvalidSetting as error:
        from service.commands.faults import fail_with_setting_faults

        fail_with_setting_faults(error.faults)


def require_rules(settings: "Settings") -> "Rules":
    from service.commands.faults import fail_with_faults
    from service.rules.faults import InvalidRules
    from service.settings import load_rules

    try:
        return load_rules(settings)
    except InvalidRules as error:
        fail_with_faults(error.faults)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run the work of a command. On an expected error, end the process with one line that gives the reason."""
    import asyncio

    import uvloop

    from service.lifecycle.errors import LifecycleError
    from service.storage.embedded import EmbeddedUnavailable
    from service.storage.errors import DatabaseError, DatabaseUnavailable, DatabaseUnprepared

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except asyncio.CancelledError:
        # A signal ended the service while it was starting.
        return
    except (CommandFailed, DatabaseUnprepared, LifecycleError) as error:
        fail(str(error))
    except DatabaseUnavailable as error:
        fail(f"{error}; check that PostgreSQL runs at LOOPGAUGE_DATABASE_URL")
    except (DatabaseError, EmbeddedUnavailable) as error:
        fail(str(error))


def listen(settings: "Settings", choices: str) -> "socket.socket":
    import socket

    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        fail(
            f"cannot listen on {settings.host}:{settings.port}: {refusal_reason(error)}; "
            f"choose another address with {choices}"
        )


def refusal_reason(error: OSError) -> str:
    """The reason why a socket cannot listen, without the address that Python adds to it."""
    return (error.strerror or str(error)).partition(" (while attempting")[0]


@contextmanager
def show_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress


@contextmanager
def print_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Print a line on standard output for each tenth of the work, also if the output is a file."""
    click.echo(f"{label}: 0 %")
    printed = 0

    def progress(done: int, total: int) -> None:
        nonlocal printed
        tenths = 10 * done // total
        if tenths > printed:
            printed = tenths
            click.echo(f"{label}: {tenths}0 %")

    yield progress


def fail(message: str, status: int = 1) -> NoReturn:
    """End the process with a message and an exit status: 1 for a failure, 2 for wrong usage."""
    from service.commands.faults import wrap

    for line in f"loopgauge: {message}".split("\n"):
        click.echo(wrap(line), err=True)
    sys.exit(status)

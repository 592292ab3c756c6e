"""The addresses that `loopgauge serve` prints, each with the token that it needs."""

import logging
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import click
import structlog

from service.commands.local_service import bracketed, browsable
from service.commands.sign_in import sign_in_link
from service.commands.table import Table
from service.guards import metrics_are_open
from service.presentation.sources import source_path
from service.rules.model import Rules
from service.settings import (
    ReadTokenUnavailable,
    Settings,
    describe_running,
    find_doubtful_durations,
    find_exposures,
    provide_read_token,
    read_stated_variables,
    recorded,
    thresholds_in_force,
)

_INDENT = "  "

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the service.

    Attributes:
        about: what the address offers.
        token: the setting of the token that requests need; None if they need none.
        closed: whether requests are refused until `token` is set.
    """

    url: str
    about: str
    token: str | None = None
    closed: bool = False


def addresses(settings: Settings, host: str, port: int) -> Iterator[Address]:
    """Yield the addresses of a service that listens on a host and port, as a browser on this machine opens them."""
    url = f"http://{browsable(host)}:{port}{settings.root_path}"
    yield Address(f"{url}/", "links to what loopgauge offers")
    yield Address(f"{url}/docs", "the API, with examples")
    yield _metrics(settings, url)
    if settings.role == "worker":
        return
    yield _scorecard(settings, url)
    for name, source in settings.sources.items():
        yield Address(
            f"{url}{source_path(name, source.provider)}", f"webhooks of {name}{_of_provider(name, source.provider)}"
        )


def _of_provider(name: str, provider: str) -> str:
    return "" if name == provider else f" ({provider})"


def _metrics(settings: Settings, url: str) -> Address:
    token = None if metrics_are_open(settings) else "LOOPGAUGE_METRICS_TOKEN"
    closed = token is not None and settings.metrics_token is None
    return Address(f"{url}/metrics", "the metrics, for Prometheus", token, closed=closed)


def _scorecard(settings: Settings, url: str) -> Address:
    tokens = settings.api_tokens
    page, about = f"{url}/scorecard?format=html", "answers to the four questions"
    if tokens.read is not None:
        return Address(page, about, "LOOPGAUGE_API_TOKENS__READ")
    if settings.open_reads:
        return Address(page, about)
    if tokens.admin is not None:
        return Address(page, about, "LOOPGAUGE_API_TOKENS__ADMIN")
    return Address(page, about, "LOOPGAUGE_API_TOKENS__READ", closed=True)


def describe(host: str, port: int, listed: list[Address], width: int = 80) -> str:
    """The addresses as text for a terminal.

    Args:
        width: the number of columns of the terminal.
    """
    rows = [(address.url, f"{address.about}{_need(address)}") for address in listed]
    table = Table(("", ""), rows, width - len(_INDENT), whole=True)
    lines = [f"{_INDENT}{line}" for row in rows for line in table.row(row)]
    return "\n".join([f"loopgauge listens on {bracketed(host)}:{port}.", *lines])


def _need(address: Address) -> str:
    if address.token is None:
        return ""
    return f"; closed until {address.token} is set" if address.closed else f"; needs the token of {address.token}"


def take_read_token(settings: Settings) -> tuple[Settings, bool]:
    """Give the service the read token in its data directory, if the settings make it use this token.

    If the token can neither be read nor made, log a warning: reads stay closed.

    Returns:
        the settings, and whether the token is new.
    """
    try:
        return provide_read_token(settings)
    except ReadTokenUnavailable as error:
        _log.warning(f"reads are closed: {error}")
        return settings, False


@contextmanager
def record_running(settings: Settings, listening: socket.socket, *, made: bool) -> Iterator[None]:
    """Let commands of this machine find the service by its data directory, until the context ends.

    Args:
        made: whether the read token of the service is the one in its data directory.
    """
    host, port = listening.getsockname()[:2]
    url = f"http://{browsable(host)}:{port}{settings.root_path}"
    variables = read_stated_variables()
    with ExitStack() as held:
        try:
            held.enter_context(recorded(settings.data_dir, describe_running(settings, url, variables, made=made)))
        except OSError as error:
            _log.info("commands on this machine cannot find the service by its data directory", cause=str(error))
        yield


def warn_about_durations(settings: Settings, rules: Rules) -> None:
    """Log a warning for each duration that is probably not intended."""
    for warning in find_doubtful_durations(settings, thresholds_in_force(settings, rules)):
        _log.warning(warning)


def announce(settings: Settings, listening: socket.socket, *, is_new: bool = False) -> None:
    """Print the addresses of the service if standard error is a terminal; otherwise, log them.

    Args:
        is_new: whether the read token is new. The link that signs a browser in contains this token, and is printed only
            if the token is new.
    """
    host, port = listening.getsockname()[:2]
    listed = list(addresses(settings, host, port))
    if sys.stderr.isatty() and logging.getLogger().isEnabledFor(logging.INFO):
        click.echo(describe(host, port, listed, shutil.get_terminal_size().columns), err=True)
    else:
        told = [{"url": address.url, "token": address.token} for address in listed]
        url = f"http://{bracketed(host)}:{port}"
        _log.info("listening", url=url, role=settings.role, sources=sorted(settings.sources), addresses=told)
    if settings.api_tokens.read is not None and settings.role != "worker":
        _tell_how_to_sign_in(sign_in_link(listed[0].url, settings.api_tokens.read) if is_new else "")
    _warn(settings)


def _tell_how_to_sign_in(link: str) -> None:
    """Print how to sign a browser in: with the link itself only if the token in it is new."""
    if not sys.stderr.isatty():
        if link:
            _log.info("open the link to sign a browser in; later, `loopgauge sign-in` prints it", link=link)
    elif link:
        click.echo(f"To sign a browser in, open this link; later, `loopgauge sign-in` prints it:\n{link}", err=True)
    else:
        click.echo("To sign a browser in, open the link that `loopgauge sign-in` prints.", err=True)


def _warn(settings: Settings) -> None:
    if not settings.sources and settings.role != "worker":
        _log.warning(
            "no source is configured: every webhook is refused; "
            "set LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of another tool as docs/sources describes"
        )
    for warning in find_exposures(settings):
        _log.warning(warning)

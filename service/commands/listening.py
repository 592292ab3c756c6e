"""The addresses that `loopgauge serve` prints, each with the token that it needs."""

import logging
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click
import structlog

from service.settings import Settings

_log = structlog.get_logger(__name__)

# A browser cannot open these addresses, which stand for all addresses of the machine.
_OPENED_INSTEAD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
_CLOUDEVENTS = "cloudevents"


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
    url = f"http://{bracketed(_OPENED_INSTEAD.get(host, host))}:{port}"
    metrics_token = "LOOPGAUGE_METRICS_TOKEN" if settings.metrics_token else None
    yield Address(f"{url}/", "links to what loopgauge offers")
    yield Address(f"{url}/docs", "the API, with examples")
    yield Address(f"{url}/metrics", "the metrics, for Prometheus", metrics_token)
    if settings.role == "worker":
        return
    yield _scorecard(settings, url)
    for name, source in settings.sources.items():
        path = "/events" if name == source.provider == _CLOUDEVENTS else f"/webhooks/{name.replace('_', '-')}"
        yield Address(f"{url}{path}", f"receives the webhooks of the source {name}")


def bracketed(host: str) -> str:
    """A host as URLs have it: an IPv6 address is in brackets."""
    return f"[{host}]" if ":" in host else host


def _scorecard(settings: Settings, url: str) -> Address:
    tokens = settings.api_tokens
    about = "answers to the four questions"
    if tokens.read is not None:
        return Address(f"{url}/scorecard", about, "LOOPGAUGE_API_TOKENS__READ")
    if settings.listens_on_loopback:
        return Address(f"{url}/scorecard", about)
    if tokens.admin is not None:
        return Address(f"{url}/scorecard", about, "LOOPGAUGE_API_TOKENS__ADMIN")
    return Address(f"{url}/scorecard", about, "LOOPGAUGE_API_TOKENS__READ", closed=True)


def describe(host: str, port: int, listed: list[Address]) -> str:
    """The addresses as text for a terminal."""
    width = max(len(address.url) for address in listed)
    lines = [f"  {address.url:{width}}  {address.about}{_need(address)}" for address in listed]
    return "\n".join([f"loopgauge listens on {bracketed(host)}:{port}.", *lines])


def _need(address: Address) -> str:
    if address.token is None:
        return ""
    return f"; closed until {address.token} is set" if address.closed else f"; needs the token of {address.token}"


def announce(settings: Settings, listening: socket.socket) -> None:
    """Print the addresses of the service on a terminal, and log them elsewhere."""
    host, port = listening.getsockname()[:2]
    listed = list(addresses(settings, host, port))
    if sys.stderr.isatty() and logging.getLogger().isEnabledFor(logging.INFO):
        click.echo(describe(host, port, listed), err=True)
    else:
        told = [{"url": address.url, "token": address.token} for address in listed]
        url = f"http://{bracketed(host)}:{port}"
        _log.info("listening", url=url, role=settings.role, sources=sorted(settings.sources), addresses=told)
    if not settings.sources and settings.role != "worker":
        _log.warning(
            "no source is configured: every webhook is refused; "
            "set LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of another tool as docs/sources describes"
        )

"""The `loopgauge` command."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, NoReturn
from uuid import UUID

import click
import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from service.api.deliveries import brief, whole
from service.app import create_app, open_database
from service.logs import configure_logs
from service.settings import Role, Settings, WrongSetting, read_settings, unknown_settings
from service.storage import inbox
from service.storage.database import DatabaseError
from service.storage.embedded import EmbeddedUnavailable

# Kubernetes grants 30 seconds between SIGTERM and the end.
_DRAIN_SECONDS = 10

_log = structlog.get_logger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("loopgauge"), prog_name="loopgauge")
def main() -> None:
    """How long it takes from "I want to try something" to knowing whether it worked.

    Settings are environment variables with the prefix LOOPGAUGE_; see the README.
    """


@main.command()
@click.option("--host", help="Address to listen on; 127.0.0.1 if not set.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 8080 if not set.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="What this process does; all if not set.")
def serve(host: str | None, port: int | None, role: Role | None) -> None:
    """Run the service."""
    settings = _settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    for line in unknown_settings(os.environ):
        _log.warning(line)
    _run(_serve(settings, _listen(settings)))


async def _serve(settings: Settings, listening: socket.socket) -> None:
    if (starting := asyncio.current_task()) is not None:
        _on_signals(starting.cancel)
    async with open_database(settings) as database:
        app = create_app(settings, database)
        async with app.router.lifespan_context(app):
            server = _Server(_configuration(app))
            _on_signals(lambda: server.handle_exit(signal.SIGTERM, None))
            _say_where(settings, listening)
            await server.serve(sockets=[listening])
        _log.info("stopped")


def _on_signals(end: Callable[[], object]) -> None:
    for asked in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(asked, end)


class _Server(uvicorn.Server):
    """Uvicorn, which leaves signals to us: it would raise them again at the end, and the process die of them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _configuration(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",  # its errors would come as tracebacks: it is entered around the server instead
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _listen(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        _fail(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another with --host and --port, or LOOPGAUGE_HOST and LOOPGAUGE_PORT"
        )


def _say_where(settings: Settings, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    _log.info("listening", url=f"http://{address}", role=settings.role, sources=sorted(settings.sources))
    if not settings.sources:
        _log.warning("no source is configured: every webhook is refused; set LOOPGAUGE_SOURCES__GITHUB__SECRET")


@main.command()
def migrate() -> None:
    """Bring the database's schema to this version's."""
    _run(_migrate(_settings()))


async def _migrate(settings: Settings) -> None:
    async with open_database(settings) as database:
        click.echo(f"the schema is at revision {await database.migrate()}")


@main.group()
def deliveries() -> None:
    """The inbox: what was delivered, and what became of it."""


_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@deliveries.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--verdict", type=click.Choice(["pending", "counted", "ignored", "failed"]), help="Only of this verdict.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@_AS_JSON
def list_deliveries(source: str | None, verdict: str | None, limit: int, as_json: bool) -> None:
    """Deliveries, newest first, each with its verdict and the reason."""
    _run(_list_deliveries(_settings(), source, verdict, limit, as_json))


async def _list_deliveries(
    settings: Settings, source: str | None, verdict: str | None, limit: int, as_json: bool
) -> None:
    async with open_database(settings) as database, database.transaction() as connection:
        rows, _ = await inbox.page(connection, source=source, verdict=verdict, limit=limit)
    if as_json:
        click.echo(json.dumps([brief(row).model_dump(mode="json") for row in rows], indent=2))
        return
    for row in rows:
        received = row.received_at.strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{received}  {row.source}  {row.verdict or 'pending':8}  {row.id}  {row.reason or ''}")
    if not rows:
        click.echo("no deliveries", err=True)


@deliveries.command("show")
@click.argument("delivery", type=click.UUID)
@_AS_JSON
def show_delivery(delivery: UUID, as_json: bool) -> None:
    """One delivery, with its headers and body."""
    _run(_show_delivery(_settings(), delivery, as_json))


async def _show_delivery(settings: Settings, delivery: UUID, as_json: bool) -> None:
    async with open_database(settings) as database, database.transaction() as connection:
        found = await inbox.find(connection, delivery)
    if found is None:
        _fail(f"there is no delivery {delivery}")
    shown = whole(*found).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name:15} {value}")


def _settings(**given: Any) -> Settings:
    try:
        return read_settings(**given)
    except WrongSetting as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except asyncio.CancelledError:
        # Asked to end while it was starting.
        return
    except (DatabaseError, EmbeddedUnavailable) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"loopgauge: {message}", err=True)
    sys.exit(1)

"""`loopgauge serve`."""

import logging
import socket
import sys
from functools import partial

import click
import structlog

from service.commands.addresses import addresses, bracketed, describe
from service.commands.running import listen, require_rules, require_settings, run
from service.logs import configure_logs
from service.settings import Role, Settings

_log = structlog.get_logger(__name__)


@click.command()
@click.option("--host", help="The address to listen on; default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; default: 8080.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="The role of this process; default: all.")
def serve(host: str | None, port: int | None, role: Role | None) -> None:
    """Run the service."""
    settings = require_settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    from service.server import run_service

    choices = "--host and --port, with LOOPGAUGE_HOST and LOOPGAUGE_PORT, or with make run PORT=8081"
    rules = require_rules(settings)
    listening = listen(settings, choices)
    run(run_service(settings, rules, listening, announce=partial(_announce, settings, listening)))


def _announce(settings: Settings, listening: socket.socket) -> None:
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

"""`loopgauge serve`."""

import gc

import click
import structlog

from service.commands.running import listen, run, usable_rules, usable_settings
from service.logs import configure_logs
from service.settings import Role, given_settings, unknown_settings

_log = structlog.get_logger(__name__)


@click.command()
@click.option("--host", help="Address to listen on; 127.0.0.1 if not set.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 8080 if not set.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="What this process does; all if not set.")
def serve(host: str | None, port: int | None, role: Role | None) -> None:
    """Run the service."""
    settings = usable_settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    for line in unknown_settings(given_settings()):
        _log.warning(line)
    # What is imported stays: to look through it for garbage while it grows would take a fourteenth of the start.
    gc.disable()
    from service.server import run_service

    gc.freeze()
    gc.enable()
    choices = "--host and --port, or LOOPGAUGE_HOST and LOOPGAUGE_PORT"
    run(run_service(settings, usable_rules(settings), listen(settings, choices)))

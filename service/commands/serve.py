"""`loopgauge serve`."""

import click
import structlog

from service.commands.running import listen, require_rules, require_settings, run
from service.logs import configure_logs
from service.settings import Role, given_settings, unknown_settings

_log = structlog.get_logger(__name__)


@click.command()
@click.option("--host", help="The address to listen on; default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; default: 8080.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="The role of this process; default: all.")
def serve(host: str | None, port: int | None, role: Role | None) -> None:
    """Run the service."""
    settings = require_settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    for line in unknown_settings(given_settings()):
        _log.warning(line)
    from service.server import run_service

    choices = "--host and --port, or LOOPGAUGE_HOST and LOOPGAUGE_PORT"
    run(run_service(settings, require_rules(settings), listen(settings, choices)))

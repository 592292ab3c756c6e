"""`loopgauge serve`."""

from functools import partial
from typing import TYPE_CHECKING

import click

from service.commands.running import listen, require_rules, require_settings, run

if TYPE_CHECKING:
    from service.settings import Role


@click.command()
@click.option("--host", help="The address to listen on; default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; default: 8080.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="The role of this process; default: all.")
def serve(host: str | None, port: int | None, role: "Role | None") -> None:
    """Run the service."""
    from service.commands.listening import announce, take_read_token, warn_about_durations
    from service.logs import configure_logs

    settings = require_settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    from service.server import run_service

    choices = "--host and --port, with LOOPGAUGE_HOST and LOOPGAUGE_PORT, or with make run PORT=8081"
    rules = require_rules(settings)
    warn_about_durations(settings, rules)
    listening = listen(settings, choices)
    settings, is_new = take_read_token(settings)
    run(run_service(settings, rules, listening, announce=partial(announce, settings, listening, is_new=is_new)))

"""`loopgauge serve`."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from service.commands.options import OneOf, Whole
from service.commands.running import listen, require_rules, require_settings, run

if TYPE_CHECKING:
    from service.settings import Role


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on; default: LOOPGAUGE_HOST, or 127.0.0.1.")
@click.option("--port", type=Whole(0, 65535), help="The port to listen on; default: LOOPGAUGE_PORT, or 8080.")
@click.option(
    "--role",
    type=OneOf(["all", "api", "worker"]),
    help="api receives and answers only, worker processes and exports only; default: LOOPGAUGE_ROLE, or all.",
)
def serve(host: str | None, port: int | None, role: "Role | None") -> None:
    """Run the service, and print its addresses.

    The settings come from the environment, the file .env and the files in LOOPGAUGE_SECRETS_DIR; `loopgauge
    check-config` checks and shows them. Options take precedence over settings.
    """
    from service.commands.listening import announce, record_running, take_read_token, warn_about_durations
    from service.logs import configure_logs

    settings = require_settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    from service.server import run_service

    choices = "--host and --port, with LOOPGAUGE_HOST and LOOPGAUGE_PORT, or with make run PORT=8081"
    rules = require_rules(settings)
    warn_about_durations(settings, rules)
    listening = listen(settings, choices)
    stated = settings.api_tokens.read is not None
    settings, is_new = take_read_token(settings)
    with ExitStack() as while_running:

        def tell() -> None:
            # Record the service first: a command that is run once the addresses are printed must find it.
            while_running.enter_context(record_running(settings, listening, made=not stated))
            announce(settings, listening, is_new=is_new)

        run(run_service(settings, rules, listening, announce=tell))

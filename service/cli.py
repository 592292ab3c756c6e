"""The `loopgauge` command."""

from importlib.metadata import version

import click

from service.commands import deliveries, demo, explain, export_history, migrate, replay, rules, serve
from service.logs import configure_logs


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("loopgauge"), prog_name="loopgauge")
def main() -> None:
    """How long it takes from "I want to try something" to knowing whether it worked.

    Settings are environment variables with the prefix LOOPGAUGE_; see the README.
    """
    configure_logs("warning")


main.add_command(serve.serve)
main.add_command(demo.demo)
main.add_command(migrate.migrate)
main.add_command(deliveries.deliveries)
main.add_command(explain.explain)
main.add_command(replay.replay)
main.add_command(export_history.export_history)
main.add_command(rules.rules)

"""The `loopgauge` command."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import click

from service.commands.helping import Helping

_SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Run it": {
        "demo": "Run the service beside a simulated organisation.",
        "serve": "Run the service.",
        "migrate": "Bring the database's schema to this version's.",
    },
    "Ask why": {
        "deliveries": "The inbox: what was delivered, and what became of it.",
        "explain": "One experiment: every event behind it, and its figures.",
        "scorecard": "The four questions, for the organisation or for one team.",
    },
    "Change what counts": {
        "rules": "The rules that say what deliveries mean.",
        "replay": "Interpret stored deliveries again under today's rules.",
    },
    "Hand it on": {
        "export-history": "Write the figures of the past, for Prometheus.",
    },
}
"""All commands in the order in which a newcomer needs them, each in a line, so that help imports none of them."""


class Commands(Helping):
    """Commands whose modules are imported only when they are asked for, listed by section."""

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"service.commands.{name}"), name)
        return command if isinstance(command, click.Command) else None

    def list_commands(self, _: click.Context) -> list[str]:
        return [name for section in _SECTIONS.values() for name in section]

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


@click.group(
    cls=Commands,
    commands=[click.Command(name) for section in _SECTIONS.values() for name in section],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `loopgauge demo`, or see the README. `loopgauge COMMAND -h` tells more of each.",
)
@click.version_option(version("loopgauge"), prog_name="loopgauge")
def main() -> None:
    """How long it takes from "I want to try something" to knowing whether it worked.

    Settings are environment variables with the prefix LOOPGAUGE_; see the README.
    """
    from service.logs import configure_logs

    configure_logs("warning")

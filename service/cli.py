"""The `loopgauge` command."""

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import click

from service.commands.help_group import HelpGroup

_OTHERS_WRITE = 0o022
_BY_HAND = "Record an event by hand"
_SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Run it": {
        "demo": "Run the service with a simulated organisation.",
        "serve": "Run the service.",
        "sign-in": "Print the link that signs a browser in.",
        "migrate": "Migrate the database's schema.",
        "postgres": "Run pg_dump, pg_restore or psql on the embedded database.",
        "check-config": "Check the settings and the rules file.",
    },
    "See how it goes": {
        "experiments": "List experiments.",
        "scorecard": "Print the scorecard, which answers four questions.",
    },
    "Find out why": {
        "sources": "List the sources, and what each of them sent.",
        "deliveries": "List, show and retry webhook deliveries.",
        "explain": "Explain an experiment: its timeline, and the metrics that count it.",
    },
    _BY_HAND: {
        "propose": "Make an item an experiment.",
        "start": "Record that the work on an experiment began.",
        "signal": "Record a result of an experiment.",
        "conclude": "Conclude an experiment, with its outcome.",
        "classify": "Classify the failure of an experiment.",
        "share": "Record that what was learnt is written up.",
        "reopen": "Continue an experiment that was concluded.",
        "ship": "Record that the result reached production.",
        "exclude": "Leave an experiment out of the metrics.",
    },
    "Change what counts": {
        "rules": "Check and try rules.",
        "replay": "Process stored deliveries again.",
    },
    "Export data": {
        "export-history": "Write past values of experiment metrics for Prometheus.",
    },
}
"""The commands in the order in which a newcomer needs them. The lines that `-h` prints about them are here, so that
`-h` need not import any command.
"""


class Commands(HelpGroup):
    """Commands by section. The module of a command is imported only when that command runs."""

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            return None
        if cmd_name in _SECTIONS[_BY_HAND]:
            from service.commands.acts import act_command

            return act_command(cmd_name, _SECTIONS[_BY_HAND][cmd_name])
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
    epilog="Start with `loopgauge demo`, or see the documentation. `loopgauge COMMAND -h` describes each command.",
)
@click.version_option(version("loopgauge"), prog_name="loopgauge")
def main() -> None:
    """Measure the time from "I want to try something" to knowing whether it worked.

    Settings are environment variables with the prefix LOOPGAUGE_; see docs/settings.md.
    """
    from service.logs import configure_logs

    # No other user may replace a file of the service, whatever the umask of the caller is.
    os.umask(os.umask(_OTHERS_WRITE) | _OTHERS_WRITE)
    configure_logs("warning")

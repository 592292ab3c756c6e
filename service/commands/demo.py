"""`loopgauge demo`."""

import shlex
import sys
from datetime import timedelta
from pathlib import Path

import click

from service.commands.running import fail, listen, run, shown_progress, usable_rules
from service.settings import default_data_dir


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--weeks", type=click.IntRange(1, 104), default=26, show_default=True, help="How long a past to post.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same one gives the same past.")
@click.option(
    "--pace",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="Hours of the organisation's life that pass in a second once the demo is live; 0 to stop after the past.",
)
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="A directory for the demo alone.")
@click.option(
    "--prometheus/--no-prometheus",
    "observed",
    default=True,
    show_default=True,
    help="Start a Prometheus, if installed, that has the past and scrapes the demo.",
)
def demo(port: int, weeks: int, seed: int, pace: float, data_dir: Path | None, observed: bool) -> None:
    """Run the service beside a simulated organisation, which posts what its tools would.

    First comes the past of seven teams, then it goes on live. The demo has a directory, a database and a Prometheus of
    its own, which it makes anew at each start; your settings do not apply.
    """
    from service.commands.demonstration import HASTY, Demonstration, demo_directory, demo_settings
    from service.demo.directory import NotOurs
    from service.demo.sending import NotTaken
    from service.server import run_service

    shown = Demonstration(timedelta(weeks=weeks), seed, pace, _own_command(), observed, click.echo, shown_progress)
    try:
        with demo_directory((data_dir or default_data_dir("loopgauge-demo")).absolute()) as directory:
            settings = demo_settings(directory, port)
            listening = listen(settings, "--port, or with make demo PORT=8081")
            run(run_service(settings, usable_rules(settings), listening, shown.visit(settings, listening), HASTY))
    except OSError as error:
        fail(f"the demo cannot use {error.filename}: {error.strerror}; choose another directory with --data-dir")
    except (NotOurs, NotTaken) as error:
        fail(str(error))


def _own_command() -> str:
    """What this command was started as, so that examples can be copied."""
    started = sys.argv[0]
    return shlex.join([started] if Path(started).name == "loopgauge" else [sys.executable, "-m", "service"])

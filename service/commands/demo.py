"""`loopgauge demo`."""

import shlex
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import click

from service.commands.options import Whole
from service.commands.running import fail, listen, print_progress, refusal_reason, require_rules, run, show_progress


@click.command()
@click.option("--port", type=Whole(0, 65535), default=8080, show_default=True, help="The port to listen on.")
@click.option("--weeks", type=Whole(1, 104), default=26, show_default=True, help="Weeks of history to post.")
@click.option(
    "--seed", type=int, metavar="NUMBER", default=1, show_default=True, help="The same seed gives the same history."
)
@click.option(
    "--pace",
    type=click.FloatRange(0, 100),
    metavar="HOURS",
    default=1.0,
    show_default=True,
    help="Simulated hours per second once the demo is live; 0 posts only the history.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory that only this demo uses; default: loopgauge-demo in your system's directory for data.",
)
@click.option(
    "--prometheus/--no-prometheus",
    "observed",
    default=True,
    show_default=True,
    help="If Prometheus is installed, start it, load the history into it, and let it scrape the demo.",
)
@click.option(
    "--prometheus-port",
    type=Whole(1, 65535),
    help="The port of this Prometheus; default: 9090, or a free port if 9090 is taken.",
)
def demo(
    port: int,
    weeks: int,
    seed: int,
    pace: float,
    data_dir: Path | None,
    observed: bool,
    prometheus_port: int | None,
) -> None:
    """Run the service with a simulated organisation that sends webhooks.

    The demo first posts the history of seven teams and then continues live. At each start, the demo recreates its own
    directory, database and Prometheus. It ignores your settings.
    """
    from service.commands.demo_session import FAST_DATABASE, Demonstration, demo_directory, demo_settings
    from service.demo.directory import DirectoryRefused
    from service.demo.sending import UnexpectedAnswer
    from service.server import run_service
    from service.settings import default_data_dir

    shown = Demonstration(
        timedelta(weeks=weeks), seed, pace, _own_command(), observed, prometheus_port, click.echo, _progress
    )
    try:
        with demo_directory((data_dir or default_data_dir("loopgauge-demo")).absolute()) as directory:
            settings = demo_settings(directory, port)
            listening = listen(settings, "--port, or with make demo PORT=8081")
            if observed and prometheus_port is not None:
                _check_free(prometheus_port)
            run(
                run_service(
                    settings, require_rules(settings), listening, shown.visit(settings, listening), FAST_DATABASE
                )
            )
    except OSError as error:
        fail(
            f"the demo cannot use {error.filename}: {error.strerror}; choose another directory with "
            "--data-dir, or with make demo DATA_DIR=directory"
        )
    except (DirectoryRefused, UnexpectedAnswer) as error:
        fail(str(error))


def _check_free(port: int) -> None:
    """Refuse a port that is taken now, because Prometheus starts only after the history is posted."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        fail(
            f"Prometheus cannot listen on 127.0.0.1:{port}: {refusal_reason(error)}; choose another port with "
            "--prometheus-port, or with make demo PROMETHEUS_PORT=9091"
        )


def _progress(label: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show a progress bar on a terminal, and lines in a file or a pipe."""
    return show_progress(label) if sys.stdout.isatty() and sys.stderr.isatty() else print_progress(label)


def _own_command() -> str:
    """The command that started this process. The example commands that the demo prints begin with it."""
    started = sys.argv[0]
    return shlex.join([started] if Path(started).name == "loopgauge" else [sys.executable, "-m", "service"])

"""`loopgauge export-history`."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING

import click

from service.commands.address import require_database_settings
from service.commands.options import TIME, in_utc
from service.commands.running import fail, require_rules, run, show_progress
from service.lifecycle.durations import parse_duration

if TYPE_CHECKING:
    from service.rules.model import Rules
    from service.settings import Settings


def _duration(_context: click.Context, _option: click.Parameter, written: str) -> object:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _labels(_context: click.Context, _option: click.Parameter, written: Sequence[str]) -> Mapping[str, str]:
    """Parse labels of the form NAME=VALUE. If a name is repeated, its last value counts."""
    labels = {}
    for text in written:
        label = _LABEL.fullmatch(text)
        if label is None:
            raise click.BadParameter(f"expected a label such as job=loopgauge, got {text!r}")
        labels[label["name"]] = label["value"]
    return labels


# Prometheus reserves labels that begin with two underscores.
_LABEL = re.compile(r"(?P<name>(?!__)[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


@click.command("export-history")
@click.option(
    "--since",
    type=TIME,
    help="The first time to export, UTC; default: the time of the first idea or the start of the widest window, "
    "whichever is later.",
)
@click.option(
    "--until",
    type=TIME,
    help="The last time to export, UTC, such as the time of the first scrape; default and maximum: three hours ago.",
)
@click.option(
    "--step",
    metavar="LENGTH",
    callback=_duration,
    default="1d",
    show_default=True,
    help="The interval between exported times.",
)
@click.option(
    "--label",
    "labels",
    callback=_labels,
    multiple=True,
    metavar="NAME=VALUE",
    help="A label that Prometheus adds to every series when it scrapes; repeatable. An empty VALUE removes the label. "
    "The defaults are job=loopgauge and instance=<host>:<port>.",
)
@click.option(
    "--output", type=click.File("wb", lazy=True), default="-", help="The file to write; default: standard output."
)
def export_history(
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    """Write past values of the metrics about experiments, for `promtool tsdb create-blocks-from openmetrics`.

    The command computes the values from the current data, at multiples of --step: with 1d, at each midnight UTC.
    Set --until to the time of the first scrape by Prometheus, and do not load a period twice.

    The command works on the database: run it where the service runs.
    """
    settings = require_database_settings("export-history")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scraped = {"job": "loopgauge", "instance": f"{host}:{settings.port}", **labels}
    since, until = in_utc(since), in_utc(until)
    if since and until and since > until:
        raise click.UsageError("--since is after --until; give an earlier --since, or a later --until")
    run(_export_history(settings, require_rules(settings), (since, until), step, scraped, output))


async def _export_history(
    settings: "Settings",
    rules: "Rules",
    span: tuple[datetime | None, datetime | None],
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    from service.app import metric_terms, open_database, utc_now
    from service.queries.history import Export, TakenLabel, earliest_moment, export_moments, read_history

    async with open_database(settings) as database:
        history = await read_history(database)
    now, terms = utc_now(), metric_terms(settings, rules)
    since, until = span
    times = export_moments(since or earliest_moment(history, terms, now), until or now, step, now)
    try:
        with output, show_progress("exporting") as progress:
            output.writelines(Export(terms, labels, progress).write(history, times))
            output.flush()
    except TakenLabel as error:
        raise click.UsageError(f"{error}; choose another --label") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        fail(f"cannot write the history: {error.strerror or error}")
    click.echo(_summary(times), err=True)


def _summary(times: Sequence[datetime]) -> str:
    if not times:
        return (
            "nothing to export: no multiple of --step lies between the start and the end; "
            "the end is --until, and at the latest three hours ago"
        )
    return f"{len(times)} times from {times[0]:%Y-%m-%d %H:%M:%S} to {times[-1]:%Y-%m-%d %H:%M:%S} UTC"

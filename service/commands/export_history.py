"""`loopgauge export-history`."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO

import click

from service.commands.options import TIME, in_utc
from service.commands.running import fail, run, shown_progress, usable_rules, usable_settings
from service.lifecycle.durations import parse_duration
from service.rules.model import Rules
from service.settings import Settings


def _duration(_context: click.Context, _option: click.Parameter, written: str) -> object:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _labels(_context: click.Context, _option: click.Parameter, written: Sequence[str]) -> Mapping[str, str]:
    """Labels that were given, by name; of one that was given twice the last."""
    labels = {}
    for one in written:
        label = _LABEL.fullmatch(one)
        if label is None:
            raise click.BadParameter(f"expected a label such as job=loopgauge, got {one!r}")
        labels[label["name"]] = label["value"]
    return labels


# Labels that begin with two underscores are Prometheus' own.
_LABEL = re.compile(r"(?P<name>(?!__)[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


@click.command("export-history")
@click.option(
    "--since", type=TIME, help="The earliest moment, UTC; if not set, the first idea within the widest window."
)
@click.option(
    "--until",
    type=TIME,
    help="The latest moment, UTC, such as the first scrape; if not set, and at the most, three hours ago.",
)
@click.option("--step", callback=_duration, default="1d", show_default=True, help="How far the moments are apart.")
@click.option(
    "--label",
    "labels",
    callback=_labels,
    multiple=True,
    metavar="NAME=VALUE",
    help="A label that scraping gives to every series; repeatable, and none where VALUE is empty. "
    "Those of job=loopgauge and instance=<host>:<port> are given if not set.",
)
@click.option(
    "--output", type=click.File("wb", lazy=True), default="-", help="The file to write; standard output if not set."
)
def export_history(
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    """Write the figures of the past, from what is known now, for `promtool tsdb create-blocks-from openmetrics`.

    The moments are multiples of the step, such as midnights UTC. Tell of the time before Prometheus' first scrape, and
    of nothing twice.
    """
    settings = usable_settings()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scraped = {"job": "loopgauge", "instance": f"{host}:{settings.port}", **labels}
    since, until = in_utc(since), in_utc(until)
    if since and until and since > until:
        raise click.UsageError("--since is after --until; give an earlier --since, or a later --until")
    run(_export_history(settings, usable_rules(settings), (since, until), step, scraped, output))


async def _export_history(
    settings: Settings,
    rules: Rules,
    span: tuple[datetime | None, datetime | None],
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    from service.app import metric_terms, open_database, utc_now
    from service.queries.history import Export, TakenLabel, earliest_moment, export_moments, read_history

    async with open_database(settings) as database:
        known = await read_history(database)
    now, terms = utc_now(), metric_terms(settings, rules)
    since, until = span
    told = export_moments(since or earliest_moment(known, terms, now), until or now, step, now)
    try:
        with output, shown_progress("exporting") as progress:
            output.writelines(Export(terms, labels, progress).write(known, told))
            output.flush()
    except TakenLabel as error:
        raise click.UsageError(f"{error}; choose another --label") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        fail(f"cannot write the history: {error.strerror or error}")
    click.echo(_exported(told), err=True)


def _exported(told: Sequence[datetime]) -> str:
    if not told:
        return (
            "no moment to tell of: no multiple of the step lies between the beginning and the end, "
            "which is --until and three hours ago at the most"
        )
    return f"{len(told)} moments from {told[0]:%Y-%m-%d %H:%M:%S} to {told[-1]:%Y-%m-%d %H:%M:%S} UTC"

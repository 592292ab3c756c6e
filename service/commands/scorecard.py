"""`loopgauge scorecard`."""

import shutil
from datetime import timedelta

import click

from service.commands.options import AS_JSON
from service.commands.running import fail, require_rules, require_settings, run
from service.lifecycle.durations import format_duration, parse_window
from service.rules.model import Rules
from service.settings import Settings


def _window(_context: click.Context, _option: click.Parameter, written: str) -> timedelta:
    try:
        return parse_window(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--team", default="_org", help="A team; default: the organisation.")
@click.option("--window", callback=_window, default="90d", show_default=True, help="How far back to look from now.")
@AS_JSON
def scorecard(team: str, window: timedelta, as_json: bool) -> None:
    """Answer the four questions for the organisation or one team.

    How long from the idea to knowing whether it worked? When was a failure last shared? Which group of failures is the
    biggest? Are the ideas bold or safe?
    """
    settings = require_settings()
    run(_scorecard(settings, require_rules(settings), team, window, as_json))


async def _scorecard(settings: Settings, rules: Rules, team: str, window: timedelta, as_json: bool) -> None:
    from service.app import metric_terms, open_database, utc_now
    from service.lifecycle.errors import UnknownTeam
    from service.metrics.terms import Window
    from service.presentation.scorecard_table import table
    from service.queries.scorecard import Scorecards

    async with open_database(settings) as database:
        scorecards = Scorecards(database, metric_terms(settings, rules), utc_now, timedelta(0))
        try:
            card = await scorecards.scorecard(team, Window(format_duration(window), window))
        except UnknownTeam as error:
            fail(str(error))
    click.echo(card.model_dump_json(indent=2) if as_json else table(card, shutil.get_terminal_size().columns))

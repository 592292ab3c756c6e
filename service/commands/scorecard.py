"""`loopgauge scorecard`."""

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.options import AS_JSON
from service.lifecycle.durations import format_duration, parse_window

if TYPE_CHECKING:
    from service.commands.client import Client


def _window(_context: click.Context, _option: click.Parameter, written: str) -> timedelta:
    try:
        return parse_window(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--team", metavar="TEAM", default="_org", help="A team; default: the organisation.")
@click.option(
    "--window",
    metavar="LENGTH",
    callback=_window,
    default="90d",
    show_default=True,
    help="How far back to look from now, such as 36h or 2 weeks.",
)
@takes_address
@AS_JSON
def scorecard(team: str, window: timedelta, address: Address, as_json: bool) -> None:
    """Answer the four questions for the organisation or one team.

    How long from the idea to knowing whether it worked? When was a failure last shared? Which group of failures is the
    biggest? Are the ideas bold or safe?
    """
    run_with_client(address, lambda client: _scorecard(client, team, window, as_json=as_json))


async def _scorecard(client: "Client", team: str, window: timedelta, *, as_json: bool) -> None:
    from service.commands.client import indented
    from service.presentation.scorecard_table import table
    from service.scorecard.figure import Scorecard

    document = await client.get("/scorecard", team=team, window=format_duration(window))
    if as_json:
        click.echo(indented(document))
    else:
        click.echo(table(client.decode(document, Scorecard), shutil.get_terminal_size().columns))

"""`loopgauge experiments`."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.help_group import HelpGroup
from service.commands.options import AS_JSON, TIME, OneOf, Whole, in_utc
from service.lifecycle.taxonomy import FailureCategory, Outcome, State

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.commands.listing import Pages
    from service.presentation.experiments import ExperimentAnswer

_TITLES = ("reference", "team", "state", "open for", "title")
_SORTS = [f"{sign}{name}" for name in ("idea_at", "concluded_at", "last_activity_at") for sign in ("-", "")]


@click.group(cls=HelpGroup)
def experiments() -> None:
    """List experiments."""


@experiments.command("list")
@click.option(
    "--ref",
    metavar="REFERENCE",
    help="Only the experiment that this address, reference or id names, or whose evidence it names.",
)
@click.option("--team", metavar="TEAM", help="Only experiments of this team; _none for experiments without a team.")
@click.option(
    "--state",
    type=OneOf(["open", *State]),
    help="Only experiments in this state; open means proposed or running.",
)
@click.option("--outcome", type=OneOf(Outcome), help="Only experiments with this outcome.")
@click.option(
    "--failure-category",
    type=OneOf(FailureCategory),
    help="Only failed experiments of this category.",
)
@click.option(
    "--overdue/--not-overdue",
    default=None,
    help="Only open experiments older than their team's threshold, or only all others.",
)
@click.option(
    "--forgotten/--not-forgotten",
    default=None,
    help="Only open experiments without activity for LOOPGAUGE_FORGOTTEN_AFTER, or only all others.",
)
@click.option(
    "--since",
    type=TIME,
    help="Only experiments proposed since this time: a time in UTC, such as 2026-01-31, or how long ago, such as 2d.",
)
@click.option("--until", type=TIME, help="Only experiments proposed before this time, UTC.")
@click.option(
    "--sort",
    type=OneOf(_SORTS),
    metavar="FIELD",
    default="-idea_at",
    show_default=True,
    help="idea_at, concluded_at or last_activity_at; a leading minus lists the latest first. concluded_at lists "
    "concluded experiments only.",
)
@click.option("--limit", type=Whole(1), default=20, show_default=True, help="The maximum number to list.")
@click.option("--all", "list_all", is_flag=True, help="List all experiments; ignore --limit.")
@takes_address
@AS_JSON
def list_experiments(
    limit: int,
    list_all: bool,
    address: Address,
    as_json: bool,
    **filters: Any,
) -> None:
    """List experiments, newest idea first, with their team, state and age.

    An experiment is listed if it matches all filters. `loopgauge explain REFERENCE` shows one experiment in full.
    """
    filters |= {"since": in_utc(filters["since"]), "until": in_utc(filters["until"])}
    most = sys.maxsize if list_all else limit
    run_with_client(address, lambda client: _list_experiments(client, filters, most, as_json=as_json))


async def _list_experiments(client: "Client", filters: Mapping[str, Any], most: int, *, as_json: bool) -> None:
    from service.commands.listing import Pages, print_json, say_if_cut
    from service.commands.table import printable

    pages = Pages(client, "/experiments", "experiments", filters, most)
    if as_json:
        await print_json(pages)
    else:
        await _print_table(client, pages)
    say_if_cut(pages)
    if hint := "" if pages.count else await _unknown_team(client, filters["team"] or ""):
        click.echo(printable(hint), err=True)
    elif not pages.count and not as_json:
        click.echo(printable(_nothing(filters)), err=True)


async def _unknown_team(client: "Client", team: str) -> str:
    """The message that no experiment belongs to a team. The message is empty if an experiment belongs to it."""
    from service.commands.client import NotFound

    if not team or team.startswith("_"):
        return ""
    try:
        await client.get("/scorecard", team=team)
    except NotFound as unknown:
        return str(unknown)
    return ""


async def _print_table(client: "Client", pages: "Pages") -> None:
    """Print a row for each experiment."""
    from service.commands.table import Table, terminal_width
    from service.presentation.experiments import ExperimentAnswer

    table = None
    async for page in pages:
        rows = [_cells(client.decode(document, ExperimentAnswer)) for document in page]
        if rows and table is None:
            table = Table(_TITLES, rows, terminal_width())
            click.echo("\n".join(table.header()))
        for row in rows:
            click.echo("\n".join(table.row(row) if table else ()))


def _cells(shown: "ExperimentAnswer") -> Sequence[str]:
    from service.commands.table import printable

    return [printable(cell) for cell in (shown.root, shown.team, _state(shown), _open_for(shown), shown.title)]


def _state(shown: "ExperimentAnswer") -> str:
    words: list[str | None] = [shown.outcome, shown.failure_category]
    if shown.outcome is None:
        words = [shown.state, "forgotten" if shown.forgotten else "overdue" if shown.overdue else ""]
    return ", ".join(filter(None, words))


def _open_for(shown: "ExperimentAnswer") -> str:
    """The age of an open experiment, or the time from the idea to the answer, in its largest unit."""
    span = shown.age or shown.stages.get("idea_to_answer")
    return " ".join(span.words.split()[:2]) if span else ""


def _nothing(filters: Mapping[str, Any]) -> str:
    given = [name for name, value in filters.items() if value is not None and name != "sort"]
    if given:
        return "no experiment matches; leave out a filter, or see `loopgauge deliveries list` for what arrived"
    return "no experiments; `loopgauge deliveries list` shows what arrived, and why it does not count"

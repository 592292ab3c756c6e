"""`loopgauge replay`."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from service.commands.address import require_database_settings
from service.commands.options import AS_JSON, TIME, in_utc
from service.commands.running import require_rules, run, show_progress

if TYPE_CHECKING:
    from service.rules.model import Rules
    from service.settings import Settings


@click.command()
@click.option(
    "--since",
    type=TIME,
    help="Only deliveries received since this time: a time in UTC, such as 2026-01-31, or how long ago, such as 2d.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; print what would change.")
@AS_JSON
def replay(since: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Process stored deliveries again under the current rules, and print the metrics that changed.

    The command works on the database: run it where the service runs.
    """
    settings = require_database_settings("replay")
    run(_replay(settings, require_rules(settings), since, dry_run=dry_run, as_json=as_json))


async def _replay(
    settings: "Settings", rules: "Rules", since: datetime | None, *, dry_run: bool, as_json: bool
) -> None:
    from service.app import metric_terms, open_database, utc_now
    from service.commands.table import printable
    from service.queries.replay import Replay

    with show_progress("replaying") as progress:
        replay_run = Replay(rules, metric_terms(settings, rules), utc_now, progress)
        async with open_database(settings) as database:
            work = replay_run.dry_run if dry_run else replay_run.run
            replayed = await work(database, in_utc(since))
    if as_json:
        changed = {name: {"from": before, "to": after} for name, (before, after) in replayed.changed.items()}
        click.echo(json.dumps({"deliveries": replayed.deliveries, "changed": changed}, indent=2))
        return
    for name, (before, after) in replayed.changed.items():
        # The labels of a sample may come from a webhook.
        click.echo(printable(f"{name}: {_value(before)} -> {_value(after)}"))
    changed_or_would = "would change" if dry_run else "changed"
    click.echo(f"{replayed.deliveries} deliveries replayed, {len(replayed.changed)} samples {changed_or_would}")


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"

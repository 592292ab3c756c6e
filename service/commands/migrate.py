"""`loopgauge migrate`."""

import json

import click

from service.commands.options import AS_JSON
from service.commands.running import require_settings, run
from service.settings import Settings


@click.command()
@AS_JSON
def migrate(as_json: bool) -> None:
    """Migrate the database's schema to the version of this program."""
    run(_migrate(require_settings(), as_json=as_json))


async def _migrate(settings: Settings, *, as_json: bool) -> None:
    from service.app import open_database

    async with open_database(settings) as database:
        revision = await database.migrate()
    click.echo(json.dumps({"revision": revision}) if as_json else f"the schema is at revision {revision}")

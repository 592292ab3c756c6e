"""`loopgauge migrate`."""

import json
from typing import TYPE_CHECKING

import click

from service.commands.address import require_database_settings
from service.commands.options import AS_JSON
from service.commands.running import run

if TYPE_CHECKING:
    from service.settings import Settings


@click.command()
@AS_JSON
def migrate(as_json: bool) -> None:
    """Migrate the database's schema to the version of this program.

    The command works on the database: run it where the service runs.
    """
    run(_migrate(require_database_settings("migrate"), as_json=as_json))


async def _migrate(settings: "Settings", *, as_json: bool) -> None:
    from service.app import open_database

    async with open_database(settings) as database:
        revision = await database.migrate()
    click.echo(json.dumps({"revision": revision}) if as_json else f"the schema is at revision {revision}")

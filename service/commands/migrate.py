"""`loopgauge migrate`."""

import click

from service.commands.running import run, usable_settings
from service.settings import Settings


@click.command()
def migrate() -> None:
    """Bring the database's schema to this version's."""
    run(_migrate(usable_settings()))


async def _migrate(settings: Settings) -> None:
    from service.app import open_database

    async with open_database(settings) as database:
        click.echo(f"the schema is at revision {await database.migrate()}")

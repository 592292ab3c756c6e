"""`loopgauge deliveries`."""

import json
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import click

from service.commands.options import AS_JSON, TIME, in_utc
from service.commands.running import fail, run, usable_settings
from service.pipeline.retry import Retried, retry, retry_failed
from service.settings import Settings, source_name, spell_duration
from service.storage import inbox
from service.storage.database import Database


@click.group()
def deliveries() -> None:
    """The inbox: what was delivered, and what became of it."""


@deliveries.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--verdict", type=click.Choice(["pending", "counted", "ignored", "failed"]), help="Only of this verdict.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@AS_JSON
def list_deliveries(source: str | None, verdict: str | None, limit: int, as_json: bool) -> None:
    """Deliveries, newest first, each with its verdict and the reason."""
    run(_list_deliveries(usable_settings(), source, verdict, limit, as_json))


async def _list_deliveries(
    settings: Settings, source: str | None, verdict: str | None, limit: int, as_json: bool
) -> None:
    from service.api.deliveries import brief
    from service.app import open_database

    async with open_database(settings) as database, database.transaction() as connection:
        rows, _ = await inbox.page(
            connection, source=source_name(source) if source else None, verdict=verdict, limit=limit
        )
    if as_json:
        click.echo(json.dumps([brief(row).model_dump(mode="json") for row in rows], indent=2))
        return
    for row in rows:
        received = row.received_at.strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{received}  {row.source}  {row.verdict or 'pending':8}  {row.id}  {row.reason or ''}")
    if not rows:
        click.echo("no deliveries", err=True)


@deliveries.command("show")
@click.argument("delivery", type=click.UUID)
@AS_JSON
def show_delivery(delivery: UUID, as_json: bool) -> None:
    """One delivery, with its headers and body."""
    run(_show_delivery(usable_settings(), delivery, as_json))


async def _show_delivery(settings: Settings, delivery: UUID, as_json: bool) -> None:
    from service.api.deliveries import whole
    from service.app import open_database

    async with open_database(settings) as database, database.transaction() as connection:
        found = await inbox.find(connection, delivery)
    if found is None:
        fail(f"there is no delivery {delivery}")
    shown = whole(*found).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    if found[2] is None:
        kept = spell_duration(settings.raw_retention)
        shown["body"] = f"not kept any more: LOOPGAUGE_RAW_RETENTION was over ({kept} by the settings of this command)"
    for name, value in shown.items():
        click.echo(f"{name:15} {value}")


@deliveries.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.UUID)
@click.option("--failed", is_flag=True, help="All that failed, instead of those that are named.")
@click.option("--source", help="With --failed: only of this source.")
@click.option("--since", type=TIME, help="With --failed: only those received since then, UTC.")
@AS_JSON
def retry_deliveries(
    ids: tuple[UUID, ...], failed: bool, source: str | None, since: datetime | None, as_json: bool
) -> None:
    """Have failed deliveries interpreted again by a worker, under today's rules."""
    if bool(ids) == failed:
        raise click.UsageError("name the deliveries by their ids, or give --failed")
    if (source or since) and not failed:
        raise click.UsageError("--source and --since narrow --failed down")
    received = in_utc(since)
    run(_retry(usable_settings(), list(dict.fromkeys(ids)), source_name(source) if source else None, received, as_json))


async def _retry(
    settings: Settings, ids: list[UUID], source: str | None, since: datetime | None, as_json: bool
) -> None:
    from service.app import open_database

    retried = []
    async with open_database(settings) as database:
        async for one in _retrying(database, ids, source, since):
            retried.append(one)
            if not as_json:
                click.echo(f"{one.delivery}  {one.status:7}  {one.detail}")
    count = sum(one.status == "retried" for one in retried)
    if as_json:
        told = [{"id": str(one.delivery), "status": one.status, "detail": one.detail} for one in retried]
        click.echo(json.dumps({"retried": count, "deliveries": told}, indent=2))
    else:
        click.echo(f"{count} of {len(retried)} deliveries retried")
    if retried and all(one.status in ("refused", "unknown") for one in retried):
        sys.exit(1)


async def _retrying(
    database: Database, ids: list[UUID], source: str | None, since: datetime | None
) -> AsyncIterator[Retried]:
    if not ids:
        async for one in retry_failed(database, source, since):
            yield one
    for one in await retry(database, ids):
        yield one

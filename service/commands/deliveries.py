"""`loopgauge deliveries`."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from textwrap import indent
from typing import Any
from uuid import UUID

import click

from service.commands.helping import Helping
from service.commands.options import AS_JSON, TIME, in_utc
from service.commands.running import fail, run, usable_settings
from service.deliveries.delivery import source_name
from service.lifecycle.durations import spell_duration
from service.queries.retry import RetryResult, retry_failed, retry_selected
from service.settings import Settings
from service.storage import inbox
from service.storage.database import Database
from service.storage.inbox import InboxRow

_PAGE = 1000


@click.group(cls=Helping)
def deliveries() -> None:
    """The inbox: what was delivered, and what became of it."""


@deliveries.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--verdict", type=click.Choice(["pending", "counted", "ignored", "failed"]), help="Only of this verdict.")
@click.option("--since", type=TIME, help="Only those received since then, UTC.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="All there are, whatever the limit.")
@AS_JSON
def list_deliveries(
    source: str | None, verdict: str | None, since: datetime | None, limit: int, everything: bool, as_json: bool
) -> None:
    """Deliveries, newest first, each with its verdict and the reason."""
    narrowed = {"source": source_name(source) if source else None, "verdict": verdict, "since": in_utc(since)}
    run(_list_deliveries(usable_settings(), narrowed, None if everything else limit, as_json=as_json))


async def _list_deliveries(
    settings: Settings, narrowed: Mapping[str, Any], limit: int | None, *, as_json: bool
) -> None:
    from service.api.deliveries import delivery_answer
    from service.app import open_database

    count = 0
    async with open_database(settings) as database:
        async for row in _newest(database, narrowed, limit):
            if as_json:
                # As they come, since there may be more than memory should hold.
                click.echo("," if count else "[")
                click.echo(indent(delivery_answer(row).model_dump_json(indent=2), "  "), nl=False)
            else:
                received = row.received_at.strftime("%Y-%m-%d %H:%M:%S")
                click.echo(f"{received}  {row.source}  {row.verdict or 'pending':8}  {row.id}  {row.reason or ''}")
            count += 1
    if as_json:
        click.echo("\n]" if count else "[]")
    elif not count:
        click.echo("no deliveries", err=True)


async def _newest(database: Database, narrowed: Mapping[str, Any], limit: int | None) -> AsyncIterator[InboxRow]:
    """Deliveries, newest first, read page by page."""
    cursor = None
    left = sys.maxsize if limit is None else limit
    while left:
        async with database.transaction() as connection:
            rows, cursor = await inbox.read_page(connection, **narrowed, cursor=cursor, limit=min(left, _PAGE))
        for row in rows:
            yield row
        left = left - len(rows) if cursor else 0


@deliveries.command("show")
@click.argument("delivery", type=click.UUID)
@AS_JSON
def show_delivery(delivery: UUID, as_json: bool) -> None:
    """One delivery, with its headers and body."""
    run(_show_delivery(usable_settings(), delivery, as_json))


async def _show_delivery(settings: Settings, delivery: UUID, as_json: bool) -> None:
    from service.api.deliveries import delivery_details
    from service.app import open_database

    async with open_database(settings) as database, database.transaction() as connection:
        found = await inbox.read_delivery(connection, delivery)
    if found is None:
        fail(f"there is no delivery {delivery}; `loopgauge deliveries list` shows which there are")
    shown = delivery_details(*found).model_dump(mode="json")
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
) -> AsyncIterator[RetryResult]:
    if not ids:
        async for one in retry_failed(database, source, since):
            yield one
    for one in await retry_selected(database, ids):
        yield one

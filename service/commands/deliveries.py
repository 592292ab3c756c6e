"""`loopgauge deliveries`."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from textwrap import indent
from typing import Any
from uuid import UUID

import click

from service.commands.help_group import HelpGroup
from service.commands.options import AS_JSON, TIME, in_utc
from service.commands.running import fail, require_settings, run
from service.deliveries.delivery import source_name
from service.lifecycle.durations import format_duration
from service.queries.retry import RetryResult, retry_failed, retry_selected
from service.settings import Settings
from service.storage import inbox_listing
from service.storage.database import Database
from service.storage.inbox_listing import InboxRow

_PAGE = 1000


@click.group(cls=HelpGroup)
def deliveries() -> None:
    """List, show and retry webhook deliveries."""


@deliveries.command("list")
@click.option("--source", help="Only deliveries from this source.")
@click.option(
    "--verdict",
    type=click.Choice(["pending", "counted", "ignored", "failed"]),
    help="Only deliveries with this status.",
)
@click.option("--since", type=TIME, help="Only deliveries received at or after this time, UTC.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The maximum number to list.")
@click.option("--all", "list_all", is_flag=True, help="List all deliveries; ignore --limit.")
@AS_JSON
def list_deliveries(
    source: str | None, verdict: str | None, since: datetime | None, limit: int, list_all: bool, as_json: bool
) -> None:
    """List deliveries, newest first, with their status and reason."""
    filters = {"source": source_name(source) if source else None, "verdict": verdict, "since": in_utc(since)}
    run(_list_deliveries(require_settings(), filters, None if list_all else limit, as_json=as_json))


async def _list_deliveries(settings: Settings, filters: Mapping[str, Any], limit: int | None, *, as_json: bool) -> None:
    from service.app import open_database
    from service.presentation.deliveries import delivery_answer

    count = 0
    async with open_database(settings) as database:
        async for row in _read_newest(database, filters, limit):
            if as_json:
                # Print each row as it is read, because all rows together may not fit into memory.
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


async def _read_newest(database: Database, filters: Mapping[str, Any], limit: int | None) -> AsyncIterator[InboxRow]:
    """Read deliveries page by page, newest first."""
    cursor = None
    remaining = sys.maxsize if limit is None else limit
    while remaining:
        async with database.transaction() as connection:
            rows, cursor = await inbox_listing.read_page(
                connection, **filters, cursor=cursor, limit=min(remaining, _PAGE)
            )
        for row in rows:
            yield row
        remaining = remaining - len(rows) if cursor else 0


@deliveries.command("show")
@click.argument("delivery", type=click.UUID)
@AS_JSON
def show_delivery(delivery: UUID, as_json: bool) -> None:
    """Show a delivery with its headers and body."""
    run(_show_delivery(require_settings(), delivery, as_json))


async def _show_delivery(settings: Settings, delivery: UUID, as_json: bool) -> None:
    from service.app import open_database
    from service.presentation.deliveries import delivery_with_content

    async with open_database(settings) as database, database.transaction() as connection:
        found = await inbox_listing.read_delivery(connection, delivery)
    if found is None:
        fail(f"no delivery has the id {delivery}; `loopgauge deliveries list` lists the ids")
    shown = delivery_with_content(*found).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    if found[2] is None:
        retention = format_duration(settings.raw_retention)
        shown["body"] = f"deleted after LOOPGAUGE_RAW_RETENTION ({retention} in the settings of this command)"
    for name, value in shown.items():
        click.echo(f"{name:15} {value}")


@deliveries.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.UUID)
@click.option("--failed", is_flag=True, help="Retry all failed deliveries; give no IDs.")
@click.option("--source", help="With --failed: only deliveries from this source.")
@click.option("--since", type=TIME, help="With --failed: only deliveries received at or after this time, UTC.")
@AS_JSON
def retry_deliveries(
    ids: tuple[UUID, ...], failed: bool, source: str | None, since: datetime | None, as_json: bool
) -> None:
    """Retry failed deliveries: a worker processes them again, under the current rules."""
    if bool(ids) == failed:
        raise click.UsageError("give either the ids of deliveries or --failed")
    if (source or since) and not failed:
        raise click.UsageError("--source and --since require --failed")
    received = in_utc(since)
    run(
        _retry(require_settings(), list(dict.fromkeys(ids)), source_name(source) if source else None, received, as_json)
    )


async def _retry(
    settings: Settings, ids: list[UUID], source: str | None, since: datetime | None, as_json: bool
) -> None:
    from service.app import open_database

    results = []
    async with open_database(settings) as database:
        async for result in _retry_each(database, ids, source, since):
            results.append(result)
            if not as_json:
                click.echo(f"{result.delivery}  {result.status:7}  {result.detail}")
    count = sum(result.status == "retried" for result in results)
    if as_json:
        shown = [{"id": str(each.delivery), "status": each.status, "detail": each.detail} for each in results]
        click.echo(json.dumps({"retried": count, "deliveries": shown}, indent=2))
    else:
        click.echo(f"{count} of {len(results)} deliveries retried")
    if results and all(result.status in ("refused", "unknown") for result in results):
        sys.exit(1)


async def _retry_each(
    database: Database, ids: list[UUID], source: str | None, since: datetime | None
) -> AsyncIterator[RetryResult]:
    if not ids:
        async for result in retry_failed(database, source, since):
            yield result
    for result in await retry_selected(database, ids):
        yield result

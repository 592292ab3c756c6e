"""`loopgauge deliveries`."""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.help_group import HelpGroup
from service.commands.options import AS_JSON, TIME, DeliveryId, OneOf, Whole, in_utc

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.commands.listing import Pages
    from service.presentation.deliveries import DeliveryAnswer, RetryAnswer, WholeDelivery

_PAGE = 500  # the largest batch of the API
_NEEDS_ADMIN = "shown only with the admin token"
_DELETED = "deleted: the delivery is older than LOOPGAUGE_RAW_RETENTION"


@click.group(cls=HelpGroup)
def deliveries() -> None:
    """List, show and retry webhook deliveries."""


@deliveries.command("list")
@click.option("--source", metavar="SOURCE", help="Only deliveries from this source.")
@click.option(
    "--verdict",
    type=OneOf(["pending", "counted", "ignored", "failed", "refused"]),
    help="Only deliveries with this status; refused: only those of which a part was refused.",
)
@click.option(
    "--since",
    type=TIME,
    help="Only deliveries received since this time: a time in UTC, such as 2026-01-31, or how long ago, such as 2d.",
)
@click.option("--ref", metavar="REFERENCE", help="Only deliveries about this subject.")
@click.option("--limit", type=Whole(1), default=20, show_default=True, help="The maximum number to list.")
@click.option("--all", "list_all", is_flag=True, help="List all deliveries; ignore --limit.")
@takes_address
@AS_JSON
def list_deliveries(
    source: str | None,
    verdict: str | None,
    since: datetime | None,
    ref: str | None,
    limit: int,
    list_all: bool,
    address: Address,
    as_json: bool,
) -> None:
    """List deliveries, newest first, with their event, status and reason.

    REFERENCE is a reference, the address of a page, or the id of an experiment. --ref does not find deliveries that are
    pending or failed, or that say nothing about a subject.
    """
    filters = {"source": source, "verdict": verdict, "since": in_utc(since), "ref": ref}
    most = sys.maxsize if list_all else limit
    run_with_client(address, lambda client: _list_deliveries(client, filters, most, as_json=as_json))


async def _list_deliveries(client: "Client", filters: Mapping[str, Any], most: int, *, as_json: bool) -> None:
    from service.commands.faults import wrap
    from service.commands.listing import Pages, print_json, say_if_cut
    from service.commands.table import printable

    pages = Pages(client, "/deliveries", "deliveries", filters, most)
    if as_json:
        await print_json(pages)
    else:
        await _print_lines(client, pages)
    say_if_cut(pages)
    if hint := "" if pages.count else await _unknown_source(client, filters["source"] or ""):
        click.echo(printable(hint), err=True)
    elif not as_json and filters["ref"]:
        found = "" if pages.count else f"no deliveries about {filters['ref']}; "
        click.echo(wrap(printable(f"{found}{_NOT_BY_REFERENCE}")), err=True)
    elif not pages.count and not as_json:
        click.echo("no deliveries", err=True)


async def _unknown_source(client: "Client", source: str) -> str:
    """Say that no source has this name, and propose the nearest one. Return an empty text if the source exists."""
    from service.deliveries.delivery import source_name
    from service.lifecycle.nearest import did_you_mean
    from service.presentation.sources import SourcesAnswer

    if not source:
        return ""
    shown = client.decode(await client.get("/sources"), SourcesAnswer)
    names = [each.name for each in shown.sources]
    if source_name(source) in names:
        return ""
    hint = did_you_mean(source, names) or f"the sources are {', '.join(names)}"
    return f"no source {source} is configured, and none has sent anything; {hint}"


async def _print_lines(client: "Client", pages: "Pages") -> None:
    """Print each delivery."""
    from service.commands.table import terminal_width
    from service.presentation.deliveries import DeliveryAnswer

    width = terminal_width()
    async for page in pages:
        for document in page:
            click.echo("\n".join(_lines(client.decode(document, DeliveryAnswer), width)))


def _lines(row: "DeliveryAnswer", width: int | None) -> Iterator[str]:
    """The lines of a delivery: a single line unless the output is a terminal, so that programs can read it."""
    from service.commands.table import printable, wrapped

    received = row.received_at.strftime("%Y-%m-%d %H:%M:%S")
    event, reference, reason = (printable(text or "") for text in (row.event, row.reference, row.reason))
    if width is None:
        known = f"{received}  {row.source}  {row.verdict:8}  {row.id}"
        yield f"{known}  {event or '-'}  {reference or '-'}  {reason}".rstrip()
    else:
        yield from wrapped([received, row.source, row.verdict, event, reference], width)
        yield from wrapped([str(row.id), reason], width, indent="  ")


_NOT_BY_REFERENCE = (
    "--ref does not find deliveries that are pending or failed: list them with --verdict pending or --verdict failed"
)


@deliveries.command("show")
@click.argument("delivery", type=DeliveryId())
@click.option("--body", "only_body", is_flag=True, help="Print only the body, as the source sent it.")
@takes_address
@AS_JSON
def show_delivery(delivery: UUID, only_body: bool, address: Address, as_json: bool) -> None:
    """Show a delivery with its headers and body.

    DELIVERY is the id of a delivery, as `loopgauge deliveries list` shows it. A remote service shows headers and body
    with the admin token only.
    """
    if only_body and as_json:
        raise click.UsageError("give either --body or --json")
    run_with_client(address, lambda client: _show_delivery(client, delivery, only_body=only_body, as_json=as_json))


async def _show_delivery(client: "Client", delivery: UUID, *, only_body: bool, as_json: bool) -> None:
    from service.commands.client import indented
    from service.presentation.deliveries import WholeDelivery

    document = await client.get(f"/deliveries/{delivery}")
    if as_json:
        click.echo(indented(document))
        return
    shown = client.decode(document, WholeDelivery)
    if only_body:
        _print_body(shown)
        return
    for name, value in _values(shown):
        click.echo(f"{name:15} {_shown(value)}".rstrip())


def _print_body(shown: "WholeDelivery") -> None:
    """Print the body of a delivery. Its bytes stay as they were sent, unless the output is a terminal.

    Raises:
        CommandFailed: the answer has no body.
    """
    from base64 import b64decode

    from service.commands.running import CommandFailed
    from service.commands.table import terminal_width

    if shown.body_base64 is not None:
        body = b64decode(shown.body_base64)
        click.echo(body if terminal_width() is None else _shown(body.decode(errors="replace")), nl=False)
    elif shown.body is not None:
        click.echo(_shown(shown.body), nl=False)
    else:
        raise CommandFailed(f"the body of {shown.id} is {_NEEDS_ADMIN if shown.headers is None else _DELETED}")


def _values(shown: "WholeDelivery") -> Iterator[tuple[str, object]]:
    """The values of a delivery by name. A header has a line of its own."""
    plain = shown.model_dump(mode="json", exclude={"headers", "body", "body_base64"})
    for name, value in plain.items():
        yield "status" if name == "verdict" else name, "-" if value is None else value
    lines = [_NEEDS_ADMIN] if shown.headers is None else [f"{key}: {value}" for key, value in shown.headers.items()]
    yield from (("" if place else "headers", line) for place, line in enumerate(lines))
    if shown.body_base64 is not None:
        yield "body_base64", shown.body_base64
    elif shown.body is not None:
        yield "body", shown.body
    else:
        yield "body", _NEEDS_ADMIN if shown.headers is None else _DELETED


def _shown(value: object) -> str:
    """A value of a delivery. A terminal gets the value without control characters; a file gets it unchanged."""
    from service.commands.table import printable, terminal_width

    lines = ("-" if value is None else str(value)).split("\n")
    return "\n".join(lines if terminal_width() is None else map(printable, lines))


@deliveries.command("retry", short_help="Retry failed deliveries.")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=DeliveryId())
@click.option("--failed", is_flag=True, help="Retry all failed deliveries; give no IDs.")
@click.option("--source", metavar="SOURCE", help="With --failed: only deliveries from this source.")
@click.option("--since", type=TIME, help="With --failed: only deliveries received at or after this time, UTC.")
@takes_address
@AS_JSON
def retry_deliveries(
    ids: tuple[UUID, ...], failed: bool, source: str | None, since: datetime | None, address: Address, as_json: bool
) -> None:
    """Retry failed deliveries: a worker processes them again, under the current rules.

    Give the ids of deliveries, as `loopgauge deliveries list` shows them, or --failed.
    """
    if bool(ids) == failed:
        raise click.UsageError("give either the ids of deliveries or --failed")
    if (source or since) and not failed:
        raise click.UsageError("--source and --since require --failed")
    received = in_utc(since)
    filters = {"source": source, "since": received.isoformat() if received else None}
    run_with_client(
        address, lambda client: _retry(client, list(dict.fromkeys(map(str, ids))), filters, as_json=as_json)
    )


async def _retry(client: "Client", ids: list[str], filters: Mapping[str, str | None], *, as_json: bool) -> None:
    from service.commands.client import indented
    from service.commands.table import printable
    from service.presentation.deliveries import RetriedDelivery, RetryAnswer

    results: list[RetriedDelivery] = []
    async for answer in _retry_each(client, ids, filters):
        results += answer.deliveries
        for result in () if as_json else answer.deliveries:
            click.echo(printable(f"{result.id}  {result.status:7}  {result.detail}"))
    count = sum(result.status == "retried" for result in results)
    if as_json:
        answer = RetryAnswer(retried=count, deliveries=results, next=None)
        click.echo(indented(answer.model_dump_json(exclude={"next"}).encode()))
    else:
        click.echo(f"{count} of {len(results)} deliveries retried")
    if results and all(result.status in ("refused", "unknown") for result in results):
        sys.exit(1)


async def _retry_each(
    client: "Client", ids: list[str], filters: Mapping[str, str | None]
) -> AsyncIterator["RetryAnswer"]:
    """Retry the deliveries batch by batch: those with these ids, or if there are none, those that failed."""
    from service.commands.listing import refuse_repetition
    from service.presentation.deliveries import RetryAnswer

    for start in range(0, len(ids), _PAGE):
        document = await client.post("/deliveries/retry", "admin", {"deliveries": ids[start : start + _PAGE]})
        yield client.decode(document, RetryAnswer)
    cursor, earlier = None, set[str | None]()
    while not ids:
        document = await client.post("/deliveries/retry", "admin", {"failed": True, **filters, "cursor": cursor})
        answer = client.decode(document, RetryAnswer)
        yield answer
        cursor = answer.next
        if cursor is None:
            return
        refuse_repetition(cursor, earlier, "/deliveries/retry")

"""`loopgauge sources`."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.options import AS_JSON

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.presentation.sources import SourceAnswer, SourcesAnswer

_TITLES = ("source", "webhooks go to", "last delivery", "recent deliveries")


@click.command()
@takes_address
@AS_JSON
def sources(address: Address, as_json: bool) -> None:
    """List the sources, each with the path of its webhooks, its last delivery and its recent deliveries by status.

    If a source is silent, or if its deliveries fail or wait, the command says what to do.
    """
    run_with_client(address, lambda client: _sources(client, as_json=as_json))


async def _sources(client: "Client", *, as_json: bool) -> None:
    from service.commands.client import indented
    from service.presentation.sources import SourcesAnswer

    document = await client.get("/sources")
    if as_json:
        click.echo(indented(document))
        return
    click.echo("\n".join(_lines(client.decode(document, SourcesAnswer))))


def _lines(shown: "SourcesAnswer") -> Iterator[str]:
    from service.commands.table import Table, terminal_width, wrapped

    width = terminal_width()
    rows = [_cells(source) for source in shown.sources]
    table = Table(_TITLES, rows, width)
    yield from table.header()
    for row in rows:
        yield from table.row(row)
    yield f"Recent deliveries are those since {_minute(shown.since)} UTC."
    if not any(source.configured for source in shown.sources):
        yield from wrapped([_NO_SOURCE], width or _PIPED)
    for source in shown.sources:
        for advice in _advice(source, shown.since):
            yield from wrapped([f"{source.name}: {advice}"], width or _PIPED)


_PIPED = 1000
_NO_SOURCE = (
    "No source is configured: every webhook is refused. Set LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of "
    "another tool; docs/sources describes each tool."
)


def _cells(source: "SourceAnswer") -> tuple[str, str, str, str]:
    recent = source.recent.model_dump()
    counts = ", ".join(f"{count} {status}" for status, count in recent.items() if count)
    last = _minute(source.last_delivery_at) if source.last_delivery_at else "none"
    return source.name, source.path or "(not configured)", last, counts or "none"


def _advice(source: "SourceAnswer", since: datetime) -> Iterator[str]:
    """The advice about a source."""
    if source.configured and (source.last_delivery_at is None or source.last_delivery_at < since):
        state = "it has not sent anything" if source.last_delivery_at is None else "it is silent"
        yield (
            f"{state}: check in {source.provider} that the webhook goes to {source.path} of your address, with the "
            f"secret in LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET. Deliveries with another secret are refused: "
            f'see loopgauge_deliveries_total{{source="{source.name}", result="refused"}} in GET /metrics.'
        )
    if source.path is None:
        yield (
            "it is not configured now, so its webhooks get a 404: remove the webhook, or set "
            f"LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET."
        )
    if source.previous_secret_set:
        yield (
            "two secrets are accepted: once the tool uses the new one, remove "
            f"LOOPGAUGE_SOURCES__{source.name.upper()}__PREVIOUS_SECRET."
        )
    if source.failed:
        yield (
            f"{source.failed} failed: `loopgauge deliveries list --source {source.name} --verdict failed` says why, "
            "and `loopgauge deliveries retry --failed` retries them."
        )
    if source.pending:
        yield f"{source.pending} wait for a worker: if the number grows, start more workers, or see the log."


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"

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
    run_with_client(address, lambda client: _sources(client, address, as_json=as_json))


async def _sources(client: "Client", address: Address, *, as_json: bool) -> None:
    from service.commands.client import indented
    from service.presentation.sources import SourcesAnswer

    document = await client.get("/sources")
    if as_json:
        click.echo(indented(document))
        return
    shown = client.decode(document, SourcesAnswer)
    click.echo("\n".join(_lines(shown, local=address.url is None)))


def _lines(shown: "SourcesAnswer", *, local: bool) -> Iterator[str]:
    """The lines for a terminal.

    Args:
        local: whether the sources are those that the settings of this command name. The lines then do not say what a
            service refuses, because a running service may have other settings.
    """
    from service.commands.table import Table, terminal_width, wrapped

    width = terminal_width()
    rows = [_cells(source, local=local) for source in shown.sources]
    table = Table(_TITLES, rows, width, whole=True)
    yield from table.header()
    for row in rows:
        yield from table.row(row)
    yield f"Recent deliveries are those since {_minute(shown.since)} UTC."
    if not any(source.configured for source in shown.sources):
        yield from wrapped([_NO_SOURCE_HERE if local else _NO_SOURCE], width or _PIPED)
    for source in shown.sources:
        for advice in _advice(source, shown.since, local=local):
            yield from wrapped([f"{source.name}: {advice}"], width or _PIPED)


_PIPED = 1000
_ASK_THE_SERVICE = "if a service runs, ask it: `loopgauge sources --url http://127.0.0.1:8080`"
_NO_SOURCE = (
    "No source is configured: every webhook is refused. Set LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of "
    "another tool; docs/sources describes each tool."
)
_NO_SOURCE_HERE = (
    f"The settings of this command name no source; {_ASK_THE_SERVICE}. To configure a source, set "
    "LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of another tool; docs/sources describes each tool."
)


def _cells(source: "SourceAnswer", *, local: bool) -> tuple[str, str, str, str]:
    recent = source.recent.model_dump()
    counts = ", ".join(f"{count} {status}" for status, count in recent.items() if count)
    last = _minute(source.last_delivery_at) if source.last_delivery_at else "none"
    unknown = "(not in these settings)" if local else "(not configured)"
    return source.name, source.path or unknown, last, counts or "none"


def _advice(source: "SourceAnswer", since: datetime, *, local: bool) -> Iterator[str]:
    """The advice about a source."""
    if source.configured and (source.last_delivery_at is None or source.last_delivery_at < since):
        state = "it has not sent anything" if source.last_delivery_at is None else "it is silent"
        yield (
            f"{state}: check in {source.provider} that the webhook goes to {source.path} of your address, with the "
            f"secret in LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET. Deliveries with another secret are refused: "
            f'see loopgauge_deliveries_total{{source="{source.name}", result="refused"}} in GET /metrics.'
        )
    if source.path is None and local:
        yield f"the settings of this command name no source {source.name}; {_ASK_THE_SERVICE}."
    elif source.path is None:
        yield (
            "it is not configured now, so its webhooks get a 404: remove the webhook, or set "
            f"LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET."
        )
    if source.refused is not None:
        yield (
            f"{_requests(source.refused.requests)} refused since {_minute(source.refused.since)}, when the answering "
            f"process started; the last at {_minute(source.refused.last_at)}: {source.refused.reason}. Enter the same "
            f"secret in {source.provider} and in LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET."
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


def _requests(count: int) -> str:
    return "1 request was" if count == 1 else f"{count} requests were"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"

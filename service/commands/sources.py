"""`loopgauge sources`."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from service.commands.address import TOKEN_VARIABLE, Address, run_with_client, takes_address
from service.commands.options import AS_JSON
from service.commands.running import require_settings

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.presentation.sources import SourceAnswer, SourcesAnswer

_TITLES = ("source", "webhooks go to", "last delivery", "recent deliveries")


@click.command()
@takes_address
@AS_JSON
def sources(address: Address, as_json: bool) -> None:
    """List the sources, each with the path of its webhooks, its last delivery and its recent deliveries by status.

    Without --url, the command asks the service that runs with this data directory and database. If no service runs, or
    if its read token is not known here, the command lists the sources that its own settings name. If a source is
    silent, or if its deliveries fail or wait, the command says what to do.
    """
    from service.commands.local_service import ask_running_service

    asked = ask_running_service(address)
    run_with_client(asked, lambda client: _sources(client, asked, as_json=as_json))


async def _sources(client: "Client", asked: Address, *, as_json: bool) -> None:
    from service.commands.client import indented
    from service.presentation.sources import SourcesAnswer

    document = await client.get("/sources")
    if as_json:
        click.echo(indented(document))
        return
    shown = client.decode(document, SourcesAnswer)
    click.echo("\n".join(_lines(shown, asked)))


def _lines(shown: "SourcesAnswer", asked: Address) -> Iterator[str]:
    """The lines for a terminal.

    Args:
        asked: the service that answered. If this is the local database, the sources are those that the settings of this
            command name. The lines then do not say what a service refuses, because it may have other settings.
    """
    from service.commands.table import Table, terminal_width, wrapped

    width, local = terminal_width(), asked.url is None
    ask = _ask_the_service() if local else ""
    rows = [_cells(source, local=local) for source in shown.sources]
    table = Table(_TITLES, rows, width, whole=True)
    yield from table.header()
    for row in rows:
        yield from table.row(row)
    yield f"Recent deliveries are those since {_minute(shown.since)} UTC."
    if asked.url:
        yield from wrapped([f"These are the sources of {asked.url}."], width or _PIPED)
    if not any(source.configured for source in shown.sources):
        yield from wrapped([_NO_SOURCE_HERE.format(ask) if local else _NO_SOURCE], width or _PIPED)
    for source in shown.sources:
        for advice in _advice(source, shown.since, ask):
            yield from wrapped([f"{source.name}: {advice}"], width or _PIPED)


_PIPED = 1000
_NO_SOURCE = (
    "No source is configured: every webhook is refused. Set LOOPGAUGE_SOURCES__GITHUB__SECRET, or the variable of "
    "another tool; docs/sources describes each tool."
)
_NO_SOURCE_HERE = (
    "The settings of this command name no source; {}. To configure a source, set LOOPGAUGE_SOURCES__GITHUB__SECRET, or "
    "the variable of another tool; docs/sources describes each tool."
)


def _ask_the_service() -> str:
    """The advice to ask a running service, with its address if it is known here."""
    from service.commands.local_service import find_services, home_url

    settings = require_settings()
    services = [service.url for service in find_services(settings)]
    if len(services) == 1:
        return f"a service runs, so give its read token in {TOKEN_VARIABLE}: `loopgauge sources --url {services[0]}`"
    if services:
        return f"several services run, so ask one of them: `loopgauge sources --url URL` with {' or '.join(services)}"
    return f"if a service runs, ask it: `loopgauge sources --url {home_url(settings)}`"


def _cells(source: "SourceAnswer", *, local: bool) -> tuple[str, str, str, str]:
    recent = source.recent.model_dump()
    counts = ", ".join(f"{count} {status}" for status, count in recent.items() if count)
    last = _minute(source.last_delivery_at) if source.last_delivery_at else "none"
    unknown = "(not in these settings)" if local else "(not configured)"
    of_provider = f" ({source.provider})" if source.provider not in (None, source.name) else ""
    return f"{source.name}{of_provider}", source.path or unknown, last, counts or "none"


def _advice(source: "SourceAnswer", since: datetime, ask: str) -> Iterator[str]:
    """The advice about a source.

    Args:
        ask: how to ask a running service; empty if a service answered.
    """
    if source.configured and (source.last_delivery_at is None or source.last_delivery_at < since):
        state = "it has not sent anything" if source.last_delivery_at is None else "it is silent"
        yield (
            f"{state}: check in {source.provider} that the webhook goes to {source.path} of your address, with the "
            f"secret in LOOPGAUGE_SOURCES__{source.name.upper()}__SECRET. Deliveries with another secret are refused: "
            f'see loopgauge_deliveries_total{{source="{source.name}", result="refused"}} in GET /metrics.'
        )
    if source.path is None and ask:
        yield f"the settings of this command name no source {source.name}; {ask}."
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

"""The commands that record an event by hand, such as `loopgauge classify`: one for each act of people."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.options import AS_JSON, TIME, OneOf, Url, in_utc
from service.lifecycle.acts import ACTS, COMMANDS, ActName, Argument

if TYPE_CHECKING:
    from service.commands.client import Client

_LEARNING = "learning_url"


def act_command(verb: str, line: str) -> click.Command:
    """The command that records the act with this verb. Its arguments are those of the comment command.

    Args:
        line: what the command does, in one line.
    """
    name = COMMANDS[verb]
    act = ACTS[name]
    record = partial(_record, name)
    record.__name__ = verb  # type: ignore[attr-defined]  # click reads the name of the function
    command = click.command(verb, help=f"{line}\n\n{_HELP}")(takes_address(AS_JSON(record)))
    values = [_argument(argument) for argument in act.arguments]
    options = [_AT] if any(argument.name == _LEARNING for argument in act.arguments) else [_LEARNING_URL, _AT]
    command.params[:0] = [click.Argument(["reference"], help=_REFERENCE), *values, *options]
    return command


_AT = click.Option(["--at"], type=TIME, help="When it happened, UTC, such as 2026-01-31 14:00 or 2d; default: now.")
_LEARNING_URL = click.Option(["--learning-url"], metavar="URL", type=Url(), help="The page that says what was learnt.")


_REFERENCE = "the address in your browser, a short form such as acme/app#45 or ML-12, a reference, or an id"
_HELP = (
    "The command records an event of the experiment by hand. A worker processes the event moments later; "
    "`loopgauge explain REFERENCE` then shows it. A later event can correct it."
)


def _argument(argument: Argument) -> click.Argument:
    kind = OneOf(argument.choices, argument.also) if argument.choices else Url()
    required = "comment" in argument.required_by
    word = argument.name.upper() if argument.choices else "URL"
    metavar = word if required else f"[{word}]"
    return click.Argument([argument.name], metavar=metavar, required=required, type=kind, help=argument.expects)


def _record(
    name: ActName, *, reference: str, at: datetime | None, address: Address, as_json: bool, **given: Any
) -> None:
    occurred_at = in_utc(at)
    keys = [*(argument.name for argument in ACTS[name].arguments), _LEARNING]
    values = {key: given[key] for key in keys if given.get(key) is not None}
    body = {"event": name, **({"occurred_at": occurred_at.isoformat()} if occurred_at else {}), **values}
    see = _NEEDS_READ if address.url and address.token else ""
    run_with_client(address, lambda client: _post(client, reference, body, see, as_json=as_json))


_NEEDS_READ = " (with the read token or the admin token)"


async def _post(client: "Client", reference: str, body: Mapping[str, str], see: str, *, as_json: bool) -> None:
    from service.api.receipts import ReceivedEvent
    from service.commands.client import experiment_path, indented
    from service.commands.table import fit

    document = await client.post(f"{experiment_path(reference)}/events", "write", body)
    if as_json:
        click.echo(indented(document))
        return
    received = client.decode(document, ReceivedEvent)
    recorded = " ".join([body["event"], *(f"{name}={body[name]}" for name in body if name != "event")])
    shown = f"`loopgauge explain {reference}`{see} shows the event once it is processed"
    for line in (f"recorded for {reference}: {recorded}", f"  delivery {received.delivery}; {shown}"):
        click.echo(fit(line))

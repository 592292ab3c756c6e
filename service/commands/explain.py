"""`loopgauge explain`."""

import shutil
from typing import TYPE_CHECKING

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.options import AS_JSON

if TYPE_CHECKING:
    from service.commands.client import Client


@click.command()
@click.argument("reference")
@click.option("--events", is_flag=True, help="Add all events, with their rules and deliveries.")
@takes_address
@AS_JSON
def explain(reference: str, events: bool, address: Address, as_json: bool) -> None:
    """Explain an experiment: its timeline, the statements in force, and the metrics that count it.

    REFERENCE names the experiment or its evidence: the address in your browser, a short form such as acme/app#45 or
    ML-12, the hash of a commit, a reference such as github:acme/app#45, or the id of the experiment. If it means
    several subjects, the command lists them.
    """
    run_with_client(address, lambda client: _explain(client, reference, events=events, as_json=as_json))


async def _explain(client: "Client", reference: str, *, events: bool, as_json: bool) -> None:
    from service.commands.client import experiment_path, indented
    from service.presentation.explanation import ExplanationAnswer
    from service.presentation.explanation_text import explanation_text

    path = f"{experiment_path(reference)}/explain"
    document = await client.get(path)
    if as_json:
        click.echo(indented(document))
        return
    shown = client.decode(document, ExplanationAnswer)
    page = shown
    while events and page.next:
        following = await client.get(path, cursor=page.next)
        page = client.decode(following, ExplanationAnswer)
        shown.events += page.events
    click.echo(explanation_text(shown, shutil.get_terminal_size().columns, events=events))

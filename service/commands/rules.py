"""`loopgauge rules`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from service.commands.help_group import HelpGroup
from service.commands.options import AS_JSON
from service.commands.running import fail, require_rules, require_settings
from service.deliveries.delivery import Delivery, source_name
from service.lifecycle.codec import data_of, kind_of
from service.providers import PROVIDERS
from service.rules.model import Interpretation


@click.group(cls=HelpGroup)
def rules() -> None:
    """Check and try rules. Rules decide which events a delivery produces."""


@rules.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@AS_JSON
def check_rules(file: Path, as_json: bool) -> None:
    """Validate a rules file, and print each error with its line and path."""
    checked = require_rules(require_settings(rules=file))
    count = len({rule.name for of_kind in checked.by_kind.values() for rule in of_kind})
    if as_json:
        click.echo(json.dumps({"file": str(file), "rules": count}))
    else:
        click.echo(f"{file}: {count} rules, including the rules that it extends")


@rules.command("try")
@click.option("--source", required=True, help="The name of a source or of a provider.")
@click.option("--header", "header_lines", multiple=True, metavar="'K: V'", help="A header of the delivery; repeatable.")
@click.option("--rules", "file", type=click.Path(path_type=Path), help="A rules file; default: LOOPGAUGE_RULES.")
@click.argument("body", type=click.File("rb"))
@AS_JSON
def try_rules(source: str, header_lines: tuple[str, ...], file: Path | None, body: IO[bytes], as_json: bool) -> None:
    """Print the events that a delivery would produce, and the reason for its status."""
    from service.pipeline.interpret import interpret_delivery

    settings = require_settings(rules=file)
    name = source_name(source)
    provider = settings.sources[name].provider if name in settings.sources else name
    if provider not in PROVIDERS:
        fail(f"{source} is neither a source nor a provider; the providers are {', '.join(PROVIDERS)}")
    if wrong := [line for line in header_lines if ":" not in line]:
        fail(f"expected a header such as 'X-GitHub-Event: issues', got {wrong[0]!r}")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in header_lines)}
    delivery = Delivery(name, provider, "", headers, body.read(), datetime.now(UTC))
    shown = _interpretation(interpret_delivery(require_rules(settings), delivery))
    click.echo(json.dumps(shown, indent=2) if as_json else _in_lines(shown))


def _interpretation(interpretation: Interpretation) -> dict[str, Any]:
    return {
        "verdict": interpretation.verdict,
        "reason": interpretation.reason,
        "events": [
            {
                "subject": stated.event.subject,
                "kind": kind_of(stated.event),
                "occurred_at": stated.event.occurred_at.isoformat(),
                **data_of(stated.event),
                "rule": stated.rule,
            }
            for stated in interpretation.statements
        ],
        "links": [
            {"evidence": link.evidence, "channel": link.channel, "serves": sorted(link.targets)}
            for link in interpretation.links
        ],
        "renamed": [{"old": alias.old, "new": alias.new} for alias in interpretation.aliases],
    }


def _in_lines(shown: Mapping[str, Any]) -> str:
    lines = [f"{shown['verdict']}: {shown['reason']}"]
    for group in ("events", "links", "renamed"):
        for members in shown[group]:
            pairs = " ".join(f"{name}={value}" for name, value in members.items())
            lines.append(f"  {group.removesuffix('s'):7} {pairs}")
    return "\n".join(lines)

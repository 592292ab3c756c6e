"""`loopgauge rules`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from service.commands.helping import Helping
from service.commands.options import AS_JSON
from service.commands.running import fail, usable_rules, usable_settings
from service.deliveries.delivery import Delivery, source_name
from service.lifecycle.codec import data_of, kind_of
from service.pipeline.interpret import interpret_delivery
from service.providers import PROVIDERS
from service.rules.model import Interpretation


@click.group(cls=Helping)
def rules() -> None:
    """The rules that say what deliveries mean."""


@rules.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@AS_JSON
def check_rules(file: Path, as_json: bool) -> None:
    """Validate a rules file; each error carries file, line and path."""
    read = usable_rules(usable_settings(rules=file))
    count = len({rule.name for of_kind in read.by_kind.values() for rule in of_kind})
    if as_json:
        click.echo(json.dumps({"file": str(file), "rules": count}))
    else:
        click.echo(f"{file}: {count} rules, those that it extends included")


@rules.command("try")
@click.option("--source", required=True, help="The source, or a provider.")
@click.option("--header", "header_lines", multiple=True, metavar="'K: V'", help="A header of the delivery; repeatable.")
@click.option("--rules", "file", type=click.Path(path_type=Path), help="A rules file; LOOPGAUGE_RULES if not set.")
@click.argument("body", type=click.File("rb"))
@AS_JSON
def try_rules(source: str, header_lines: tuple[str, ...], file: Path | None, body: IO[bytes], as_json: bool) -> None:
    """What a delivery would become, and why."""
    settings = usable_settings(rules=file)
    name = source_name(source)
    provider = settings.sources[name].provider if name in settings.sources else name
    if provider not in PROVIDERS:
        fail(f"{source} is neither a source nor a provider; providers are {', '.join(PROVIDERS)}")
    if wrong := [line for line in header_lines if ":" not in line]:
        fail(f"expected a header such as 'X-GitHub-Event: issues', got {wrong[0]!r}")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in header_lines)}
    delivery = Delivery(name, provider, "", headers, body.read(), datetime.now(UTC))
    shown = _interpretation(interpret_delivery(usable_rules(settings), delivery))
    click.echo(json.dumps(shown, indent=2) if as_json else _in_lines(shown))


def _interpretation(found: Interpretation) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "events": [
            {
                "subject": said.event.subject,
                "kind": kind_of(said.event),
                "occurred_at": said.event.occurred_at.isoformat(),
                **data_of(said.event),
                "rule": said.rule,
            }
            for said in found.statements
        ],
        "links": [
            {"evidence": link.evidence, "channel": link.channel, "serves": sorted(link.targets)} for link in found.links
        ],
        "renamed": [{"old": alias.old, "new": alias.new} for alias in found.aliases],
    }


def _in_lines(shown: Mapping[str, Any]) -> str:
    lines = [f"{shown['verdict']}: {shown['reason']}"]
    for group in ("events", "links", "renamed"):
        said = (" ".join(f"{name}={value}" for name, value in one.items()) for one in shown[group])
        lines += [f"  {group.removesuffix('s'):7} {one}" for one in said]
    return "\n".join(lines)

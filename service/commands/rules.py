"""`loopgauge rules`."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from service.commands.help_group import HelpGroup
from service.commands.options import AS_JSON
from service.commands.running import require_rules, require_settings

if TYPE_CHECKING:
    from service.deliveries.delivery import Delivery
    from service.rules.model import Interpretation
    from service.rules.near_misses import NearMiss
    from service.settings import Settings


@click.group(cls=HelpGroup)
def rules() -> None:
    """Check and try rules. Rules decide which events a delivery produces."""


@rules.command("check", short_help="Validate a rules file, and print every fault.")
@click.argument("file", type=click.Path(path_type=Path))
@AS_JSON
def check_rules(file: Path, as_json: bool) -> None:
    """Validate a rules file, and print every fault with its place and remedy.

    If there are no faults, the command prints how many rules the file has, and how many packaged rules it extends. Each
    entry of `teams` counts as a rule.

    The exit status is 0 if the file is valid, and 1 if it has faults. A warning is about a rule that never takes
    effect, or that has the name of another rule; warnings do not change the exit status.
    """
    from service.commands.faults import check_file, fail_with_faults, manual, wrap
    from service.commands.table import fit

    checked = check_file(file)
    if as_json:
        click.echo(json.dumps({**checked.document(), "reference": manual("rules.md")}, indent=2))
        sys.exit(1 if checked.faults else 0)
    if checked.faults:
        fail_with_faults(checked.faults)
    click.echo(fit(f"{file}: {checked.counts()}"))
    for warning in checked.warnings:
        click.echo(wrap(f"warning: {warning}"), err=True)


@rules.command("try", short_help="Print what a delivery would produce, and why.")
@click.option("--source", required=True, metavar="SOURCE", help="The name of a source or of a provider.")
@click.option(
    "--header", "header_lines", multiple=True, metavar="'NAME: VALUE'", help="A header of the delivery; repeatable."
)
@click.option(
    "--rules", "file", metavar="FILE", type=click.Path(path_type=Path), help="A rules file; default: LOOPGAUGE_RULES."
)
@click.argument("body", type=click.File("rb"))
@AS_JSON
def try_rules(source: str, header_lines: tuple[str, ...], file: Path | None, body: IO[bytes], as_json: bool) -> None:
    """Print the events that a delivery would produce, and the reason for its status.

    BODY is a file with the body of the delivery; - reads standard input. The exit status is 0 if the delivery counts.
    It is 1 if the delivery does not count, or if a rule or a setting is wrong; it is 2 if the usage is wrong. If the
    delivery does not count, the command prints which rules nearly match it, and the conditions that are not met.
    """
    from service.commands.table import fit
    from service.pipeline.interpret import find_near_misses_of, interpret_delivery

    settings = require_settings(rules=file)
    delivery = _delivery(settings, source, header_lines, body.read())
    ruled = require_rules(settings)
    interpretation = interpret_delivery(ruled, delivery)
    counts = interpretation.verdict == "counted"
    near = [] if counts else find_near_misses_of(ruled, delivery)
    shown = _interpretation(interpretation, near)
    # A title in the body must not control the terminal.
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(map(fit, _in_lines(shown))))
    sys.exit(0 if counts else 1)


def _delivery(settings: "Settings", source: str, header_lines: Sequence[str], body: bytes) -> "Delivery":
    from datetime import UTC, datetime

    from service.deliveries.delivery import Delivery, source_name
    from service.lifecycle.nearest import did_you_mean
    from service.providers import PROVIDERS

    name = source_name(source)
    provider = settings.sources[name].provider if name in settings.sources else name
    if provider not in PROVIDERS:
        hint = did_you_mean(name, [*settings.sources, *PROVIDERS])
        raise click.UsageError(
            f"{source} is neither a source nor a provider; {hint or 'the providers are ' + ', '.join(PROVIDERS)}"
        )
    if wrong := [line for line in header_lines if ":" not in line]:
        raise click.UsageError(f"expected a header such as 'X-GitHub-Event: issues', got {wrong[0]!r}")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in header_lines)}
    return Delivery(name, provider, "", headers, body, datetime.now(UTC))


def _interpretation(interpretation: "Interpretation", near: "Sequence[NearMiss]") -> dict[str, Any]:
    from dataclasses import asdict

    from service.lifecycle.codec import data_of, kind_of

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
        "nearest": list(map(asdict, near)),
    }


def _in_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    yield f"{shown['verdict']}: {shown['reason']}{_missing_header(shown['reason'])}"
    for event in shown["events"]:
        yield f"  would state about {event['subject']}: {_stated(event)} (rule `{event['rule']}`)"
    for link in shown["links"]:
        yield f"  would count {link['evidence']} as evidence for {', '.join(link['serves'])}, by {link['channel']}"
    for alias in shown["renamed"]:
        yield f"  would rename {alias['old']} to {alias['new']}"
    for near in shown["nearest"]:
        yield f"  nearest the rule `{near['rule']}` matches all but {' and '.join(map(_in_words, near['unmet']))}"


def _missing_header(reason: str) -> str:
    """The option that adds the header that a reason names."""
    missing = re.fullmatch(r"header (\S+) is missing", reason)
    return f"; give --header '{missing[1]}: {_EXAMPLES.get(missing[1], 'VALUE')}'" if missing else ""


_EXAMPLES: Mapping[str, str] = {"X-GitHub-Event": "issues"}


def _stated(event: Mapping[str, Any]) -> str:
    """An event in words, such as `outcome failed, by label outcome:failed`."""
    match event["kind"]:
        case "declared" | "withdrawn":
            by = f"{event['channel']} {event.get('label', '')}".strip()
            taken_back = "no longer " if event["kind"] == "withdrawn" else ""
            return f"{taken_back}{event['field']} {event['value'] or '(nothing)'}, by {by}"
        case "refused":
            return f"a refusal: {event['reason']}"
        case kind:
            values = [f"{name} {event[name]}" for name in ("outcome", "result") if name in event]
            return ", ".join([kind, *values])


def _in_words(unmet: Mapping[str, Any]) -> str:
    if not unmet["expected"]:
        return str(unmet["condition"])
    found = "another value" if unmet["found"] is None else " and ".join(f"`{value}`" for value in unmet["found"])
    expected = " or ".join(f"`{value}`" for value in unmet["expected"])
    return f"{unmet['condition']} (expected {expected}, got {found or 'nothing'})"

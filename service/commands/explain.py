"""`loopgauge explain`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from service.commands.options import AS_JSON
from service.commands.running import run, usable_rules, usable_settings
from service.rules.model import Rules
from service.settings import Settings

if TYPE_CHECKING:
    from service.presentation.explanation import ExplanationAnswer, FigureAnswer


@click.command()
@click.argument("reference")
@AS_JSON
def explain(reference: str, as_json: bool) -> None:
    """One experiment, by id or any of its references: every event, its clock, source and rule, and its figures."""
    settings = usable_settings()
    run(_explain(settings, usable_rules(settings), reference, as_json))


async def _explain(settings: Settings, rules: Rules, reference: str, as_json: bool) -> None:
    from service.app import metric_terms, open_database, utc_now
    from service.presentation.explanation import answer
    from service.queries.explain import explain as explain_subject
    from service.queries.explain import find_subject

    terms = metric_terms(settings, rules)
    async with open_database(settings) as database:
        subject = await find_subject(database, reference)
        explanation = await explain_subject(database, subject, terms, utc_now())
    shown = answer(explanation)
    click.echo(shown.model_dump_json(indent=2) if as_json else _explanation(shown))


def _explanation(shown: "ExplanationAnswer") -> str:
    known = shown.experiment.model_dump(mode="json", exclude={"root", "again", "stages"}) if shown.experiment else {}
    told = {name: value["words"] if isinstance(value, dict) else value for name, value in known.items()}
    lines = [shown.subject, *(f"  {name:17} {value}" for name, value in told.items() if value not in (None, ""))]
    for again in shown.experiment.again if shown.experiment else ():
        before = "after it was concluded" if again.concluded else f"quiet for {again.quiet.words}"
        lines.append(f"  taken up again    {again.at:%Y-%m-%d %H:%M:%S}, {before}")
    if shown.why_not:
        since = f", since {shown.excluded.since:%Y-%m-%d %H:%M:%S}" if shown.excluded else ""
        lines.append(f"  no experiment: {shown.why_not}{since}")
    lines += ["", "events (those in brackets do not count for it)"]
    for event in shown.events:
        said = " ".join([event.kind, *(f"{name}={value}" for name, value in event.data.items())])
        when = event.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"  {when}  {event.subject}  {said if event.counts else f'({said})'}")
        for origin in event.origins:
            received = origin.received_at.strftime("%Y-%m-%d %H:%M:%S")
            lines.append(f"    {origin.rule}; {origin.source} {origin.delivery}, received {received}")
    stages = shown.experiment.stages if shown.experiment else {}
    if stages:
        lines += ["", "stages"]
    lines += [f"  {stage:17} {taken.words}" for stage, taken in stages.items()]
    lines += [f"  left out: {one.stage or 'everything'} ({one.reason})" for one in shown.left_out]
    if shown.figures:
        lines += ["", "counts in"]
    lines += [f"  {one}" for one in _selectors(shown.figures)]
    return "\n".join(lines)


def _selectors(figures: "Sequence[FigureAnswer]") -> list[str]:
    """Figures as selectors of PromQL, in one where they differ in nothing but their window and quantile."""
    rows: list[tuple[str, dict[str, tuple[str, ...]]]] = [
        (figure.metric, {name: (value,) for name, value in figure.labels.items()}) for figure in figures
    ]
    for folded in ("window", "q"):
        merged: dict[tuple[str, object], dict[str, tuple[str, ...]]] = {}
        for metric, labels in rows:
            others = tuple((name, values) for name, values in labels.items() if name != folded)
            known = merged.setdefault((metric, others), labels)
            if known is not labels:
                known[folded] += labels[folded]
        rows = [(metric, labels) for (metric, _), labels in merged.items()]
    return [f"{metric}{{{', '.join(_matcher(*label) for label in labels.items())}}}" for metric, labels in rows]


def _matcher(name: str, values: tuple[str, ...]) -> str:
    return f'{name}="{values[0]}"' if len(values) == 1 else f'{name}=~"{"|".join(values)}"'

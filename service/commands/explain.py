"""`loopgauge explain`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from service.commands.address import Address, run_with_client, takes_address
from service.commands.options import AS_JSON

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.presentation.explanation import ExplanationAnswer, FigureAnswer


@click.command()
@click.argument("reference")
@takes_address
@AS_JSON
def explain(reference: str, address: Address, as_json: bool) -> None:
    """Explain an experiment: its events with their times, sources and rules, and the metrics that count it.

    REFERENCE is the id of an experiment, a reference of the experiment, or a reference of its evidence.
    """
    run_with_client(address, lambda client: _explain(client, reference, as_json=as_json))


async def _explain(client: "Client", reference: str, *, as_json: bool) -> None:
    from service.commands.client import experiment_path, indented
    from service.presentation.explanation import ExplanationAnswer

    document = await client.get(f"{experiment_path(reference)}/explain")
    click.echo(indented(document) if as_json else _explanation(client.decode(document, ExplanationAnswer)))


def _explanation(shown: "ExplanationAnswer") -> str:
    lines = [shown.subject, *_experiment_lines(shown), *_event_lines(shown), *_stage_lines(shown)]
    if shown.figures:
        lines += ["", "counts in"]
    lines += [f"  {selector}" for selector in _selectors(shown.figures)]
    return "\n".join(lines)


def _experiment_lines(shown: "ExplanationAnswer") -> Iterator[str]:
    experiment = shown.experiment
    if experiment:
        for name, value in experiment.model_dump(mode="json", exclude={"root", "again", "stages"}).items():
            if value not in (None, ""):
                yield f"  {name:17} {value['words'] if isinstance(value, dict) else value}"
        for restart in experiment.again:
            before = "after it was concluded" if restart.concluded else f"after {restart.quiet.words} without activity"
            yield f"  restarted         {restart.at:%Y-%m-%d %H:%M:%S}, {before}"
    if shown.why_not:
        since = f", since {shown.excluded.since:%Y-%m-%d %H:%M:%S}" if shown.excluded else ""
        yield f"  not an experiment: {shown.why_not}{since}"


def _event_lines(shown: "ExplanationAnswer") -> Iterator[str]:
    yield from ("", "events (events in brackets do not count)")
    for event in shown.events:
        description = " ".join([event.kind, *(f"{name}={value}" for name, value in event.data.items())])
        occurred = event.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        yield f"  {occurred}  {event.subject}  {description if event.counts else f'({description})'}"
        for origin in event.origins:
            received = origin.received_at.strftime("%Y-%m-%d %H:%M:%S")
            yield f"    {origin.rule}; {origin.source} {origin.delivery}, received {received}"


def _stage_lines(shown: "ExplanationAnswer") -> Iterator[str]:
    stages = shown.experiment.stages if shown.experiment else {}
    if stages:
        yield from ("", "stages")
    for stage, duration in stages.items():
        yield f"  {stage:17} {duration.words}"
    for omission in shown.left_out:
        yield f"  omitted: {omission.stage or 'everything'} ({omission.reason})"


def _selectors(figures: "Sequence[FigureAnswer]") -> list[str]:
    """The PromQL selectors that match the samples. Samples that differ only in window and quantile share a selector."""
    rows: list[tuple[str, dict[str, tuple[str, ...]]]] = [
        (figure.metric, {name: (value,) for name, value in figure.labels.items()}) for figure in figures
    ]
    for label in ("window", "q"):
        merged: dict[tuple[str, object], dict[str, tuple[str, ...]]] = {}
        for metric, labels in rows:
            others = tuple((name, values) for name, values in labels.items() if name != label)
            first = merged.setdefault((metric, others), labels)
            if first is not labels:
                first[label] += labels[label]
        rows = [(metric, labels) for (metric, _), labels in merged.items()]
    return [f"{metric}{{{', '.join(_matcher(*pair) for pair in labels.items())}}}" for metric, labels in rows]


def _matcher(name: str, values: tuple[str, ...]) -> str:
    return f'{name}="{values[0]}"' if len(values) == 1 else f'{name}=~"{"|".join(values)}"'

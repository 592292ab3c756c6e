"""The events of an explanation as lines of text, with everything else that is stored about the experiment."""

from collections.abc import Iterator, Sequence

from service.presentation.explanation import ExplanationAnswer, FigureAnswer


def event_lines(shown: ExplanationAnswer) -> Iterator[str]:
    """Everything that the answer has beyond the summary: the experiment's fields, events, stages and samples."""
    yield from ("", "events (events in brackets do not count)")
    for event in shown.events:
        description = " ".join([event.kind, *(f"{name}={_written(value)}" for name, value in event.data.items())])
        occurred = event.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        yield f"  {occurred}  {event.subject}  {description if event.counts else f'({description})'}"
        if why := event.objection or event.outweighed:
            yield f"    no effect: {why}"
        for origin in event.origins:
            received = origin.received_at.strftime("%Y-%m-%d %H:%M:%S")
            yield f"    {origin.rule}; {origin.source} {origin.delivery}, received {received}"
    yield from _experiment_lines(shown)
    yield from _stage_lines(shown)
    if shown.figures:
        yield from ("", "selectors of the samples that count it")
    yield from (f"  {selector}" for selector in _selectors(shown.figures))


def _written(value: object) -> object:
    """A value of an event, or the length of a list, such as the hashed labels that a payload shows."""
    return len(value) if isinstance(value, list) else value


def _experiment_lines(shown: ExplanationAnswer) -> Iterator[str]:
    if shown.experiment is None:
        return
    yield from ("", "experiment")
    for name, value in shown.experiment.model_dump(mode="json", exclude={"root", "again", "stages"}).items():
        if value not in (None, ""):
            yield f"  {name:17} {value['words'] if isinstance(value, dict) else value}"


def _stage_lines(shown: ExplanationAnswer) -> Iterator[str]:
    stages = shown.experiment.stages if shown.experiment else {}
    if stages or shown.left_out:
        yield from ("", "stages")
    for stage, duration in stages.items():
        yield f"  {stage:17} {duration.words}"
    for omission in shown.left_out:
        yield f"  omitted: {omission.stage or 'everything'} ({omission.reason})"


def _selectors(figures: Sequence[FigureAnswer]) -> list[str]:
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

"""An explanation as text: what the experiment is, its timeline, the fields in force, and the metrics that count it.

The text is made from the answer alone, so that it is the same for a local database and for a remote service.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple, TypeAlias
from unicodedata import east_asian_width

import click

from service.lifecycle.durations import describe_duration
from service.metrics.view import NO_TEAM, OTHER_TEAMS
from service.presentation.experiments import ExperimentAnswer
from service.presentation.explanation import ExplanationAnswer, RefusedAnswer
from service.presentation.explanation_events import event_lines
from service.presentation.explanation_metrics import metric_lines
from service.presentation.in_force import FieldAnswer
from service.presentation.timeline import Step, StepAnswer

_NARROWEST = 40
# The room that the later lines of a wrapped text must have, in columns: enough for a few words.
_FEW_WORDS = 24
_LONGEST_TITLE = 240
_LONGEST_VALUE = 120
_MOST_REFUSED = 10
_INDENT = "  "
# Unicode Standard, annex 11: East Asian wide and full-width characters, emoji among them.
_WIDE = "WF"
_FILLER = "\0"
_SHOWN_ABOVE = "url"
_STEPS: dict[Step, str] = {
    "idea": "idea",
    "start": "start",
    "first_result": "first result",
    "answer": "answer",
    "shared": "shared",
    "shipped": "shipped",
}
_FIELDS = {"failure_category": "category", "learning_url": "learning", "experiment": "marked"}


class _Line(NamedTuple):
    """A line of text without colour codes.

    Attributes:
        hang: the column at which the line continues if it is wider than the terminal.
    """

    text: str
    hang: int = 2
    bold: bool = False
    dim: bool = False


Lines: TypeAlias = Iterator[_Line]


def explanation_text(shown: ExplanationAnswer, width: int, *, events: bool = False) -> str:
    """Write an explanation for people, with colour codes. To print elsewhere than to a terminal, strip the codes.

    Args:
        width: the number of columns of the terminal, at which long lines wrap; the text uses at least 40.
        events: whether to add all events, and everything else that is stored about the experiment.
    """
    width = max(width, _NARROWEST)
    parts = (
        _head(shown),
        _section("timeline (UTC)", _timeline(shown.timeline)),
        _section("in force", chain.from_iterable(_field(one) for one in shown.in_force if one.field != _SHOWN_ABOVE)),
        _section("without effect", _all_refused(shown.refused, _MOST_REFUSED if not events else len(shown.refused))),
        _section(_metrics_title(shown), (_Line(line, 6) for line in metric_lines(shown, width - len(_INDENT)))),
        _section("not counted", (_Line(reason, 4) for reason in shown.not_counted)),
        (_Line(line, 6) for line in event_lines(shown)) if events else _more(shown),
    )
    return "\n".join(text for part in parts for line in part for text in _render(line, width))


def _section(title: str, lines: Iterable[_Line]) -> Lines:
    indented = [line._replace(text=f"{_INDENT}{line.text}") for line in lines]
    if indented:
        yield from (_Line(""), _Line(title, bold=True), *indented)


def _head(shown: ExplanationAnswer) -> Lines:
    one = shown.experiment
    if one is None:
        yield _Line(_cut(shown.title, _LONGEST_TITLE) or shown.subject, 0, bold=True)
        yield from [_Line(shown.subject)] if shown.title else []
        yield from map(_Line, _not_an_experiment(shown))
        return
    yield _Line(_cut(one.title, _LONGEST_TITLE) or shown.subject, 0, bold=True)
    if one.url:
        yield _Line(one.url)
    yield _Line(f"{shown.subject}, {f'team {one.team}' if one.team else 'no team'}, id {one.id}")
    yield _Line(_state(one))
    if one.forgotten:
        quiet = describe_duration(shown.as_of - one.last_activity_at)
        yield _Line(
            f"last activity {_time(one.last_activity_at)}, {quiet} ago: forgotten after {shown.forgotten_after.words}"
        )
    for again in one.again:
        before = "after it was concluded" if again.concluded else f"after {again.quiet.words} without activity"
        yield _Line(f"restarted {_time(again.at)}, {before}")


def _not_an_experiment(shown: ExplanationAnswer) -> Iterator[str]:
    excluded = shown.excluded
    said = f", {excluded.said_by.words}" if excluded and excluded.said_by else ""
    since = f", since {_time(excluded.since)}" if excluded else ""
    yield f"not an experiment: {shown.why_not}{said}{since}"
    if shown.remedy:
        yield f"to make it one, {shown.remedy}"
    for root in shown.serves:
        yield f"next: loopgauge explain {root}"


def _state(one: ExperimentAnswer) -> str:
    threshold = f"threshold {one.threshold.words}"
    if one.outcome is None:
        if one.age is None:
            return "open; the idea has a time in the future"
        doing = "running" if one.state == "running" else "not started"
        late = "".join((", overdue" if one.overdue else "", ", forgotten" if one.forgotten else ""))
        return f"open for {one.age.words}, {threshold}: {doing}{late}"
    outcome = f"{one.outcome} ({one.failure_category})" if one.failure_category else one.outcome
    latency = one.stages.get("idea_to_answer")
    if latency is None:
        return f"concluded: {outcome}"
    verdict = "within" if latency.seconds <= one.threshold.seconds else "over"
    return f"concluded: {outcome} after {latency.words}, {threshold}: {verdict}"


def _timeline(steps: Sequence[StepAnswer]) -> Lines:
    spans = list(_spans(steps))
    widest = max(map(len, spans), default=0)
    for step, span in zip(steps, spans, strict=True):
        start = f"{_STEPS[step.step]:12} "
        if step.at is not None:
            start += f"{_time(step.at)} {span:{widest}}  "
        said = step.said_by.words if step.said_by else ""
        yield _Line(f"{start}{', '.join(filter(None, (said, *_remarks(step))))}".rstrip(), len(_INDENT) + len(start))


def _spans(steps: Sequence[StepAnswer]) -> Iterator[str]:
    """The time from the step before to each step; empty for the first step and for a step that has not happened."""
    before: datetime | None = None
    for step in steps:
        yield _signed(step.at - before) if step.at and before else ""
        before = step.at or before


def _remarks(step: StepAnswer) -> Sequence[str]:
    # The head already shows the outcome, which is the first remark about the answer.
    return step.remark.split(", ")[1 if step.step == "answer" and step.at else 0 :]


def _signed(span: timedelta) -> str:
    """The time since the step before, such as `+2 days 20 hours`; negative if the step is earlier."""
    return f"{'-' if span < timedelta(0) else '+'}{describe_duration(abs(span))}"


def _field(field: FieldAnswer) -> Lines:
    name = f"{_FIELDS.get(field.field, field.field):8}"
    hang = len(name) + 4
    if field.value is None:
        yield _Line(f"{name}  none: {field.remark}", hang)
        return
    said = f", {field.said_by.words}" if field.said_by else ""
    since = f", since {_time(field.since)}" if field.since else ""
    remark = f": {field.remark}" if field.remark else ""
    yield _Line(f"{name}  {_value(field.value)}{said}{since}{remark}", hang)
    overruled: dict[str, list[str]] = {}
    for other in field.overrules:
        overruled.setdefault(other.value, []).append(other.said_by.words)
    for value, words in overruled.items():
        yield _Line(f"{'':8}  overrules {_value(value)}, {' and '.join(dict.fromkeys(words))}", hang)


def _all_refused(refused: Sequence[RefusedAnswer], most: int) -> Lines:
    """The latest of the commands and labels without effect."""
    earlier = max(len(refused) - most, 0)
    if earlier:
        yield _Line(f"{earlier} earlier: --events shows {'it' if earlier == 1 else 'them'}", dim=True)
    yield from chain.from_iterable(map(_refused, refused[earlier:]))


def _refused(one: RefusedAnswer) -> Lines:
    yield _Line(f"{_time(one.occurred_at)}  {one.channel} on {one.subject}: {one.reason}", 4)
    for origin in one.origins:
        yield _Line(f"  {origin.source} {origin.delivery}", dim=True)


def _value(value: str) -> str:
    return "yes" if value == "true" else _cut(value, _LONGEST_VALUE)


def _metrics_title(shown: ExplanationAnswer) -> str:
    whose = {NO_TEAM: "without a team", OTHER_TEAMS: "of the other teams"}.get(shown.row, f"of team {shown.row}")
    return f"counts in these metrics {whose}, and in those of all teams"


def _more(shown: ExplanationAnswer) -> Lines:
    if shown.events:
        yield _Line("")
        number = f"more than {len(shown.events):,}" if shown.next else len(shown.events)
        yield _Line(f"--events shows all events ({number}), with rules and deliveries.", dim=True)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _render(line: _Line, width: int) -> Iterator[str]:
    # A title or label may contain control characters, which would command the terminal.
    text = "".join(char if char.isprintable() else "\ufffd" for char in line.text)
    # A wide character takes two columns, so count it as two.
    measured = "".join(f"{char}{_FILLER}" if east_asian_width(char) in _WIDE else char for char in text)
    wrapped = [text] if len(measured) <= width else _wrap(measured, width, line.hang)
    for part in (part.replace(_FILLER, "") for part in wrapped):
        yield click.style(part, bold=line.bold or None, dim=line.dim or None) if line.bold or line.dim else part


def _wrap(text: str, width: int, hang: int) -> list[str]:
    # Keep the spaces of the first line, which align its columns.
    indent = " " * (len(text) - len(text.lstrip()))
    later = " " * min(max(hang, len(indent)), max(width - _FEW_WORDS, len(indent)))
    return textwrap.wrap(text, width, subsequent_indent=later, break_on_hyphens=False)

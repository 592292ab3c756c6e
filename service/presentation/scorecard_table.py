"""The scorecard as a table: each value with the size of its sample and its previous value."""

import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import click

from service.lifecycle.durations import measure_duration
from service.lifecycle.stages import STAGE_NAMES
from service.lifecycle.taxonomy import FailureCategory
from service.metrics.view import NO_TEAM, ORGANISATION, OTHER_TEAMS
from service.scorecard.figure import Categories, Count, Figure, Moment, OfCategory, Scorecard, Share

_LABEL, _VALUE, _SAMPLE, _WIDEST = 25, 29, 8, 100
_INDENT = "  "
_BAR = 4
_PARTS = " ▏▎▍▌▋▊▉█"
_TEAMS = {ORGANISATION: "all teams", NO_TEAM: "no team", OTHER_TEAMS: "other teams"}
_UNKNOWN = "not known yet"

Lines: TypeAlias = Iterator[str]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table.

    Attributes:
        text: the value as text; empty if there is no value.
        sample: the size of the sample, or an empty text if the value is itself a number of experiments.
        previous: the previous value and the direction of the change, or an empty text.
        reason: the reason why there is no value.
        too_few: whether the reason is the size of the sample.
    """

    label: str
    text: str
    sample: str = ""
    previous: str = ""
    reason: str = ""
    colour: str | None = None
    too_few: bool = False


def table(card: Scorecard, width: int, *, names_options: bool = True) -> str:
    """Format a scorecard as lines with colour codes. To print elsewhere than to a terminal, strip the codes.

    Args:
        width: the number of columns of the terminal; the table uses at least 80 and at most 100.
        names_options: whether the last lines name the options of the command.
    """
    lines = _Table(card, min(max(width, 80), _WIDEST)).lines(names_options=names_options)
    return "\n".join(lines)


def team_in_words(team: str) -> str:
    """A team's name as people read it, from the value of the label `team`."""
    return _TEAMS.get(team, _printable(team))


def _printable(team: str) -> str:
    # A label names the team, and may contain control characters, which would command the terminal.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in team)


class _Table:
    def __init__(self, card: Scorecard, width: int) -> None:
        self._card = card
        self._width = width

    def lines(self, *, names_options: bool) -> Lines:
        card = self._card
        name = team_in_words(card.team)
        until = card.taken_at.strftime("%Y-%m-%d %H:%M UTC")
        for line in textwrap.wrap(f"{name}, {card.window} up to {until}", self._width, break_on_hyphens=False):
            yield click.style(line, bold=True)
        if not card.teams:
            yield "No experiment yet. `loopgauge deliveries list` shows what arrived."
            return
        for title, lines in (
            ("How long from the idea to knowing whether it worked?", self._idea_to_answer()),
            ("When did someone last share a failed experiment?", self._sharing()),
            ("Which of Edmondson's groups of failures is the biggest?", self._failures()),
            ("Bold or safe?", self._bold_or_safe()),
            ("Open, repeated and abandoned experiments", self._loops()),
        ):
            yield ""
            yield click.style(title, bold=True)
            yield from lines
        yield ""
        yield from self._dimmed(f"n: the number of experiments behind a value; was: the value {card.window} earlier.")
        if names_options and card.team == ORGANISATION:
            yield from self._options()

    def _idea_to_answer(self) -> Lines:
        asked = self._card.idea_to_answer
        whose = "default threshold" if self._card.team == ORGANISATION else "threshold"
        yield from self._line(_Row(whose, asked.threshold.words))
        yield from self._block(
            self._duration("median", asked.median),
            self._duration("p90", asked.p90),
            self._row("within the threshold", asked.answered_within_threshold),
        )
        estimated = asked.with_open_loops
        yield click.style(f"{_INDENT}including open and abandoned experiments (estimated)", dim=True)
        yield from self._block(
            self._duration("median", estimated.median),
            self._duration("p90", estimated.p90),
            self._within(estimated.answered_by_threshold),
        )
        yield click.style(f"{_INDENT}each stage (median)", dim=True)
        longest = max((stage.median.value or 0 for stage in asked.stages), default=0)
        yield from self._block(
            *(self._row(STAGE_NAMES[one.stage], one.median, _bar(one.median.value, longest)) for one in asked.stages)
        )

    def _sharing(self) -> Lines:
        asked = self._card.sharing
        yield from self._block(self._row("last failure shared", asked.last_failure_shared))
        yield from self._line(_counted("learnings shared", asked.learnings_shared))
        yield from self._line(_counted("failed", asked.failed, "answered"))

    def _failures(self) -> Lines:
        biggest = self._card.failures.biggest
        yield from self._biggest(biggest)
        if biggest.value is not None:
            for of_category in self._card.failures.categories:
                yield from self._line(_category(of_category))

    def _biggest(self, biggest: Categories) -> Lines:
        """The biggest group, or several on a tie. The previous groups have a line of their own: both may be long."""
        value, before = biggest.value or [], biggest.previous.value or []
        same = "as before" if value and value == before else ""
        label = "biggest groups" if len(value) > 1 else "biggest group"
        yield from self._line(_Row(label, _listed(value), previous=same, reason=biggest.reason or ""))
        if before and value != before:
            yield from self._line(_Row(f"{self._card.window} earlier", _listed(before)))

    def _bold_or_safe(self) -> Lines:
        asked = self._card.bold_or_safe
        if not asked.undeclared.n:
            yield from self._line(_Row(_UNKNOWN, "", reason="none proposed"))
            return
        if not (asked.bold.value or asked.safe.value):
            yield from self._line(_counted("undeclared", asked.undeclared, "proposed"))
            return
        share = asked.share_of_bold
        yield from self._block(self._row("share of bold", share, f", {share.words}" if share.words else ""))
        for label, count in (("bold", asked.bold), ("safe", asked.safe), ("undeclared", asked.undeclared)):
            yield from self._line(_counted(label, count, "proposed"))
        yield from self._block(
            self._row("wait before start, bold", asked.bold_pickup_median),
            self._row("wait before start, safe", asked.safe_pickup_median),
        )

    def _loops(self) -> Lines:
        asked = self._card.loops
        yield from self._line(_counted("open", asked.open))
        yield from self._line(_counted("overdue", asked.overdue, "open"))
        yield from self._line(_counted("forgotten", asked.forgotten, "open"))
        yield from self._line(_counted("repeated", asked.repeated))
        yield from self._block(self._row("abandoned of concluded", asked.abandoned))

    def _options(self) -> Lines:
        teams = [shlex.quote(_printable(team)) for team in self._card.teams if team != self._card.team]
        if teams:
            named = teams[0] if len(teams) == 1 else f"with one of {', '.join(teams)}"
            yield from self._dimmed(f"For a single team, add --team {named}.")

    def _dimmed(self, text: str) -> Iterable[str]:
        return (click.style(line, dim=True) for line in textwrap.wrap(text, self._width, break_on_hyphens=False))

    def _block(self, *rows: _Row) -> Lines:
        """Print the rows with a value, and one row for all rows that have no value."""
        missing = [row for row in rows if not row.text]
        if len(missing) > 1:
            combined = _combine(missing, self._card.minimum_sample, all_missing=len(missing) == len(rows))
            rows = (*(row for row in rows if row.text), combined)
        for row in rows:
            yield from self._line(row)

    def _row(self, label: str, figure: Figure[Any], more: str = "") -> _Row:
        """A row with the value of a figure, or with the reason why there is no value.

        Args:
            more: text to show after the value.
        """
        previous = _previous(figure)
        if figure.value is None:
            few = figure.n < self._card.minimum_sample
            return _Row(label, "", previous=previous, reason=figure.reason or "", too_few=few)
        sample = "" if isinstance(figure, Moment) else f"n {figure.n}"
        return _Row(label, f"{_text(figure)}{more}", sample, previous)

    def _duration(self, label: str, figure: Figure[float]) -> _Row:
        """A row with a duration beside the threshold: yellow if it is longer, otherwise green."""
        row, threshold = self._row(label, figure), self._card.idea_to_answer.threshold
        if figure.value is None:
            return row
        beside = f"{_distinct(figure.value, threshold.seconds)}, threshold {threshold.words}"
        return replace(row, text=beside, colour="green" if figure.value <= threshold.seconds else "yellow")

    def _within(self, share: Figure[float]) -> _Row:
        """The estimated share within the threshold, with the words that say that it is a lower bound."""
        row = self._row("within the threshold", share)
        return replace(row, text=share.words) if share.words else row

    def _line(self, row: _Row) -> Lines:
        if not row.text:
            yield from self._reason(row)
            return
        value, size = f"{row.text:{_VALUE - 1}} ", f"{row.sample:{_SAMPLE - 1}} "
        start = f"{_INDENT}{row.label:{_LABEL}}{click.style(value, fg=row.colour) if row.colour else value}"
        if len(_INDENT) + _LABEL + len(value) + len(size) + len(row.previous) <= self._width:
            end = (size + row.previous).rstrip()
            yield start + click.style(end, dim=True) if end else start.rstrip()
            return
        yield f"{start}{click.style(size.rstrip(), dim=True)}" if row.sample else start.rstrip()
        yield _INDENT + " " * _LABEL + click.style(row.previous, dim=True)

    def _reason(self, row: _Row) -> Lines:
        width = self._width - len(_INDENT) - _LABEL
        reason = "; ".join(filter(None, (row.reason, row.previous)))
        for index, line in enumerate(textwrap.wrap(reason, width, break_on_hyphens=False)):
            yield f"{_INDENT}{'' if index else row.label:{_LABEL}}{click.style(line, dim=True)}"


def _combine(missing: Sequence[_Row], minimum: int, *, all_missing: bool) -> _Row:
    """One row in place of the rows without a value: the reason if it is the same for all, otherwise labels too."""
    if all_missing and len({row.reason for row in missing}) == 1:
        return _Row(_UNKNOWN, "", reason=missing[0].reason)
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for row in missing:
        by_reason[f"fewer than {minimum} experiments" if row.too_few else row.reason].append(row.label)
    if all_missing and len(by_reason) == 1:
        return _Row(_UNKNOWN, "", reason=f"{next(iter(by_reason))} for each value")
    reasons = "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in by_reason.items())
    return _Row(_UNKNOWN, "", reason=reasons)


def _distinct(seconds: float, threshold: float) -> str:
    """A duration in words. If the duration differs from the threshold, its words differ from those of the threshold."""
    text = measure_duration(seconds)
    if seconds == threshold or text != measure_duration(threshold):
        return text
    return f"just {'over' if seconds > threshold else 'under'} {text}"


def _counted(label: str, count: Count, population: str = "") -> _Row:
    """A row with a number of experiments, and with the number of experiments in the population, if there is one."""
    if count.value is None:
        return _Row(label, "", previous=_previous(count), reason=count.reason or "")
    if not (population and count.n):
        return _Row(label, str(count.value), previous=_previous(count))
    return _Row(label, f"{count.value} of {count.n} {population}", previous=_previous_part(count))


def _category(of_category: OfCategory) -> _Row:
    count, share = of_category.count, of_category.share_of_answered
    if share.value is None:
        return _Row(str(of_category.category), f"{count.value} of {count.n} failed", previous=_previous(count))
    text = f"{_percent(share.value)} ({count.value} of {share.n} answered)"
    return _Row(str(of_category.category), text, previous=_previous(share))


def _text(figure: Figure[Any]) -> str:
    number = _number(figure, figure.value)
    return f"{figure.words} ({number})" if isinstance(figure, Moment) and figure.words else number


def _previous(figure: Figure[Any]) -> str:
    """The previous value, with an arrow that shows the direction of the change."""
    previous = figure.previous.value
    if previous is None:
        return ""
    number = _number(figure, previous)
    # Compare the rounded numbers: if rounding hides the difference, an arrow would be confusing.
    if figure.value is not None and number == _number(figure, figure.value):
        return "as before"
    if isinstance(figure, Moment) or figure.value is None:
        return f"was {number}"
    return f"{'↑' if figure.value > previous else '↓'} was {number}"


def _previous_part(count: Count) -> str:
    """The previous number with its population. If the population changed too, an arrow would mislead."""
    previous = count.previous
    if previous.value is None or not previous.n or (previous.value, previous.n) == (count.value, count.n):
        return _previous(count)
    return f"was {previous.value} of {previous.n}"


def _number(figure: Figure[Any], value: Any) -> str:
    if isinstance(figure, Moment):
        return f"{value:%Y-%m-%d}"
    if isinstance(figure, Count):
        return str(value)
    return _percent(value) if isinstance(figure, Share) else measure_duration(value)


def _listed(groups: Sequence[FailureCategory]) -> str:
    """The groups as people list them: `intelligent, basic and complex`."""
    return " and ".join(filter(None, (", ".join(groups[:-1]), *groups[-1:])))


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _bar(value: float | None, longest: float) -> str:
    eighths = round(_BAR * 8 * value / longest) if value and longest else 0
    whole, part = divmod(eighths, 8)
    return f" {'█' * whole}{_PARTS[part] if part else ''}".rstrip()

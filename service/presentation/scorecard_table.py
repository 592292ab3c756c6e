"""The scorecard as a table: each value in words and numbers, with the size of its sample and its previous value."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import click

from service.lifecycle.stages import STAGE_NAMES
from service.metrics.view import NO_TEAM, ORGANISATION, OTHER_TEAMS
from service.scorecard.figure import Categories, Count, Figure, Moment, OfCategory, Scorecard, Share

_LABEL, _VALUE, _SAMPLE, _WIDEST = 29, 27, 8, 100
_INDENT = "  "
_HOUR = 3600.0
_DAY = 24 * _HOUR
_BAR = 4
_PARTS = " ▏▎▍▌▋▊▉█"
_TEAMS = {ORGANISATION: "all teams", NO_TEAM: "no team", OTHER_TEAMS: "other teams"}

Lines: TypeAlias = Iterator[str]


def table(card: Scorecard, width: int) -> str:
    """Format a scorecard as lines with colour codes. To print elsewhere than to a terminal, strip the codes.

    Args:
        width: the number of columns of the terminal; the table uses at least 80 and at most 100.
    """
    return "\n".join(_Table(card, min(max(width, 80), _WIDEST)).lines())


class _Table:
    def __init__(self, card: Scorecard, width: int) -> None:
        self._card = card
        self._width = width

    def lines(self) -> Lines:
        card = self._card
        name = _TEAMS.get(card.team, card.team)
        until = card.taken_at.strftime("%Y-%m-%d %H:%M UTC")
        yield f"{click.style(name, bold=True)}, {card.window} up to {until}"
        if not card.teams:
            yield "No experiment yet. `loopgauge deliveries list` shows what arrived."
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
        yield from self._legend()

    def _idea_to_answer(self) -> Lines:
        asked = self._card.idea_to_answer
        threshold = asked.threshold.seconds
        whose = "the default threshold" if self._card.team == ORGANISATION else "the threshold"
        yield f"{_INDENT}{whose:{_LABEL}}{asked.threshold.words} ({_length(threshold)})"
        yield from self._row("median", asked.median, over=threshold)
        yield from self._row("p90", asked.p90, over=threshold)
        yield from self._row("within the team's threshold", asked.answered_within_threshold)
        yield click.style(f"{_INDENT}including open and abandoned experiments (estimated)", dim=True)
        yield from self._row("estimated median", asked.with_open_loops.median, over=threshold)
        yield from self._row("estimated p90", asked.with_open_loops.p90, over=threshold)
        yield from self._row("answered by the threshold", asked.with_open_loops.answered_by_threshold)
        yield click.style(f"{_INDENT}each stage (median)", dim=True)
        longest = max((stage.median.value or 0 for stage in asked.stages), default=0)
        for stage in asked.stages:
            bar = _bar(stage.median.value, longest)
            yield from self._row(f"{STAGE_NAMES[stage.stage]:23} {bar}", stage.median)

    def _sharing(self) -> Lines:
        asked = self._card.sharing
        yield from self._row("last failure shared", asked.last_failure_shared)
        yield from self._row("learnings shared", asked.learnings_shared)
        yield from self._row("failed, of all answered", asked.failed)

    def _failures(self) -> Lines:
        yield from self._row("biggest group", self._card.failures.biggest)
        for of_category in self._card.failures.categories:
            yield from self._category(of_category)

    def _category(self, of_category: OfCategory) -> Lines:
        count, share = of_category.count, of_category.share_of_answered
        text = f"{count.value}" if share.value is None else f"{count.value} ({_percent(share.value)} of answers)"
        yield from self._line(str(of_category.category), text, share.n, _previous(count))

    def _bold_or_safe(self) -> Lines:
        asked = self._card.bold_or_safe
        yield from self._row("share of bold", asked.share_of_bold)
        yield from self._row("bold", asked.bold)
        yield from self._row("safe", asked.safe)
        yield from self._row("undeclared", asked.undeclared)
        yield from self._row("wait before start, bold", asked.bold_pickup_median)
        yield from self._row("wait before start, safe", asked.safe_pickup_median)

    def _loops(self) -> Lines:
        asked = self._card.loops
        yield from self._row("open", asked.open)
        yield from self._row("overdue", asked.overdue)
        yield from self._row("forgotten", asked.forgotten)
        yield from self._row("repeated", asked.repeated)
        yield from self._row("abandoned, of all concluded", asked.abandoned)

    def _legend(self) -> Lines:
        yield from self._dimmed(
            f"n: the number of experiments behind a value; was: the value {self._card.window} earlier."
        )
        others = [team for team in self._card.teams if team != self._card.team]
        if others and self._card.team == ORGANISATION:
            yield from self._dimmed(f"For a single team, add --team with one of {', '.join(others)}.")

    def _dimmed(self, text: str) -> Iterable[str]:
        return (click.style(line, dim=True) for line in textwrap.wrap(text, self._width, break_on_hyphens=False))

    def _row(self, label: str, figure: Figure[Any], over: float | None = None) -> Lines:
        """Format a figure: its value, or the reason why there is no value.

        Args:
            over: a limit in seconds; a longer time is yellow, a shorter or equal time is green.
        """
        if figure.value is None:
            yield from self._reason(label, figure)
            return
        colour = None if over is None else "green" if figure.value <= over else "yellow"
        yield from self._line(label, _text(figure), figure.n, _previous(figure), colour)

    def _line(self, label: str, text: str, sample: int, previous: str, colour: str | None = None) -> Lines:
        value, size = f"{text:{_VALUE - 1}} ", f"{f'n {sample}':{_SAMPLE - 1}} "
        start = f"{_INDENT}{label:{_LABEL}}{click.style(value, fg=colour)}"
        if len(_INDENT) + _LABEL + len(value) + len(size) + len(previous) <= self._width:
            yield start + click.style((size + previous).rstrip(), dim=True)
            return
        yield start + click.style(size.rstrip(), dim=True)
        yield _INDENT + " " * _LABEL + click.style(previous, dim=True)

    def _reason(self, label: str, figure: Figure[Any]) -> Lines:
        reason = "; ".join(filter(None, [figure.reason, _previous(figure)]))
        width = self._width - len(_INDENT) - _LABEL
        for index, line in enumerate(textwrap.wrap(reason, width, break_on_hyphens=False)):
            yield f"{_INDENT}{'' if index else label:{_LABEL}}{click.style(line, dim=True)}"


def _text(figure: Figure[Any]) -> str:
    number = _number(figure, figure.value)
    if isinstance(figure, Moment):
        return figure.words or number
    return f"{figure.words} ({number})" if figure.words else number


def _previous(figure: Figure[Any]) -> str:
    """The previous value, with an arrow that shows the direction of the change."""
    previous = figure.previous.value
    if previous is None:
        return ""
    number = _number(figure, previous)
    # Compare the rounded numbers: if rounding hides the difference, an arrow would be confusing.
    if figure.value is not None and number == _number(figure, figure.value):
        return "as before"
    if isinstance(figure, Moment | Categories) or figure.value is None:
        return f"was {number}"
    return f"{'↑' if figure.value > previous else '↓'} was {number}"


def _number(figure: Figure[Any], value: Any) -> str:
    if isinstance(figure, Moment):
        return f"{value:%Y-%m-%d}"
    if isinstance(figure, Categories):
        return ", ".join(value)
    if isinstance(figure, Count):
        return str(value)
    return _percent(value) if isinstance(figure, Share) else _length(value)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _length(seconds: float) -> str:
    if seconds < _HOUR:
        return f"{60 * seconds / _HOUR:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} d" if seconds < 100 * _DAY else f"{seconds / _DAY:.0f} d"


def _bar(value: float | None, longest: float) -> str:
    eighths = round(_BAR * 8 * value / longest) if value and longest else 0
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (_PARTS[part] if part else "")).ljust(_BAR)

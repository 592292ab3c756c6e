"""The scorecard as a table: words before numbers, and beside each figure what it rests on and what it was."""

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
_TEAMS = {ORGANISATION: "the organisation", NO_TEAM: "no team named", OTHER_TEAMS: "further teams"}

Lines: TypeAlias = Iterator[str]


def table(card: Scorecard, width: int) -> str:
    """The scorecard in lines, with colours, which whoever prints it elsewhere than on a terminal takes off.

    Args:
        width: how many columns there are; 80 are enough.
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
            yield "No experiment is known yet: `loopgauge deliveries list` tells what was sent."
        for title, lines in (
            ("How long from the idea to knowing whether it worked?", self._idea_to_answer()),
            ("When did someone last share a failed experiment?", self._sharing()),
            ("Which of Edmondson's groups of failures is the biggest?", self._failures()),
            ("Bold or safe?", self._bold_or_safe()),
            ("Around them", self._loops()),
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
        yield from self._row("half of the answers within", asked.median, over=threshold)
        yield from self._row("9 in 10 within", asked.p90, over=threshold)
        yield from self._row("within their own threshold", asked.answered_within_threshold)
        yield click.style(f"{_INDENT}with loops counted that are open or were abandoned", dim=True)
        yield from self._row("half answered within", asked.with_open_loops.median, over=threshold)
        yield from self._row("9 in 10 answered within", asked.with_open_loops.p90, over=threshold)
        yield from self._row("answered by the threshold", asked.with_open_loops.answered_by_threshold)
        yield click.style(f"{_INDENT}where the time goes (medians)", dim=True)
        longest = max((stage.median.value or 0 for stage in asked.stages), default=0)
        for stage in asked.stages:
            bar = _bar(stage.median.value, longest)
            yield from self._row(f"{STAGE_NAMES[stage.stage]:23} {bar}", stage.median)

    def _sharing(self) -> Lines:
        asked = self._card.sharing
        yield from self._row("last shared", asked.last_failure_shared)
        yield from self._row("learnings shared", asked.learnings_shared)
        yield from self._row("failed, of the answered", asked.failed)

    def _failures(self) -> Lines:
        yield from self._row("the biggest", self._card.failures.biggest)
        for one in self._card.failures.categories:
            yield from self._category(one)

    def _category(self, one: OfCategory) -> Lines:
        share = one.share_of_answered.value
        said = f"{one.count.value} ({_percent(share)} of answers)" if share is not None else f"{one.count.value}"
        yield from self._line(str(one.category), said, one.share_of_answered.n, _was(one.count))

    def _bold_or_safe(self) -> Lines:
        asked = self._card.bold_or_safe
        yield from self._row("bold, of bold and safe", asked.share_of_bold)
        yield from self._row("bold", asked.bold)
        yield from self._row("safe", asked.safe)
        yield from self._row("nobody said which", asked.undeclared)
        yield from self._row("a bold idea waits for", asked.bold_pickup_median)
        yield from self._row("a safe idea waits for", asked.safe_pickup_median)

    def _loops(self) -> Lines:
        asked = self._card.loops
        yield from self._row("open", asked.open)
        yield from self._row("overdue", asked.overdue)
        yield from self._row("forgotten", asked.forgotten)
        yield from self._row("started again", asked.repeated)
        yield from self._row("abandoned, of the concluded", asked.abandoned)

    def _legend(self) -> Lines:
        earlier = f"n: on how many experiments a figure rests; was: the same {self._card.window} earlier."
        yield from self._dimmed(earlier)
        others = [team for team in self._card.teams if team != self._card.team]
        if others and self._card.team == ORGANISATION:
            yield from self._dimmed(f"For one team: --team with one of {', '.join(others)}.")

    def _dimmed(self, text: str) -> Iterable[str]:
        return (click.style(line, dim=True) for line in textwrap.wrap(text, self._width, break_on_hyphens=False))

    def _row(self, label: str, figure: Figure[Any], over: float | None = None) -> Lines:
        """A figure's line, or several where it tells why there is none.

        Args:
            over: a time in seconds, beyond which the figure's has another colour.
        """
        if figure.value is None:
            yield from self._reason(label, figure)
            return
        colour = None if over is None else "green" if figure.value <= over else "yellow"
        yield from self._line(label, _said(figure), figure.n, _was(figure), colour)

    def _line(self, label: str, said: str, sample: int, was: str, colour: str | None = None) -> Lines:
        value, resting = f"{said:{_VALUE - 1}} ", f"{f'n {sample}':{_SAMPLE - 1}} "
        begin = f"{_INDENT}{label:{_LABEL}}{click.style(value, fg=colour)}"
        if len(_INDENT) + _LABEL + len(value) + len(resting) + len(was) <= self._width:
            yield begin + click.style((resting + was).rstrip(), dim=True)
            return
        yield begin + click.style(resting.rstrip(), dim=True)
        yield _INDENT + " " * _LABEL + click.style(was, dim=True)

    def _reason(self, label: str, figure: Figure[Any]) -> Lines:
        told = f"{figure.reason}" + (f"; {_was(figure)}" if _was(figure) else "")
        room = self._width - len(_INDENT) - _LABEL
        for place, line in enumerate(textwrap.wrap(told, room, break_on_hyphens=False)):
            yield f"{_INDENT}{'' if place else label:{_LABEL}}{click.style(line, dim=True)}"


def _said(figure: Figure[Any]) -> str:
    number = _number(figure, figure.value)
    if isinstance(figure, Moment):
        return figure.words or number
    return f"{figure.words} ({number})" if figure.words else number


def _was(figure: Figure[Any]) -> str:
    """What a figure was, with an arrow that says which way it went since."""
    before = figure.previous.value
    if before is None:
        return ""
    was = _number(figure, before)
    # What is the same in print has not changed to whoever reads it.
    if figure.value is not None and was == _number(figure, figure.value):
        return "as before"
    if isinstance(figure, Moment | Categories) or figure.value is None:
        return f"was {was}"
    return f"{'↑' if figure.value > before else '↓'} was {was}"


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

"""The scorecard as a table, question by question."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import click

from service.lifecycle.stages import STAGE_NAMES
from service.metrics.view import NO_TEAM, ORGANISATION, OTHER_TEAMS
from service.presentation.scorecard_rows import (
    UNKNOWN,
    Row,
    bar,
    category_row,
    combine,
    counted,
    distinct,
    figure_row,
    listed,
)
from service.scorecard.figure import Categories, Figure, Scorecard

_LABEL, _VALUE, _SAMPLE, _WIDEST = 25, 29, 8, 100
_INDENT = "  "
_TEAMS = {ORGANISATION: "all teams", NO_TEAM: "no team", OTHER_TEAMS: "other teams"}

Lines: TypeAlias = Iterator[str]


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
        self._minimum = card.minimum_sample
        self._width = width
        # Whether a printed row has the size of its sample, and whether one has a previous value.
        self._has_sample = self._has_previous = False

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
        yield from self._dimmed(" ".join(self._legend()))
        if names_options and card.team == ORGANISATION:
            yield from self._options()

    def _legend(self) -> Iterator[str]:
        """The sentences about the terms in the rows."""
        terms = {
            "n: the number of experiments behind a value": self._has_sample,
            f"was: the value {self._card.window} earlier": self._has_previous,
        }
        if shown := "; ".join(term for term, is_shown in terms.items() if is_shown):
            yield f"{shown}."
        if self._card.sharing.failed.n < self._minimum:
            yield (
                f"A median or share of fewer than {self._minimum} experiments says nothing about the next "
                "ones, so none is shown."
            )

    def _idea_to_answer(self) -> Lines:
        asked, estimated = self._card.idea_to_answer, self._card.idea_to_answer.with_open_loops
        whose = "default threshold" if self._card.team == ORGANISATION else "threshold"
        yield from self._line(Row(whose, asked.threshold.words))
        exact = (
            self._duration("median", asked.median),
            self._duration("p90", asked.p90),
            self._row("within the threshold", asked.answered_within_threshold),
        )
        with_open = (
            self._duration("median", estimated.median),
            self._duration("p90", estimated.p90),
            self._within(estimated.answered_by_threshold),
        )
        longest = max((stage.median.value or 0 for stage in asked.stages), default=0)
        stages = [self._row(STAGE_NAMES[one.stage], one.median, bar(one.median.value, longest)) for one in asked.stages]
        if not any(row.text for row in (*exact, *with_open, *stages)):
            yield from self._line(Row(UNKNOWN, "", reason=self._little_known(asked.median.n, estimated.median.n)))
            return
        yield from self._block(*exact)
        yield click.style(f"{_INDENT}including open and abandoned experiments (estimated)", dim=True)
        yield from self._block(*with_open)
        yield click.style(f"{_INDENT}each stage (median)", dim=True)
        yield from self._block(*stages)

    def _little_known(self, answered: int, proposed: int) -> str:
        """The reason why no duration is known."""
        if not proposed:
            return "none proposed" if not answered else f"only {answered} answered, fewer than {self._minimum}"
        begin = f"only {answered} answered and" if answered else "none answered, and only"
        return f"{begin} {proposed} proposed, fewer than {self._minimum}"

    def _sharing(self) -> Lines:
        asked = self._card.sharing
        last = self._row("last failure shared", asked.last_failure_shared)
        if not last.text and not asked.failed.value:
            last = replace(last, reason=f"none yet; none failed in {self._card.window}")
        yield from self._line(last)
        yield from self._line(counted("learnings shared", asked.learnings_shared))
        yield from self._line(counted("failed", asked.failed, "answered"))

    def _failures(self) -> Lines:
        biggest = self._card.failures.biggest
        yield from self._biggest(biggest)
        if biggest.value is not None:
            for of_category in self._card.failures.categories:
                # Omit empty categories while the failures are few.
                if of_category.count.value or not self._is_few(biggest):
                    yield from self._line(category_row(of_category))

    def _is_few(self, figure: Figure[Any]) -> bool:
        return figure.n < self._minimum

    def _biggest(self, biggest: Categories) -> Lines:
        """The biggest group, or several on a tie. The previous groups have a line of their own: both may be long."""
        value, before = biggest.value or [], biggest.previous.value or []
        same = "as before" if value and value == before else ""
        label = "biggest groups" if len(value) > 1 else "biggest group"
        few = f" (only {biggest.n} failed)" if value and self._is_few(biggest) else ""
        yield from self._line(Row(label, f"{listed(value)}{few}", previous=same, reason=biggest.reason or ""))
        if before and value != before:
            yield from self._line(Row(f"{self._card.window} earlier", listed(before)))

    def _bold_or_safe(self) -> Lines:
        asked = self._card.bold_or_safe
        if not asked.undeclared.n:
            yield from self._line(Row(UNKNOWN, "", reason="none proposed"))
            return
        if not (asked.bold.value or asked.safe.value):
            yield from self._line(counted("undeclared", asked.undeclared, "proposed"))
            return
        share = asked.share_of_bold
        yield from self._line(self._row("share of bold", share, f", {share.words}" if share.words else ""))
        for label, count in (("bold", asked.bold), ("safe", asked.safe), ("undeclared", asked.undeclared)):
            yield from self._line(counted(label, count, "proposed"))
        yield from self._block(
            self._row("wait before start, bold", asked.bold_pickup_median),
            self._row("wait before start, safe", asked.safe_pickup_median),
            label="wait before start",
        )

    def _loops(self) -> Lines:
        asked = self._card.loops
        yield from self._line(counted("open", asked.open))
        yield from self._line(counted("overdue", asked.overdue, "open"))
        yield from self._line(counted("forgotten", asked.forgotten, "open"))
        yield from self._line(counted("repeated", asked.repeated))
        yield from self._line(self._row("abandoned of concluded", asked.abandoned))

    def _options(self) -> Lines:
        teams = [shlex.quote(_printable(team)) for team in self._card.teams if team != self._card.team]
        if teams:
            named = teams[0] if len(teams) == 1 else f"with one of {', '.join(teams)}"
            yield from self._dimmed(f"For a single team, add --team {named}.")

    def _dimmed(self, text: str) -> Iterable[str]:
        return (click.style(line, dim=True) for line in textwrap.wrap(text, self._width, break_on_hyphens=False))

    def _block(self, *rows: Row, label: str = UNKNOWN) -> Lines:
        """Print the rows with a value, and one row for all rows that have no value.

        Args:
            label: the label of this one row if no row has a value.
        """
        missing = [row for row in rows if not row.text]
        if len(missing) > 1:
            combined = combine(missing, self._minimum, label if len(missing) == len(rows) else "")
            rows = (*(row for row in rows if row.text), combined)
        for row in rows:
            yield from self._line(row)

    def _row(self, label: str, figure: Figure[Any], more: str = "") -> Row:
        return figure_row(label, figure, self._minimum, more)

    def _duration(self, label: str, figure: Figure[float]) -> Row:
        """A row with a duration beside the threshold: yellow if it is longer, otherwise green."""
        row, threshold = self._row(label, figure), self._card.idea_to_answer.threshold
        if figure.value is None:
            return row
        beside = f"{distinct(figure.value, threshold.seconds)}, threshold {threshold.words}"
        return replace(row, text=beside, colour="green" if figure.value <= threshold.seconds else "yellow")

    def _within(self, share: Figure[float]) -> Row:
        """The estimated share within the threshold, with the words that say that it is a lower bound."""
        row = self._row("within the threshold", share)
        return replace(row, text=share.words) if share.words else row

    def _line(self, row: Row) -> Lines:
        self._has_sample |= bool(row.sample)
        self._has_previous |= "was " in row.previous
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

    def _reason(self, row: Row) -> Lines:
        width = self._width - len(_INDENT) - _LABEL
        reason = "; ".join(filter(None, (row.reason, row.previous)))
        for index, line in enumerate(textwrap.wrap(reason, width, break_on_hyphens=False)):
            yield f"{_INDENT}{'' if index else row.label:{_LABEL}}{click.style(line, dim=True)}"

"""What every figure is computed from, and the populations that the figures speak of."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TypeAlias

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.metrics.cohort import Cohort, Loop
from service.metrics.terms import Terms

NO_TEAM = "_none"
"""The team of experiments for which nothing names one."""
OTHER_TEAMS = "_other"
"""The team into which those beyond the cap are folded."""
ORGANISATION = "_org"
"""The row of the whole organisation, in figures that cannot be summed."""

Cohorts: TypeAlias = Sequence[Cohort]
_Placed: TypeAlias = Mapping[str, Sequence[Sequence[Loop]]]


class View:
    """All loops that figures need, and the terms on which they are made.

    Args:
        loops: those of the experiments; any that figures as of the moments asked for do not need may be missing.
        excluded: what was marked and is left out of figures, at least since the widest window began.
    """

    def __init__(self, loops: Iterable[Loop], terms: Terms, excluded: Iterable[Exclusion] = ()) -> None:
        self.loops = tuple(loops)
        self.terms = terms
        self.excluded = tuple(excluded)
        self._moment: _Moment | None = None

    @classmethod
    def of(cls, experiments: Iterable[Experiment], terms: Terms, excluded: Iterable[Exclusion] = ()) -> "View":
        """The view of experiments."""
        return cls(map(Loop.of, experiments), terms, excluded)

    def teams(self, now: datetime) -> Sequence[str]:
        """The label values of all rows but the organisation's, in alphabetical order: each team that has a loop."""
        return self._at(now).teams

    def row(self, team: str, now: datetime) -> str:
        """The label value of the row that a team's loops are in."""
        return self._at(now).row(team)

    def folded(self, now: datetime) -> int:
        """How many teams are folded into `OTHER_TEAMS`."""
        return self._at(now).folded

    def ahead(self, now: datetime) -> Sequence[Loop]:
        """The loops with an instant in the future: out of all figures until then."""
        return self._at(now).ahead

    def present(self, now: datetime) -> Sequence[Loop]:
        """All loops of which no instant lies in the future."""
        return self._at(now).every[-1].loops

    def every(self, now: datetime) -> Cohorts:
        """All loops of each team and of the organisation, whatever their state."""
        return self._at(now).every

    def open(self, now: datetime) -> Cohorts:
        """The loops of each team and of the organisation that are not concluded."""
        return self._at(now).open

    def overdue(self, now: datetime) -> Cohorts:
        """The open loops of each team and of the organisation that are older than their own teams' thresholds."""
        return self._at(now).overdue

    def forgotten(self, now: datetime) -> Cohorts:
        """The open loops of each team and of the organisation that have been without activity for too long."""
        return self._at(now).forgotten

    def concluded(self, now: datetime) -> Cohorts:
        """The loops of each team and of the organisation that were concluded in each window."""
        return self._at(now).concluded

    def answered(self, now: datetime) -> Cohorts:
        """The loops of each team and of the organisation that were answered in each window."""
        return self._at(now).answered

    def proposed(self, now: datetime) -> Cohorts:
        """The loops of each team and of the organisation whose idea was in each window."""
        return self._at(now).proposed

    def shared(self, now: datetime) -> Cohorts:
        """The loops of each team and of the organisation of which was shared in each window what was learnt."""
        return self._at(now).shared

    def enough(self, sample: int) -> bool:
        """Whether so many experiments are enough for a ratio or a quantile to be fair."""
        return sample >= self.terms.min_sample

    def _at(self, now: datetime) -> "_Moment":
        if self._moment is None or self._moment.now != now:
            self._moment = _Moment(self.loops, self.terms, now)
        return self._moment


def by_team(cohorts: Cohorts) -> Cohorts:
    """The cohorts without the organisation's: for figures that can be summed."""
    return [cohort for cohort in cohorts if cohort.team != ORGANISATION]


class _Moment:
    """A view's loops as they stand at one moment, each population made when it is first asked for."""

    def __init__(self, loops: Sequence[Loop], terms: Terms, now: datetime) -> None:
        self.now = now
        self._terms = terms
        self.ahead = [loop for loop in loops if loop.latest > now]
        # Always walked in the order in which the loops were made: that is how they lie in memory.
        present: defaultdict[str, list[Loop]] = defaultdict(list)
        for loop in loops:
            if loop.latest <= now:
                present[loop.team].append(loop)
        self._rows, self.folded = _rows(present, terms.max_teams)
        self.teams = sorted(self._rows)
        # From the shortest window to the longest: what lies in one lies in all after it.
        self._windows = sorted(terms.windows, key=lambda window: window.length)
        self._bounds = [*(now - window.length for window in reversed(self._windows)), now]

    def row(self, team: str) -> str:
        if not _is_name(team):
            return NO_TEAM
        return team if team in self._rows else OTHER_TEAMS

    @cached_property
    def every(self) -> Cohorts:
        return self._unwindowed(self._rows)

    @cached_property
    def open(self) -> Cohorts:
        return self._unwindowed(
            {row: [loop for loop in loops if loop.concluded_at is None] for row, loops in self._rows.items()}
        )

    @cached_property
    def overdue(self) -> Cohorts:
        return self._open_and(self._terms.is_overdue)

    @cached_property
    def forgotten(self) -> Cohorts:
        return self._open_and(self._terms.is_forgotten)

    @cached_property
    def concluded(self) -> Cohorts:
        return self._windowed(self._placed_by_conclusion)

    @cached_property
    def answered(self) -> Cohorts:
        return self._windowed(
            {
                row: [[loop for loop in loops if loop.answered] for loops in placed]
                for row, placed in self._placed_by_conclusion.items()
            }
        )

    @cached_property
    def proposed(self) -> Cohorts:
        return self._windowed(self._placed(attrgetter("idea_at")))

    @cached_property
    def shared(self) -> Cohorts:
        return self._windowed(self._placed(attrgetter("shared_at")))

    def _open_and(self, late: Callable[[Experiment, datetime], bool]) -> Cohorts:
        """The open loops that are late in some way."""
        rows = by_team(self.open)
        return self._unwindowed(
            {row.team: [loop for loop in row.loops if late(loop.experiment, self.now)] for row in rows}
        )

    @cached_property
    def _placed_by_conclusion(self) -> _Placed:
        return self._placed(attrgetter("concluded_at"))

    def _placed(self, instant: Callable[[Loop], datetime | None]) -> _Placed:
        """The loops of each row of which the instant lies in a window, by the shortest that holds it."""
        placed: dict[str, Sequence[Sequence[Loop]]] = {}
        for row, loops in self._rows.items():
            between: list[list[Loop]] = [[] for _ in range(len(self._bounds) + 1)]
            for loop, at in zip(loops, map(instant, loops), strict=True):
                if at is not None:
                    between[bisect_right(self._bounds, at)].append(loop)
            # Without what lies before the longest window or not before now.
            placed[row] = between[-2:0:-1]
        return placed

    def _windowed(self, placed: _Placed) -> Cohorts:
        """A cohort for each window and row."""
        cohorts: list[Cohort] = []
        shorter: Mapping[str, Sequence[Cohort]] = {}
        for place, window in enumerate(self._windows):
            rows = [
                Cohort(row, window.label, self.now, own=placed[row][place], parts=shorter.get(row, ()))
                for row in self.teams
            ]
            cohorts += self._with_organisation(window.label, rows)
            shorter = {cohort.team: [cohort] for cohort in rows}
        return cohorts

    def _unwindowed(self, held: Mapping[str, Sequence[Loop]]) -> Cohorts:
        return self._with_organisation("", [Cohort(row, "", self.now, own=held[row]) for row in self.teams])

    def _with_organisation(self, window: str, rows: Sequence[Cohort]) -> Cohorts:
        return [*rows, Cohort(ORGANISATION, window, self.now, parts=rows)]


def _is_name(team: str) -> bool:
    return bool(team) and not team.startswith("_")


def _rows(present: Mapping[str, list[Loop]], most: int) -> tuple[Mapping[str, Sequence[Loop]], int]:
    """The loops of each row, where only the first teams have one of their own, and how many teams have none.

    First are those whose first idea was the earliest. Names that begin with `_` are ours.
    """
    named = {team: loops for team, loops in present.items() if _is_name(team)}
    first = {team: min(loop.idea_at for loop in loops) for team, loops in named.items()}
    ordered = sorted(named, key=lambda team: (first[team], team))
    rows = {team: named[team] for team in ordered[:most]}
    for row, teams in ((OTHER_TEAMS, ordered[most:]), (NO_TEAM, present.keys() - named.keys())):
        if teams:
            rows[row] = list(chain.from_iterable(present[team] for team in teams))
    return rows, len(ordered[most:])

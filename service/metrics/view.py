"""The view: the experiments as of one time, by population, row and window.

- A *row* is a value of the label `team`: a team's name, `_none`, `_other` or `_org`.
- A *population* is a subset of the experiments, such as the open experiments or the experiments concluded in a window.
- A *cohort* is a population within one row and one window.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TypeAlias

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.teams import is_team_name
from service.metrics.cohort import Cohort, MeasuredExperiment
from service.metrics.terms import Terms, Window

NO_TEAM = "_none"
"""The row of experiments without a team."""
OTHER_TEAMS = "_other"
"""The row that combines the teams beyond `max_teams`."""
ORGANISATION = "_org"
"""The row of all experiments, in metrics that cannot be summed over teams."""

Cohorts: TypeAlias = Sequence[Cohort]
"""The cohorts of a population. In each window, the cohorts of the teams come first, in alphabetical order, and then the
organisation's cohort."""

_Rows: TypeAlias = Mapping[str, Sequence[MeasuredExperiment]]
_Slices: TypeAlias = Mapping[str, Sequence[Sequence[MeasuredExperiment]]]


class View:
    """The experiments as of one time, and the settings for their metrics. Each population is computed on first use.

    Args:
        experiments: all experiments; the caller may omit those that have no effect on any metric as of `now`.
        now: the time as of which metrics are computed.
        exclusions: the exclusions of subjects; the caller may omit those that began before the longest window.
        own_rows: the teams that have rows of their own; None for the `max_teams` teams with the most loops in the
            windows.
    """

    def __init__(
        self,
        experiments: Iterable[MeasuredExperiment],
        terms: Terms,
        now: datetime,
        exclusions: Iterable[Exclusion] = (),
        own_rows: Collection[str] | None = None,
    ) -> None:
        self.experiments = tuple(experiments)
        self.terms = terms
        self.now = now
        self.exclusions = tuple(exclusions)
        self._given_rows = own_rows

    @classmethod
    def of(
        cls, experiments: Iterable[Experiment], terms: Terms, now: datetime, exclusions: Iterable[Exclusion] = ()
    ) -> "View":
        """Measure experiments, and create their view."""
        return cls(map(MeasuredExperiment.of, experiments), terms, now, exclusions)

    def at(self, now: datetime) -> "View":
        """The view of the same experiments as of another time."""
        return View(self.experiments, self.terms, now, self.exclusions)

    def with_windows(self, *windows: Window) -> "View":
        """The view of the same experiments over other windows. The same teams have rows of their own."""
        return View(
            self.experiments, replace(self.terms, windows=windows), self.now, self.exclusions, own_rows=self.own_rows
        )

    def is_enough(self, sample: int) -> bool:
        """Whether a sample of this size is large enough for a ratio or quantile to be published."""
        return sample >= self.terms.min_sample

    @cached_property
    def teams(self) -> Sequence[str]:
        """The rows that have an experiment, in alphabetical order, without the organisation's row."""
        return sorted(self._rows)

    def row(self, team: str) -> str:
        """The row that contains the experiments of a team."""
        if not is_team_name(team):
            return NO_TEAM
        return team if team in self._rows else OTHER_TEAMS

    @cached_property
    def combined_teams(self) -> int:
        """The number of teams that `OTHER_TEAMS` combines."""
        return sum(is_team_name(team) and team not in self._rows for team in self._by_team)

    @cached_property
    def future(self) -> Sequence[MeasuredExperiment]:
        """The experiments with a time in the future. No population contains them until that time has passed."""
        return [experiment for experiment in self.experiments if experiment.latest_instant > self.now]

    @cached_property
    def present(self) -> Sequence[MeasuredExperiment]:
        """The experiments without a time in the future."""
        return [experiment for experiment in self.experiments if experiment.latest_instant <= self.now]

    @cached_property
    def all(self) -> Cohorts:
        """The present experiments in any state."""
        return self._cohorts(self._rows)

    @cached_property
    def open(self) -> Cohorts:
        """The experiments that are not concluded."""
        return self._cohorts(
            {row: [one for one in experiments if one.concluded_at is None] for row, experiments in self._rows.items()}
        )

    @cached_property
    def overdue(self) -> Cohorts:
        """The open experiments that are older than their own team's threshold."""
        return self._open_if(self.terms.is_overdue)

    @cached_property
    def forgotten(self) -> Cohorts:
        """The open experiments without activity for `Terms.forgotten_after`."""
        return self._open_if(self.terms.is_forgotten)

    @cached_property
    def overdue_active(self) -> Cohorts:
        """The overdue experiments that are not forgotten."""
        terms = self.terms
        return self._open_if(lambda one, now: terms.is_overdue(one, now) and not terms.is_forgotten(one, now))

    @cached_property
    def proposed(self) -> Cohorts:
        """The experiments proposed in each window."""
        return self._windowed_cohorts(self._slice(attrgetter("idea_at")))

    @cached_property
    def concluded(self) -> Cohorts:
        """The experiments concluded in each window."""
        return self._windowed_cohorts(self._sliced_by_conclusion)

    @cached_property
    def answered(self) -> Cohorts:
        """The experiments answered in each window: concluded and not abandoned."""
        return self._windowed_cohorts(
            {
                row: [[experiment for experiment in part if experiment.answered] for part in slices]
                for row, slices in self._sliced_by_conclusion.items()
            }
        )

    @cached_property
    def shared(self) -> Cohorts:
        """The experiments whose learning was shared in each window."""
        return self._windowed_cohorts(self._slice(attrgetter("shared_at")))

    @cached_property
    def _by_team(self) -> _Rows:
        by_team: defaultdict[str, list[MeasuredExperiment]] = defaultdict(list)
        for experiment in self.present:
            by_team[experiment.team].append(experiment)
        return by_team

    @cached_property
    def own_rows(self) -> Collection[str]:
        """The teams that have rows of their own. Some of them may have no experiment in this view."""
        if self._given_rows is not None:
            return self._given_rows
        since = self.now - self.terms.longest_window
        loops = {
            team: sum(is_in_windows(one, since) for one in experiments)
            for team, experiments in self._by_team.items()
            if is_team_name(team)
        }
        return teams_with_rows(loops, self.terms.max_teams)

    @cached_property
    def _rows(self) -> _Rows:
        """The experiments of `present`, by row."""
        named = {team: experiments for team, experiments in self._by_team.items() if is_team_name(team)}
        rows: dict[str, Sequence[MeasuredExperiment]] = {team: named[team] for team in self.own_rows if team in named}
        for row, teams in (
            (OTHER_TEAMS, sorted(named.keys() - rows.keys())),
            (NO_TEAM, self._by_team.keys() - named.keys()),
        ):
            if teams:
                rows[row] = list(chain.from_iterable(self._by_team[team] for team in teams))
        return rows

    def _open_if(self, predicate: Callable[[Experiment, datetime], bool]) -> Cohorts:
        return self._cohorts(
            {
                cohort.team: [one for one in cohort.experiments if predicate(one.experiment, self.now)]
                for cohort in without_organisation(self.open)
            }
        )

    @cached_property
    def _sliced_by_conclusion(self) -> _Slices:
        return self._slice(attrgetter("concluded_at"))

    @cached_property
    def _ascending_windows(self) -> Sequence[Window]:
        return sorted(self.terms.windows, key=lambda window: window.length)

    def _slice(self, instant: Callable[[MeasuredExperiment], datetime | None]) -> _Slices:
        """Put the experiments of each row into slices, one for each window, by the time that `instant` returns.

        The shortest window comes first. Each experiment is only in the slice of the shortest window that includes it.
        """
        bounds = [*(self.now - window.length for window in reversed(self._ascending_windows)), self.now]
        slices: dict[str, Sequence[Sequence[MeasuredExperiment]]] = {}
        for row, experiments in self._rows.items():
            between: list[list[MeasuredExperiment]] = [[] for _ in range(len(bounds) + 1)]
            for experiment, at in zip(experiments, map(instant, experiments), strict=True):
                if at is not None:
                    between[bisect_right(bounds, at)].append(experiment)
            # Drop the first slice (times before the longest window) and the last slice (times at `now` or later).
            slices[row] = between[-2:0:-1]
        return slices

    def _windowed_cohorts(self, slices: _Slices) -> Cohorts:
        """One cohort for each window and row.

        A cohort contains all experiments of the same row's cohort for the next shorter window.
        """
        cohorts: list[Cohort] = []
        shorter: Mapping[str, Sequence[Cohort]] = {}
        for index, window in enumerate(self._ascending_windows):
            teams = [
                Cohort(row, window.label, self.now, parts=shorter.get(row, ()), rest=slices[row][index])
                for row in self.teams
            ]
            cohorts += self._with_organisation(window.label, teams)
            shorter = {cohort.team: [cohort] for cohort in teams}
        return cohorts

    def _cohorts(self, rows: _Rows) -> Cohorts:
        """One cohort for each row, without a window."""
        return self._with_organisation("", [Cohort(row, "", self.now, rest=rows[row]) for row in self.teams])

    def _with_organisation(self, window: str, teams: Sequence[Cohort]) -> Cohorts:
        return [*teams, Cohort(ORGANISATION, window, self.now, parts=teams)]


def is_in_windows(one: MeasuredExperiment, since: datetime) -> bool:
    """Whether a loop is in the windows: it is open, or one of its instants is in the longest window.

    Args:
        since: the beginning of the longest window.
    """
    return one.concluded_at is None or one.latest_instant >= since


def teams_with_rows(loops: Mapping[str, int], max_teams: int) -> Sequence[str]:
    """The teams that have rows of their own: the `max_teams` teams with the most loops in the windows.

    Tie-break: the alphabetically first team. The age of a team does not count, because a client can state the time of
    an idea.

    Args:
        loops: the number of each team's loops in the windows.
    """
    return sorted(loops, key=lambda team: (-loops[team], team))[:max_teams]


def without_organisation(cohorts: Cohorts) -> Cohorts:
    """The cohorts of the teams alone, for metrics that can be summed over teams."""
    return [cohort for cohort in cohorts if cohort.team != ORGANISATION]

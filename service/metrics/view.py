"""What every figure is computed from, and the populations that the figures speak of."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import TypeAlias, get_args

from service.lifecycle.experiment import Experiment
from service.lifecycle.stages import Stage, durations
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.estimate import Survival, kaplan_meier

NO_TEAM = "_none"
"""The team of experiments for which nothing names one."""
OTHER_TEAMS = "_other"
"""The team into which those beyond the cap are folded."""
ORGANISATION = "_org"
"""The row of the whole organisation, in figures that cannot be summed."""
DEFAULT_THRESHOLD = "default"
"""The name under which thresholds hold the one of teams that have none of their own."""

STAGES: tuple[Stage, ...] = get_args(Stage)
_PLACES: Mapping[Stage, int] = {stage: place for place, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time up to now, half-open: `[now - length, now)`."""

    label: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator says about figures.

    Attributes:
        windows: the stretches of time that they are made over.
        thresholds: how long a loop may take from idea to answer, by team; `default` is that of all others.
        forgotten_after: how long an open loop may be without activity.
        min_sample: on how many experiments a ratio or a quantile must rest to be told.
        max_teams: how many teams have rows of their own.
    """

    windows: tuple[Window, ...]
    thresholds: Mapping[str, timedelta]
    forgotten_after: timedelta
    min_sample: int
    max_teams: int

    def threshold(self, team: str) -> timedelta:
        """The threshold of a team, by its name or by the label value of its row."""
        return self.thresholds.get(team) or self.thresholds[DEFAULT_THRESHOLD]

    def is_overdue(self, experiment: Experiment, now: datetime) -> bool:
        """Whether an experiment is open, and older than its own team's threshold."""
        return experiment.concluded_at is None and now - experiment.idea_at > self.threshold(experiment.team)

    def is_forgotten(self, experiment: Experiment, now: datetime) -> bool:
        """Whether an experiment is open, and has been without activity for too long."""
        return experiment.concluded_at is None and now - experiment.last_activity_at >= self.forgotten_after


@dataclass(frozen=True, slots=True)
class Loop:
    """An experiment, and what of it figures ask for again and again.

    Attributes:
        latest: the latest of its instants.
        taken: how long each of `STAGES` took, in seconds; None where that is not known.
    """

    experiment: Experiment
    latest: datetime
    taken: tuple[float | None, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> "Loop":
        """The loop of an experiment."""
        known = durations(experiment)
        seconds = (known[stage].total_seconds() if stage in known else None for stage in STAGES)
        return cls(experiment, max(experiment.instants), tuple(seconds))

    def seconds(self, stage: Stage) -> float | None:
        """How long a stage took, or None where that is not known."""
        return self.taken[_PLACES[stage]]


class Cohort:
    """The loops of a population that one row of a figure is about.

    Args:
        team: the row's label value; `ORGANISATION` for all loops.
        window: the window's label; empty for populations that know none.
        now: the moment of which figures tell.
    """

    def __init__(self, team: str, window: str, loops: Sequence[Loop], now: datetime) -> None:
        self.team = team
        self.window = window
        self.loops = loops
        self._now = now
        self._taken: dict[Stage, Sequence[float]] = {}

    def taken(self, stage: Stage) -> Sequence[float]:
        """How long the stage took where that is known, in seconds, in ascending order."""
        if stage not in self._taken:
            place = _PLACES[stage]
            self._taken[stage] = sorted(taken for loop in self.loops if (taken := loop.taken[place]) is not None)
        return self._taken[stage]

    def ages(self) -> Sequence[float]:
        """How long ago the ideas were, in seconds, in ascending order."""
        return sorted((self._now - loop.experiment.idea_at).total_seconds() for loop in self.loops)

    @cached_property
    def outcomes(self) -> Counter[Outcome | None]:
        """How many loops ended with each outcome; None for those that are open."""
        return Counter(loop.experiment.outcome for loop in self.loops)

    @cached_property
    def failures(self) -> Counter[FailureCategory | None]:
        """How many loops failed in each category; None for those that did not fail."""
        return Counter(loop.experiment.failure_category for loop in self.loops)

    @cached_property
    def survival(self) -> tuple[Survival, int]:
        """The time from idea to answer, with loops without an answer censored, and on how many loops it rests.

        An open loop was watched until now, an abandoned one until it was given up. A loop that ended before its idea is
        a slip of a clock, and left out.
        """
        unanswered = (loop for loop in self.loops if not loop.experiment.answered)
        watched = (
            ((loop.experiment.concluded_at or self._now) - loop.experiment.idea_at).total_seconds()
            for loop in unanswered
        )
        censored = [seconds for seconds in watched if seconds >= 0]
        answered = self.taken("idea_to_answer")
        return kaplan_meier(answered, censored), len(answered) + len(censored)


Cohorts: TypeAlias = Sequence[Cohort]


class View:
    """All loops that figures need, and the terms on which they are made.

    Args:
        loops: those of the experiments; any that figures as of the moments asked for do not need may be missing.
    """

    def __init__(self, loops: Iterable[Loop], terms: Terms) -> None:
        self.loops = tuple(loops)
        self.terms = terms
        self._moment: _Moment | None = None

    @classmethod
    def of(cls, experiments: Iterable[Experiment], terms: Terms) -> "View":
        """The view of experiments."""
        return cls(map(Loop.of, experiments), terms)

    def teams(self, now: datetime) -> Sequence[str]:
        """The label values of all rows but the organisation's, in alphabetical order: each team that has a loop."""
        return self._at(now).teams

    def folded(self, now: datetime) -> int:
        """How many teams are folded into `OTHER_TEAMS`."""
        return self._at(now).folded

    def ahead(self, now: datetime) -> Sequence[Loop]:
        """The loops with an instant in the future: out of all figures until then."""
        return self._at(now).ahead

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

    def __init__(self, loops: Iterable[Loop], terms: Terms, now: datetime) -> None:
        self.now = now
        self._terms = terms
        self.ahead: list[Loop] = []
        present: defaultdict[str, list[Loop]] = defaultdict(list)
        for loop in loops:
            if loop.latest > now:
                self.ahead.append(loop)
            else:
                present[_named(loop.experiment.team)].append(loop)
        self._rows, self.folded = _capped(present, terms.max_teams)
        self.teams = sorted(self._rows)
        # From the longest window to the shortest: what lies in one lies in all before it.
        self._windows = sorted(terms.windows, key=lambda window: window.length, reverse=True)
        self._begins = [now - window.length for window in self._windows]

    @cached_property
    def every(self) -> Cohorts:
        return self._cohorts("", self._rows)

    @cached_property
    def open(self) -> Cohorts:
        still = {
            team: [loop for loop in loops if loop.experiment.concluded_at is None] for team, loops in self._rows.items()
        }
        return self._cohorts("", still)

    @cached_property
    def overdue(self) -> Cohorts:
        return self._open_and(self._terms.is_overdue)

    @cached_property
    def forgotten(self) -> Cohorts:
        return self._open_and(self._terms.is_forgotten)

    @cached_property
    def concluded(self) -> Cohorts:
        return self._windowed(lambda loop: loop.experiment.concluded_at)

    @cached_property
    def answered(self) -> Cohorts:
        return [
            Cohort(cohort.team, cohort.window, [loop for loop in cohort.loops if loop.experiment.answered], self.now)
            for cohort in self.concluded
        ]

    @cached_property
    def proposed(self) -> Cohorts:
        return self._windowed(lambda loop: loop.experiment.idea_at)

    @cached_property
    def shared(self) -> Cohorts:
        return self._windowed(lambda loop: loop.experiment.shared_at)

    def _open_and(self, late: Callable[[Experiment, datetime], bool]) -> Cohorts:
        """The open loops that are late in some way."""
        rows = by_team(self.open)
        held = {row.team: [loop for loop in row.loops if late(loop.experiment, self.now)] for row in rows}
        return self._cohorts("", held)

    def _windowed(self, instant: Callable[[Loop], datetime | None]) -> Cohorts:
        """A cohort for each window and team, of the loops of which the instant lies in the window."""
        placed = {team: self._placed(loops, instant) for team, loops in self._rows.items()}
        cohorts: list[Cohort] = []
        for place, window in enumerate(self._windows):
            held = {team: list(chain.from_iterable(loops[place + 1 :])) for team, loops in placed.items()}
            cohorts += self._cohorts(window.label, held)
        return cohorts

    def _placed(self, loops: Iterable[Loop], instant: Callable[[Loop], datetime | None]) -> list[list[Loop]]:
        """Loops by how many windows hold their instant."""
        placed: list[list[Loop]] = [[] for _ in range(len(self._windows) + 1)]
        for loop in loops:
            at = instant(loop)
            if at is not None and at < self.now:
                placed[bisect_right(self._begins, at)].append(loop)
        return placed

    def _cohorts(self, window: str, loops: Mapping[str, Sequence[Loop]]) -> list[Cohort]:
        rows = [Cohort(team, window, loops[team], self.now) for team in self.teams]
        everybody = list(chain.from_iterable(loops.values()))
        return [*rows, Cohort(ORGANISATION, window, everybody, self.now)]


def _named(team: str) -> str:
    """The label value of a team; names that begin with `_` are ours."""
    return NO_TEAM if not team or team.startswith("_") else team


def _capped(present: Mapping[str, list[Loop]], most: int) -> tuple[dict[str, list[Loop]], int]:
    """The loops by row, where only the first teams have one of their own, and how many teams have none.

    First are those whose first idea was the earliest. Loops without a team are no team's.
    """
    since = {team: min(loop.experiment.idea_at for loop in loops) for team, loops in present.items() if team != NO_TEAM}
    beyond = sorted(since, key=lambda team: (since[team], team))[most:]
    rows = {team: loops for team, loops in present.items() if team not in beyond}
    if beyond:
        rows[OTHER_TEAMS] = list(chain.from_iterable(present[team] for team in beyond))
    return rows, len(beyond)

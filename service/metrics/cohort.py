"""Loops as figures see them, and the cohorts that rows of figures are about."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, TypeAlias, get_args

from service.lifecycle.experiment import Experiment, Restart
from service.lifecycle.stages import Stage, spans
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from service.lifecycle.titles import spelling
from service.metrics.estimate import Survival, kaplan_meier

STAGES: tuple[Stage, ...] = get_args(Stage)
_PLACES: Mapping[Stage, int] = {stage: place for place, stage in enumerate(STAGES)}
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Loop:
    """An experiment, and what of it figures ask for again and again.

    What figures ask of all experiments stands here once more, since to look into each experiment takes its time.

    Attributes:
        latest: the latest of its instants.
        taken: how long each of `STAGES` took, in seconds; None where that is not known.
        title: as it is spelt, which loops of the same title have in common; empty without one.
        negative: whether a stage would have ended before it began.
    """

    experiment: Experiment
    latest: datetime
    taken: tuple[float | None, ...]
    title: str
    negative: bool
    team: str
    risk: Risk | None
    idea_at: datetime
    concluded_at: datetime | None
    answered: bool
    outcome: Outcome | None
    failure_category: FailureCategory | None
    shared_at: datetime | None
    restarts: tuple[Restart, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> "Loop":
        """The loop of an experiment."""
        taken: list[float | None] = [None] * len(STAGES)
        negative = False
        for stage, span in spans(experiment):
            if span < _NOTHING:
                negative = True
            else:
                taken[_PLACES[stage]] = span.total_seconds()
        return cls(
            experiment,
            max(experiment.instants),
            tuple(taken),
            spelling(experiment.title),
            negative,
            experiment.team,
            experiment.risk,
            experiment.idea_at,
            experiment.concluded_at,
            experiment.answered,
            experiment.outcome,
            experiment.failure_category,
            experiment.shared_at,
            experiment.restarts,
        )

    def seconds(self, stage: Stage) -> float | None:
        """How long a stage took, or None where that is not known."""
        return self.taken[_PLACES[stage]]


Measure: TypeAlias = Callable[[Sequence[Loop], datetime], list[float]]
"""What loops measure as of a moment, in seconds, in no particular order: a value of each loop that knows it."""


def _taken(place: int) -> Measure:
    return lambda loops, _: [taken for loop in loops if (taken := loop.taken[place]) is not None]


_TAKEN: Mapping[Stage, Measure] = {stage: _taken(place) for stage, place in _PLACES.items()}


def _age(loops: Sequence[Loop], now: datetime) -> list[float]:
    return [(now - loop.idea_at).total_seconds() for loop in loops]


def _watched(loops: Sequence[Loop], now: datetime) -> list[float]:
    """How long loops were watched that came to no answer: until now, or until they were given up."""
    unanswered = (loop for loop in loops if not loop.answered)
    spans = (((one.concluded_at or now) - one.idea_at).total_seconds() for one in unanswered)
    return [seconds for seconds in spans if seconds >= 0]


Instants: TypeAlias = Callable[[Sequence[Loop]], list[datetime]]
"""An instant of each loop that knows it, in no particular order."""

_OUTCOME, _CATEGORY, _RISK, _STATE = map(attrgetter, ("outcome", "failure_category", "risk", "experiment.state"))


class Cohort:
    """The loops of a population that one row of a figure is about.

    A cohort is made of others: a window's holds that of the next shorter one, the organisation's those of its teams.
    What was put in order for one need only be merged for the other.

    Args:
        team: the row's label value; `ORGANISATION` for all loops.
        window: the window's label; empty for populations that know none.
        now: the moment of which figures tell.
        own: the loops that no part holds.
        parts: cohorts that have no loop in common.
    """

    def __init__(
        self, team: str, window: str, now: datetime, *, own: Sequence[Loop] = (), parts: Sequence["Cohort"] = ()
    ) -> None:
        self.team = team
        self.window = window
        self._now = now
        self._own = own
        self._parts = parts
        self._ordered: dict[Measure, Sequence[float]] = {}
        self._tallies: dict[Callable[[Loop], Any], Counter[Any]] = {}

    @cached_property
    def loops(self) -> Sequence[Loop]:
        """All loops of the cohort, in no particular order."""
        return [*chain.from_iterable(part.loops for part in self._parts), *self._own]

    def ordered(self, measure: Measure) -> Sequence[float]:
        """What the loops measure, in ascending order."""
        if measure not in self._ordered:
            parts = (part.ordered(measure) for part in self._parts)
            self._ordered[measure] = sorted(chain(*parts, measure(self._own, self._now)))
        return self._ordered[measure]

    def taken(self, stage: Stage) -> Sequence[float]:
        """How long the stage took where that is known, in seconds, in ascending order."""
        return self.ordered(_TAKEN[stage])

    def ages(self) -> Sequence[float]:
        """How long ago the ideas were, in seconds, in ascending order."""
        return self.ordered(_age)

    @property
    def outcomes(self) -> Counter[Outcome | None]:
        """How many loops ended with each outcome; None for those that are open."""
        return self.tally(_OUTCOME)

    @property
    def failures(self) -> Counter[FailureCategory | None]:
        """How many loops failed in each category; None for those that did not fail."""
        return self.tally(_CATEGORY)

    @property
    def risks(self) -> Counter[Risk | None]:
        """How many loops are of each risk; None for those of which nobody said."""
        return self.tally(_RISK)

    @property
    def states(self) -> Counter[State]:
        """How many loops are in each state."""
        return self.tally(_STATE)

    def last(self, instants: Instants) -> datetime | None:
        """The latest of an instant of the loops; None where none knows it."""
        of_parts = [last for part in self._parts if (last := part.last(instants)) is not None]
        return max(chain(of_parts, instants(self._own)), default=None)

    def tally(self, attribute: Callable[[Loop], Any]) -> Counter[Any]:
        """How many loops have each value of an attribute."""
        if attribute not in self._tallies:
            counts = Counter(map(attribute, self._own))
            for part in self._parts:
                counts.update(part.tally(attribute))
            self._tallies[attribute] = counts
        return self._tallies[attribute]

    @cached_property
    def survival(self) -> tuple[Survival, int]:
        """The time from idea to answer, with loops without an answer censored, and on how many loops it rests.

        An open loop was watched until now, an abandoned one until it was given up. A loop that ended before its idea is
        a slip of a clock, and left out.
        """
        answered, censored = self.taken("idea_to_answer"), self.ordered(_watched)
        return kaplan_meier(answered, censored), len(answered) + len(censored)

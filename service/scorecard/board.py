"""Boards: every sample of the figures of one window at one moment, to read one team's from."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from prometheus_client import Metric

from service.metrics import (
    abandoned_ratio,
    answered_within_threshold,
    experiments_concluded,
    experiments_forgotten,
    experiments_in_flight,
    experiments_overdue,
    experiments_proposed,
    failure_category_ratio,
    failures,
    last_failure_shared,
    learnings_shared,
    pickup_quantile,
    repeated_experiments,
    stage_quantile,
    stage_samples,
    survival_answered_by_threshold,
    survival_quantile,
    threshold,
)
from service.metrics.cohort import Cohort
from service.metrics.view import ORGANISATION, Cohorts, View

# What a scorecard reads is what a scrape has: neither can contradict the other.
_FAMILIES: Sequence[Callable[[View, datetime], Iterable[Metric]]] = (
    experiments_in_flight.families,
    experiments_overdue.families,
    experiments_forgotten.families,
    experiments_concluded.families,
    experiments_proposed.families,
    failures.families,
    failure_category_ratio.families,
    stage_quantile.families,
    stage_samples.families,
    survival_quantile.families,
    survival_answered_by_threshold.families,
    answered_within_threshold.families,
    abandoned_ratio.families,
    pickup_quantile.families,
    last_failure_shared.families,
    learnings_shared.families,
    repeated_experiments.families,
    threshold.families,
)

_PREFIX = "loopgauge_"

_Labels: TypeAlias = frozenset[tuple[str, str]]


class Board:
    """The figures of a view at one moment.

    Args:
        view: of exactly one window.
    """

    def __init__(self, view: View, now: datetime) -> None:
        self.view = view
        self.now = now
        (self.window,) = view.terms.windows
        self._samples: dict[tuple[str, str, _Labels], float] = {}
        self._sums: defaultdict[tuple[str, _Labels], float] = defaultdict(float)
        for make in _FAMILIES:
            for family in make(view, now):
                for sample in family.samples:
                    self._add(sample.name.removeprefix(_PREFIX), sample.labels, sample.value)

    def _add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        others = _others(labels)
        self._samples[name, labels["team"], others] = value
        if labels["team"] != ORGANISATION:
            self._sums[name, others] += value

    @property
    def teams(self) -> Sequence[str]:
        """The rows that there are beside the organisation's, by name."""
        return self.view.teams(self.now)

    def sample(self, team: str, name: str, labels: Mapping[str, str]) -> float | None:
        """The value of a row, by the figure's name without the prefix; None where it has none."""
        return self._samples.get((name, team, _others(labels)))

    def total(self, name: str, labels: Mapping[str, str]) -> float:
        """The sum over all rows but the organisation's."""
        return self._sums.get((name, _others(labels)), 0)


def _others(labels: Mapping[str, str]) -> _Labels:
    """The labels that tell rows of one team and window apart."""
    return frozenset((label, value) for label, value in labels.items() if label not in ("team", "window"))


@dataclass(frozen=True, slots=True)
class Row:
    """One team's figures, or the organisation's, on a board."""

    board: Board
    team: str

    @property
    def is_known(self) -> bool:
        """Whether there is anything to tell figures of."""
        return bool(self.board.teams) if self.team == ORGANISATION else self.team in self.board.teams

    def value(self, name: str, **labels: str) -> float | None:
        """A figure that cannot be summed, by its name without the prefix; None where it is withheld."""
        return self.board.sample(self.team, name, labels)

    def count(self, name: str, **labels: str) -> int:
        """A figure that counts: the organisation's is the sum of all rows."""
        if self.team == ORGANISATION:
            return int(self.board.total(name, labels))
        return int(self.board.sample(self.team, name, labels) or 0)

    def cohort(self, population: Callable[[View, datetime], Cohorts]) -> Cohort:
        """The row's loops of a population; empty where there is no such row."""
        cohorts = population(self.board.view, self.board.now)
        nobody = Cohort(self.team, self.board.window.label, self.board.now)
        return next((cohort for cohort in cohorts if cohort.team == self.team), nobody)

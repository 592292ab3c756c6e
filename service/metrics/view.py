"""What every figure is computed from, and the populations that the figures speak of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.lifecycle.experiment import Experiment
from service.lifecycle.stages import lies_ahead

NO_TEAM = "_none"
"""The team of experiments for which nothing names one."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time up to now, half-open: `[now - length, now)`."""

    label: str
    length: timedelta

    def holds(self, at: datetime, now: datetime) -> bool:
        """Whether an instant lies in the window."""
        return now - self.length <= at < now


@dataclass(frozen=True, slots=True)
class View:
    """All experiments at one moment, and the windows over which figures are made."""

    experiments: tuple[Experiment, ...]
    windows: tuple[Window, ...]

    def present(self, now: datetime) -> Iterator[Experiment]:
        """The experiments of which no instant lies in the future; the others are out of all figures until then."""
        return (experiment for experiment in self.experiments if not lies_ahead(experiment, now))

    def teams(self, now: datetime) -> list[str]:
        """The teams that have an experiment."""
        return sorted({team_of(experiment) for experiment in self.present(now)})

    def concluded(self, now: datetime, window: Window) -> Iterator[Experiment]:
        """The experiments that were concluded in the window."""
        for experiment in self.present(now):
            if experiment.concluded_at is not None and window.holds(experiment.concluded_at, now):
                yield experiment

    def answered(self, now: datetime, window: Window) -> Iterator[Experiment]:
        """The experiments that were answered in the window: concluded, and not abandoned."""
        return (experiment for experiment in self.concluded(now, window) if experiment.answered)


def team_of(experiment: Experiment) -> str:
    """The label value of an experiment's team."""
    return experiment.team or NO_TEAM

"""What the operator says about figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.lifecycle.experiment import Experiment

DEFAULT_THRESHOLD = "default"
"""The name under which thresholds hold the one of teams that have none of their own."""


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
        min_sample: on how many experiments a ratio or a quantile must rest to be told; at least 1.
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

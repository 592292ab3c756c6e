"""The operator's settings for metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.lifecycle.experiment import Experiment

DEFAULT_THRESHOLD = "default"
"""The key of the threshold for teams without a threshold of their own."""


@dataclass(frozen=True, slots=True)
class Window:
    """A period that ends now, half-open: `[now - length, now)`."""

    label: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Terms:
    """The operator's settings for metrics.

    Attributes:
        windows: the periods that metrics cover.
        thresholds: the longest acceptable time from idea to answer, by team; the key `default` applies to all other
            teams.
        forgotten_after: the time without activity after which an open experiment is forgotten.
        min_sample: the fewest experiments for which a ratio or quantile is published; at least 1.
        max_teams: the maximum number of teams that have rows of their own.
    """

    windows: tuple[Window, ...]
    thresholds: Mapping[str, timedelta]
    forgotten_after: timedelta
    min_sample: int
    max_teams: int

    @property
    def longest_window(self) -> timedelta:
        """The length of the longest window; zero if there are no windows."""
        return max((window.length for window in self.windows), default=timedelta(0))

    def threshold(self, team: str) -> timedelta:
        """The threshold of a team. `team` is the team's name or a value of the label `team`."""
        return self.thresholds.get(team) or self.thresholds[DEFAULT_THRESHOLD]

    def is_overdue(self, experiment: Experiment, now: datetime) -> bool:
        """Whether an experiment is open and older than its own team's threshold."""
        return experiment.concluded_at is None and now - experiment.idea_at > self.threshold(experiment.team)

    def is_forgotten(self, experiment: Experiment, now: datetime) -> bool:
        """Whether an experiment is open and has had no activity for `forgotten_after`."""
        return experiment.concluded_at is None and now - experiment.last_activity_at >= self.forgotten_after

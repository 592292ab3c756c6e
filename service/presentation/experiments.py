"""Experiments as the API and the command line show them."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.lifecycle.durations import describe_duration
from service.lifecycle.experiment import Restart
from service.lifecycle.stages import Stage
from service.queries.experiments import ExperimentStatus


class Duration(BaseModel):
    """A duration in seconds, and in words with at most two units."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"seconds": 353117.0, "words": "4 days 2 hours"}]})

    seconds: float
    words: str

    @classmethod
    def of(cls, span: timedelta) -> "Duration":
        """Convert a duration, which must not be negative."""
        return cls(seconds=span.total_seconds(), words=describe_duration(span))


class AgainAnswer(BaseModel):
    """A restart of an experiment. `concluded` tells whether the experiment was concluded before the restart; `quiet` is
    the time between the experiment's last activity and the restart.
    """

    at: datetime
    concluded: bool
    quiet: Duration


EXPERIMENT: dict[str, Any] = {
    "id": "36aeaa1b-75b3-55d0-a416-c9a9e568c6e1",
    "root": "github:acme/app#45",
    "title": "Answer from the cache",
    "url": "https://github.com/acme/app/issues/45",
    "team": "search",
    "risk": "bold",
    "state": "concluded",
    "idea_at": "2026-03-02T09:00:00Z",
    "idea_inferred": False,
    "started_at": "2026-03-02T10:30:00Z",
    "first_signal_at": "2026-03-03T14:07:31Z",
    "concluded_at": "2026-03-06T11:05:17Z",
    "outcome": "failed",
    "failure_category": "intelligent",
    "shared_at": None,
    "shipped_at": None,
    "last_activity_at": "2026-03-06T11:06:00Z",
    "again": [],
    "overdue": False,
    "forgotten": False,
    "threshold": {"seconds": 1209600.0, "words": "14 days"},
    "age": None,
    "stages": {
        "idea_to_answer": {"seconds": 353117.0, "words": "4 days 2 hours"},
        "idea_to_start": {"seconds": 5400.0, "words": "1 hour 30 minutes"},
        "start_to_signal": {"seconds": 99451.0, "words": "1 day 3 hours"},
        "signal_to_answer": {"seconds": 248266.0, "words": "2 days 20 hours"},
    },
}
"""An example of an experiment for the OpenAPI document."""


class ExperimentAnswer(BaseModel):
    """The current state of an experiment. Times are UTC; unknown times are null.

    `team` is empty if the experiment has no team. `overdue`, `forgotten` and `threshold` mean the same as in the
    metrics. `age` is the time since the idea; null unless the experiment is open. `stages` has the stages with a known
    duration. `again` lists restarts.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXPERIMENT]})

    id: UUID
    root: str
    title: str
    url: str
    team: str
    risk: Literal["bold", "safe"] | None
    state: Literal["proposed", "running", "concluded"]
    idea_at: datetime
    idea_inferred: bool
    started_at: datetime | None
    first_signal_at: datetime | None
    concluded_at: datetime | None
    outcome: Literal["worked", "failed", "inconclusive", "abandoned", "undeclared"] | None
    failure_category: Literal["intelligent", "basic", "complex", "unclassified"] | None
    shared_at: datetime | None
    shipped_at: datetime | None
    last_activity_at: datetime
    again: list[AgainAnswer]
    overdue: bool
    forgotten: bool
    threshold: Duration
    age: Duration | None
    stages: dict[Stage, Duration]


_COMPUTED = {"again", "overdue", "forgotten", "threshold", "age", "stages"}
_STORED = tuple(name for name in ExperimentAnswer.model_fields if name not in _COMPUTED)


def experiment_answer(status: ExperimentStatus) -> ExperimentAnswer:
    """The answer that shows an experiment and its status, for the API and the command line."""
    experiment = status.experiment
    return ExperimentAnswer(
        **{name: getattr(experiment, name) for name in _STORED},
        again=[_restart(restart) for restart in experiment.restarts],
        overdue=status.overdue,
        forgotten=status.forgotten,
        threshold=Duration.of(status.threshold),
        age=Duration.of(status.age) if status.age is not None else None,
        stages={stage: Duration.of(taken) for stage, taken in status.stages.items()},
    )


def _restart(restart: Restart) -> AgainAnswer:
    return AgainAnswer(at=restart.at, concluded=restart.concluded, quiet=Duration.of(restart.quiet))

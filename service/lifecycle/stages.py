"""The stages of an experiment: how long each took, and the stages that metrics omit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from service.lifecycle.experiment import Experiment

Stage = Literal[
    "idea_to_answer",
    "idea_to_start",
    "start_to_signal",
    "signal_to_answer",
    "answer_to_shared",
    "signal_to_shipped",
]

STAGE_NAMES: Mapping[Stage, str] = {
    "idea_to_answer": "idea to answer",
    "idea_to_start": "idea to start",
    "start_to_signal": "start to first result",
    "signal_to_answer": "first result to answer",
    "answer_to_shared": "answer to shared",
    "signal_to_shipped": "first result to shipped",
}
"""The name of each stage in dashboards and messages."""
Reason = Literal["future", "negative_duration"]


@dataclass(frozen=True, slots=True)
class Omission:
    """A stage of an experiment, or the whole experiment, that metrics omit.

    Attributes:
        reason: *future* if an instant of the experiment is in the future; metrics omit the experiment until that
            instant. *negative_duration* if the stage ends before it begins.
        stage: the omitted stage, or None if metrics omit the whole experiment.
    """

    reason: Reason
    stage: Stage | None


def durations(experiment: Experiment) -> Mapping[Stage, timedelta]:
    """The duration of each completed stage, without negative durations."""
    return {stage: taken for stage, taken in spans(experiment) if taken >= timedelta(0)}


def omissions(experiment: Experiment, now: datetime) -> list[Omission]:
    """The omissions as of `now`.

    If a time of the experiment is in the future, there is one omission, of the whole experiment. Otherwise there is one
    for each stage with a negative duration.
    """
    if is_in_future(experiment, now):
        return [Omission("future", None)]
    return [Omission("negative_duration", stage) for stage, taken in spans(experiment) if taken < timedelta(0)]


def is_in_future(experiment: Experiment, now: datetime) -> bool:
    """Whether an instant of the experiment is in the future."""
    return max(experiment.instants) > now


def spans(experiment: Experiment) -> Iterator[tuple[Stage, timedelta]]:
    """The time from beginning to end of each completed stage; negative if the end comes first."""
    answered_at = experiment.concluded_at if experiment.answered else None
    ends: tuple[tuple[Stage, datetime | None, datetime | None], ...] = (
        ("idea_to_answer", experiment.idea_at, answered_at),
        ("idea_to_start", experiment.idea_at, experiment.started_at),
        ("start_to_signal", experiment.started_at, experiment.first_signal_at),
        ("signal_to_answer", experiment.first_signal_at, answered_at),
        ("answer_to_shared", answered_at, experiment.shared_at),
        ("signal_to_shipped", experiment.first_signal_at, experiment.shipped_at),
    )
    for stage, begin, end in ends:
        if begin is not None and end is not None:
            yield stage, end - begin

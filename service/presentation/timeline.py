"""The timeline of an experiment: its six steps, from the idea to production."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.lifecycle.durations import describe_duration
from service.lifecycle.events import Declared, LifecycleEvent, Signalled
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.presentation.experiments import Duration
from service.presentation.said_by import SAID_BY, SaidBy, said_by
from service.queries.explain import ExplainedExperiment
from service.storage.events import Origin

Step = Literal["idea", "start", "first_result", "answer", "shared", "shipped"]
STEP: dict[str, Any] = {
    "step": "answer",
    "at": "2026-03-06T11:05:17Z",
    "after": {"seconds": 248266.0, "words": "2 days 20 hours"},
    "said_by": SAID_BY,
    "remark": "failed (intelligent)",
}
"""An example for the OpenAPI document."""


class StepAnswer(BaseModel):
    """A step of an experiment.

    `at` is null if the step has not happened; `remark` then says what is known. `after` is the time since the step
    before; it is null for the first step, and for a step that is earlier than the step before.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [STEP]})

    step: Step
    at: datetime | None
    after: Duration | None
    said_by: SaidBy | None
    remark: str


def timeline(
    explained: ExplainedExperiment, origins: Mapping[LifecycleEvent, Origin], as_of: datetime
) -> list[StepAnswer]:
    """The steps that happened, and the steps that can still happen, in the order of the stages."""
    answers: list[StepAnswer] = []
    before: datetime | None = None
    for step, at, event, remark in _steps(explained, as_of):
        if at is None and not remark:
            continue
        early = at is not None and before is not None and at < before
        future = at is not None and at > as_of
        notes = (remark, early and "earlier than the step before", future and "in the future")
        answers.append(
            StepAnswer(
                step=step,
                at=at,
                after=Duration.of(at - before) if at is not None and before is not None and not early else None,
                said_by=said_by(event, origins.get(event)) if event else None,
                remark=", ".join(note for note in notes if note),
            )
        )
        before = at or before
    return answers


def _steps(
    explained: ExplainedExperiment, as_of: datetime
) -> Iterator[tuple[Step, datetime | None, LifecycleEvent | None, str]]:
    one, grounds = explained.status.experiment, explained.grounds
    is_open = one.concluded_at is None
    yield "idea", one.idea_at, grounds.proposed, "the first event" if one.idea_inferred else ""
    yield "start", one.started_at, grounds.started, _missing(one.started_at, "not started yet", "", is_open=is_open)
    yield "first_result", one.first_signal_at, grounds.signalled, _first_result(one, grounds.signalled)
    yield "answer", one.concluded_at, grounds.conclusion.concluded, _answer(explained, as_of)
    shared = _shared_event(grounds.declarations, one.shared_at)
    yield "shared", one.shared_at, shared, _missing(one.shared_at, "", "not shared yet", is_open=is_open)
    worked = one.outcome is Outcome.WORKED
    yield "shipped", one.shipped_at, grounds.shipped, "not shipped yet" if worked and one.shipped_at is None else ""


def _missing(at: datetime | None, while_open: str, when_concluded: str, *, is_open: bool) -> str:
    if at is not None:
        return ""
    return while_open if is_open else when_concluded


def _first_result(one: Experiment, signalled: Signalled | None) -> str:
    if signalled is not None:
        return signalled.result
    return "no result yet" if one.started_at is not None and one.concluded_at is None else ""


def _answer(explained: ExplainedExperiment, as_of: datetime) -> str:
    status, one = explained.status, explained.status.experiment
    if one.outcome is not None:
        return f"{one.outcome} ({one.failure_category})" if one.failure_category else one.outcome
    if status.age is None:
        return "not concluded"
    threshold = f"threshold {describe_duration(status.threshold)}"
    late = ": overdue" if status.overdue else ""
    return f"open for {describe_duration(status.age)}, {threshold}{late}{_forgotten(explained, as_of)}"


def _forgotten(explained: ExplainedExperiment, as_of: datetime) -> str:
    if not explained.status.forgotten:
        return ""
    quiet = as_of - explained.status.experiment.last_activity_at
    return f", no activity for {describe_duration(quiet)}: forgotten"


def _shared_event(declarations: Sequence[LifecycleEvent], at: datetime | None) -> LifecycleEvent | None:
    found = (one for one in declarations if isinstance(one, Declared) and one.field == "shared")
    return next((one for one in found if one.occurred_at == at), None)

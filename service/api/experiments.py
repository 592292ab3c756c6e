"""`GET /experiments/{experiment}/explain`: why an experiment counts, or does not, and in which figures."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from service.api.access import Door
from service.api.errors import refusals
from service.lifecycle.codec import data_of, kind_of
from service.lifecycle.errors import BadReference, UnknownSubject, UnreadableEvent
from service.lifecycle.experiment import Experiment
from service.metrics.terms import Terms
from service.pipeline.explain import Explanation, Heard, explain, find_subject
from service.storage.database import Database


class AgainAnswer(BaseModel):
    """An experiment was taken up again: whether it was concluded just before, and how long it had been quiet."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    concluded: bool
    quiet_seconds: float


class ExperimentAnswer(BaseModel):
    """One experiment as it stands."""

    model_config = ConfigDict(from_attributes=True)

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
    outcome: str | None
    failure_category: str | None
    shared_at: datetime | None
    shipped_at: datetime | None
    last_activity_at: datetime
    again: list[AgainAnswer]


class OriginAnswer(BaseModel):
    """A delivery that brought an event, when it was received, and the rule that made the event of it."""

    model_config = ConfigDict(from_attributes=True)

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


class EventAnswer(BaseModel):
    """One event, whether it counts for the experiment, and who said it."""

    subject: str
    kind: str
    occurred_at: datetime
    data: dict[str, Any]
    counts: bool
    origins: list[OriginAnswer]


class FigureAnswer(BaseModel):
    """A sample of a figure that the experiment counts in."""

    model_config = ConfigDict(from_attributes=True)

    metric: str
    labels: dict[str, str]


class ExclusionAnswer(BaseModel):
    """Something that figures leave out: a stage that would be negative, or all while an instant lies ahead."""

    model_config = ConfigDict(from_attributes=True)

    reason: Literal["future", "negative_duration"]
    stage: str | None


class ExcludedAnswer(BaseModel):
    """Why and since when figures leave out what was marked as an experiment."""

    model_config = ConfigDict(from_attributes=True)

    reason: str
    since: datetime


class ExplanationAnswer(BaseModel):
    """What is known of a subject, and why it counts or does not."""

    subject: str
    experiment: ExperimentAnswer | None
    why_not: str
    excluded: ExcludedAnswer | None
    serves: list[str]
    events: list[EventAnswer]
    stage_seconds: dict[str, float]
    left_out: list[ExclusionAnswer]
    figures: list[FigureAnswer]


def answer(explanation: Explanation) -> ExplanationAnswer:
    """An explanation as the API and the command line show it."""
    return ExplanationAnswer(
        subject=explanation.subject,
        experiment=_experiment(explanation.experiment) if explanation.experiment else None,
        why_not=explanation.why_not,
        excluded=ExcludedAnswer.model_validate(explanation.excluded) if explanation.excluded else None,
        serves=list(explanation.serves),
        events=[_event(heard) for heard in explanation.heard],
        stage_seconds={stage: taken.total_seconds() for stage, taken in explanation.stages.items()},
        left_out=[ExclusionAnswer.model_validate(one) for one in explanation.left_out],
        figures=[FigureAnswer.model_validate(figure) for figure in explanation.figures],
    )


def _experiment(experiment: Experiment) -> ExperimentAnswer:
    return ExperimentAnswer.model_validate(experiment)


def _event(heard: Heard) -> EventAnswer:
    return EventAnswer(
        subject=heard.subject,
        kind=kind_of(heard.event),
        occurred_at=heard.event.occurred_at,
        data=data_of(heard.event),
        counts=heard.counts,
        origins=[OriginAnswer.model_validate(origin) for origin in heard.origins],
    )


def router(database: Database, read: Door, terms: Terms, clock: Callable[[], datetime]) -> APIRouter:
    """The endpoints of experiments.

    Args:
        read: who may see them.
        terms: those of the figures.
        clock: the time now, UTC.
    """
    routes = APIRouter(prefix="/experiments", tags=["experiments"], dependencies=[Depends(read)])

    @routes.get(
        "/{experiment:path}/explain",
        summary="Every event of an experiment, its clocks, sources and rules, and each figure that it counts in",
        description="By the experiment's id, or by any of its references, such as `github:acme/app%2345`.",
        responses=refusals(UnknownSubject, BadReference, UnreadableEvent),
    )
    async def explained(experiment: str) -> ExplanationAnswer:
        subject = await find_subject(database, experiment)
        return answer(await explain(database, subject, terms, clock()))

    return routes

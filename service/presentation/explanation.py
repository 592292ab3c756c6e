"""Explanations as the API and the command line show them: why an experiment counts, or why it does not."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.lifecycle.codec import data_of, kind_of
from service.presentation.experiments import EXPERIMENT, ExperimentAnswer, experiment_answer
from service.queries.explain import ExplainedEvent, Explanation


class OriginAnswer(BaseModel):
    """A delivery that reported an event, and the rule that produced the event from this delivery."""

    model_config = ConfigDict(from_attributes=True)

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


class EventAnswer(BaseModel):
    """An event, whether it counts for the experiment, and its origins."""

    subject: str
    kind: str
    occurred_at: datetime
    data: dict[str, Any]
    counts: bool
    origins: list[OriginAnswer]


class FigureAnswer(BaseModel):
    """A metric, with its labels, in which the experiment counts."""

    model_config = ConfigDict(from_attributes=True)

    metric: str
    labels: dict[str, str]


class ExclusionAnswer(BaseModel):
    """An omission from the metrics.

    The metrics omit a stage with a negative duration. While a time of the experiment is in the future, they omit the
    whole experiment, and `stage` is null.
    """

    model_config = ConfigDict(from_attributes=True)

    reason: Literal["future", "negative_duration"]
    stage: str | None


class ExcludedAnswer(BaseModel):
    """The exclusion of the experiment from metrics: why, and since when."""

    model_config = ConfigDict(from_attributes=True)

    reason: str
    since: datetime


_EXAMPLE: dict[str, Any] = {
    "subject": "github:acme/app#45",
    "experiment": EXPERIMENT,
    "why_not": "",
    "excluded": None,
    "serves": [],
    "events": [
        {
            "subject": "github:acme/app#45",
            "kind": "concluded",
            "occurred_at": "2026-03-06T11:05:17Z",
            "data": {},
            "counts": True,
            "origins": [
                {
                    "delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11",
                    "source": "github",
                    "received_at": "2026-03-06T11:05:18Z",
                    "rule": "concluded by closing",
                }
            ],
        }
    ],
    "left_out": [],
    "figures": [
        {"metric": "loopgauge_failures", "labels": {"team": "search", "category": "intelligent", "window": "7d"}}
    ],
}


class ExplanationAnswer(BaseModel):
    """The events of an experiment or of its evidence, and why the experiment counts or does not count."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    subject: str
    experiment: ExperimentAnswer | None
    why_not: str
    excluded: ExcludedAnswer | None
    serves: list[str]
    events: list[EventAnswer]
    left_out: list[ExclusionAnswer]
    figures: list[FigureAnswer]


def explanation_answer(explanation: Explanation) -> ExplanationAnswer:
    """The answer that shows an explanation, for the API and the command line."""
    return ExplanationAnswer(
        subject=explanation.subject,
        experiment=experiment_answer(explanation.status) if explanation.status else None,
        why_not=explanation.why_not,
        excluded=ExcludedAnswer.model_validate(explanation.excluded) if explanation.excluded else None,
        serves=list(explanation.serves),
        events=[_event(event) for event in explanation.events],
        left_out=[ExclusionAnswer.model_validate(one) for one in explanation.omissions],
        figures=[FigureAnswer.model_validate(sample) for sample in explanation.samples],
    )


def _event(explained: ExplainedEvent) -> EventAnswer:
    return EventAnswer(
        subject=explained.subject,
        kind=kind_of(explained.event),
        occurred_at=explained.event.occurred_at,
        data=data_of(explained.event),
        counts=explained.counts,
        origins=[OriginAnswer.model_validate(origin) for origin in explained.origins],
    )

"""Explanations as the API and the command line show them: why an experiment counts, or why it does not."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.lifecycle.acts import ACTS
from service.lifecycle.codec import data_of, event_id, kind_of
from service.lifecycle.events import Declared, LifecycleEvent, RefusedChannel, Shown, Withdrawn
from service.lifecycle.exclusions import UNMARKED, Exclusion
from service.lifecycle.stages import STAGE_NAMES, is_in_future
from service.presentation.experiments import EXPERIMENT, Duration, ExperimentAnswer, experiment_answer
from service.presentation.in_force import FIELD, FieldAnswer, in_force
from service.presentation.said_by import SaidBy, said_by
from service.presentation.timeline import STEP, StepAnswer, timeline
from service.queries.explain import ExplainedEvent, ExplainedExperiment, Explanation

_BY_COMMAND = ACTS["excluded"].default
"""The reason of an exclusion that people state. A proposal takes it back."""


class OriginAnswer(BaseModel):
    """A delivery that reported an event, and the rule that produced the event from this delivery."""

    model_config = ConfigDict(from_attributes=True)

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


class EventAnswer(BaseModel):
    """An event, whether it counts for the experiment, and its origins.

    `objection` says why a command, a start, a result or a deployment on evidence does not count, because of the place
    or the author of the evidence; empty otherwise. `outweighed` says why an event that counts has no effect, such as a
    later value that replaced it; empty otherwise.
    """

    subject: str
    kind: str
    occurred_at: datetime
    data: dict[str, Any]
    counts: bool
    objection: str
    outweighed: str = ""
    origins: list[OriginAnswer]


class RefusedAnswer(BaseModel):
    """A label, a link, or a command in a comment, that has no effect, and the reason.

    `reason` quotes no word that may be a person's name.
    """

    model_config = ConfigDict(from_attributes=True)

    subject: str
    occurred_at: datetime
    channel: RefusedChannel
    reason: str
    origins: list[OriginAnswer]


class PartAnswer(BaseModel):
    """How many experiments the numerator or the sample of a metric has, and whether this experiment is one of them."""

    model_config = ConfigDict(from_attributes=True)

    count: int
    includes: bool


class FigureAnswer(BaseModel):
    """A sample of a metric that counts the experiment. A share with the value 0 counts the experiments in its
    denominator.

    `value` is the value of the sample now, in the metric's unit; null if it is not published or not computed here, and
    then `remark` says why. `own` is the experiment's own part of a count, its own duration in seconds, or its own Unix
    time; null for a share. `numerator` counts the experiments in the numerator of a share of experiments. `sample`
    counts the experiments in the denominator of a share or in the sample of a quantile.
    """

    model_config = ConfigDict(from_attributes=True)

    metric: str
    labels: dict[str, str]
    kind: Literal["count", "share", "duration", "time"]
    value: float | None
    own: float | None
    numerator: PartAnswer | None
    sample: PartAnswer | None
    remark: str


class ExclusionAnswer(BaseModel):
    """An omission from the metrics.

    The metrics omit a stage with a negative duration. While a time of the experiment is in the future, they omit the
    whole experiment, and `stage` is null.
    """

    model_config = ConfigDict(from_attributes=True)

    reason: Literal["future", "negative_duration"]
    stage: str | None


class ExcludedAnswer(BaseModel):
    """The exclusion of the experiment from metrics: why, since when, and who said so."""

    reason: str
    since: datetime
    said_by: SaidBy | None


_EXAMPLE: dict[str, Any] = {
    "subject": "github:acme/app#45",
    "title": "Answer from the cache",
    "experiment": EXPERIMENT,
    "why_not": "",
    "remedy": "",
    "excluded": None,
    "serves": [],
    "events": [
        {
            "subject": "github:acme/app#45",
            "kind": "concluded",
            "occurred_at": "2026-03-06T11:05:17Z",
            "data": {},
            "counts": True,
            "objection": "",
            "outweighed": "",
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
    "next": None,
    "left_out": [],
    "figures": [
        {
            "metric": "loopgauge_failure_category_ratio",
            "labels": {"team": "search", "category": "basic", "window": "30d"},
            "kind": "share",
            "value": 0.4,
            "own": None,
            "numerator": {"count": 2, "includes": False},
            "sample": {"count": 5, "includes": True},
            "remark": "",
        }
    ],
    "as_of": "2026-03-08T09:00:00Z",
    "timeline": [STEP],
    "in_force": [FIELD],
    "not_counted": [],
    "refused": [
        {
            "subject": "github:acme/app#45",
            "occurred_at": "2026-03-06T11:04:00Z",
            "channel": "comment",
            "reason": (
                "conclude: failure category: `inteligent` is none of intelligent, basic, complex; "
                "did you mean intelligent?"
            ),
            "origins": [
                {
                    "delivery": "5b3c1f0e-6a0f-5f8e-8d1b-2f0a6f1e7c22",
                    "source": "github",
                    "received_at": "2026-03-06T11:04:01Z",
                    "rule": "refused",
                }
            ],
        }
    ],
    "row": "search",
    "minimum_sample": 5,
    "forgotten_after": {"seconds": 2592000.0, "words": "30 days"},
}


class ExplanationAnswer(BaseModel):
    """The events of an experiment or of its evidence, and why the experiment counts or does not count.

    If the subject is not an experiment, `title` is its own title, `why_not` says why, and `remedy` says how to mark it.
    They may be empty.

    `timeline` has the experiment's steps, and `in_force` its fields with the statements behind them. `figures` has the
    metric samples that count the experiment, with the value of the label `team` in `row`. `not_counted` says which
    metrics do not count the experiment, and why. `refused` has the commands and labels without effect, with their
    reasons. `events` has everything else, in order of time: a page of at most 1,000 events. `next` is the cursor of the
    next page, and null on the last page.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    subject: str
    title: str = ""
    experiment: ExperimentAnswer | None
    why_not: str
    remedy: str = ""
    excluded: ExcludedAnswer | None
    serves: list[str]
    events: list[EventAnswer]
    next: str | None = None
    left_out: list[ExclusionAnswer]
    figures: list[FigureAnswer]
    as_of: datetime
    timeline: list[StepAnswer]
    in_force: list[FieldAnswer]
    not_counted: list[str]
    refused: list[RefusedAnswer]
    row: str
    minimum_sample: int
    forgotten_after: Duration


def explanation_answer(
    explanation: Explanation, commanding: Collection[str], marks: Mapping[str, str] = MappingProxyType({})
) -> ExplanationAnswer:
    """The answer that shows an explanation, for the API and the command line.

    Args:
        commanding: the providers whose comments may give commands.
        marks: by provider, how people mark an item as an experiment.
    """
    explained, origins = explanation.experiment, explanation.origins
    return ExplanationAnswer(
        subject=explanation.subject,
        title=explanation.title,
        remedy=_remedy(explanation, commanding, marks),
        experiment=experiment_answer(explained.status) if explained else None,
        why_not=explanation.why_not,
        excluded=_excluded(explanation, explanation.excluded) if explanation.excluded else None,
        serves=list(explanation.serves),
        events=[_event(event) for event in explanation.events],
        next=explanation.following,
        left_out=[ExclusionAnswer.model_validate(one) for one in explained.omissions] if explained else [],
        figures=[FigureAnswer.model_validate(one) for one in explained.contributions] if explained else [],
        as_of=explanation.as_of,
        timeline=timeline(explained, origins, explanation.as_of) if explained else [],
        in_force=in_force(explained, origins, commanding) if explained else [],
        not_counted=list(_not_counted(explained, explanation)) if explained else [],
        refused=[RefusedAnswer.model_validate(one) for one in explanation.refusals],
        row=explained.row if explained else "",
        minimum_sample=explanation.terms.min_sample,
        forgotten_after=Duration.of(explanation.terms.forgotten_after),
    )


def _remedy(explanation: Explanation, commanding: Collection[str], marks: Mapping[str, str]) -> str:
    """Say how to make an unmarked item an experiment. Evidence, such as a commit, needs no mark of its own."""
    reason = explanation.excluded.reason if explanation.excluded else UNMARKED
    if explanation.experiment or explanation.serves or reason not in (UNMARKED, _BY_COMMAND):
        return ""
    provider = explanation.subject.partition(":")[0]
    ways = [
        marks.get(provider, "") if reason == UNMARKED else "",
        "comment /experiment propose" if provider in commanding else f"run `loopgauge propose {explanation.subject}`",
    ]
    return ", or ".join(filter(None, ways)) if provider in marks else ""


def _excluded(explanation: Explanation, exclusion: Exclusion) -> ExcludedAnswer:
    stated = (event for event in explanation.origins if _excludes(event, exclusion))
    # A reported withdrawal comes before a state that shows the same.
    event = min(stated, key=lambda event: (isinstance(event, Shown), event.subject, event_id(event)), default=None)
    said = said_by(event, explanation.origins.get(event)) if event else None
    return ExcludedAnswer(reason=exclusion.reason, since=exclusion.since, said_by=said)


def _excludes(event: LifecycleEvent, exclusion: Exclusion) -> bool:
    if event.occurred_at != exclusion.since:
        return False
    if exclusion.reason == UNMARKED:
        return isinstance(event, Shown) or (isinstance(event, Withdrawn) and event.field == "experiment")
    return isinstance(event, Declared) and (event.field, event.value) == ("excluded", exclusion.reason)


def _not_counted(explained: ExplainedExperiment, explanation: Explanation) -> Iterator[str]:
    """The groups of metrics that do not count the experiment, each with the reason."""
    one, now = explained.status.experiment, explanation.as_of
    longest = max(explanation.terms.windows, key=lambda window: window.length)
    if is_in_future(one, now):
        yield f"no metric counts it until {max(one.instants):%Y-%m-%d %H:%M}: it has a time in the future"
        return
    for omission in explained.omissions:
        if omission.stage is not None:
            yield f"the stage {STAGE_NAMES[omission.stage]} is left out: it ends before it begins"
    if one.concluded_at is None:
        yield "metrics of answers and failures do not count it: it is open"
    elif one.concluded_at < now - longest.length:
        yield f"metrics of answers do not count it: it was concluded before the longest window, {longest.label}"
    elif not one.answered:
        yield "metrics of answers and failures do not count it: it was abandoned"
    if one.idea_at < now - longest.length:
        yield f"metrics of proposed experiments do not count it: the idea is before the longest window, {longest.label}"


def _event(explained: ExplainedEvent) -> EventAnswer:
    return EventAnswer(
        subject=explained.subject,
        kind=kind_of(explained.event),
        occurred_at=explained.event.occurred_at,
        data=data_of(explained.event),
        counts=explained.counts,
        objection=explained.objection,
        outweighed=explained.outweighed,
        origins=[OriginAnswer.model_validate(origin) for origin in explained.origins],
    )

"""The figures of a scorecard: each with the sample that it rests on, or the reason why there is none."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory

T = TypeVar("T")


class Reading(BaseModel, Generic[T]):
    """A figure at one moment."""

    model_config = ConfigDict(frozen=True)

    value: Annotated[T | None, Field(description="Null where there is none; then there is a reason.")]
    words: Annotated[str | None, Field(description="The value in words, where it is no plain count or share.")] = None
    n: Annotated[int, Field(ge=0, description="On how many experiments it rests.")]
    reason: Annotated[str | None, Field(description="Why there is no value.")] = None


class Figure(Reading[T], Generic[T]):
    """A figure, and what it was one window ago, from what is known now."""

    previous: Annotated[Reading[T], Field(description="The same for the window before this one.")]


class Count(Figure[int]):
    """How many there are."""


class Share(Figure[float]):
    """A part of a whole, between 0 and 1."""


class Seconds(Figure[float]):
    """A length of time in seconds."""


class Moment(Figure[datetime]):
    """A point in time, UTC."""


class Categories(Figure[list[FailureCategory]]):
    """Some of Edmondson's categories."""


class Length(BaseModel):
    """A length of time."""

    seconds: float
    words: str


class StageTimes(BaseModel):
    """How long one stage took, in seconds, of the experiments answered in the window that know it."""

    stage: Stage
    median: Seconds
    p90: Seconds


class WithOpenLoops(BaseModel):
    """Idea to answer by Kaplan-Meier, of all that was proposed in the window: open and abandoned loops are censored."""

    median: Seconds
    p90: Seconds
    answered_by_threshold: Share


class IdeaToAnswer(BaseModel):
    """How long from "I want to try something" to knowing whether it worked?"""

    threshold: Length
    median: Seconds
    p90: Seconds
    answered_within_threshold: Share
    with_open_loops: WithOpenLoops
    stages: Annotated[tuple[StageTimes, ...], Field(description="Where the time goes, in the order as lived.")]


class Sharing(BaseModel):
    """When did someone last share a failed experiment?"""

    last_failure_shared: Annotated[
        Moment, Field(description="Whatever the window; `n` is how many failed experiments were shared in it.")
    ]
    learnings_shared: Count
    failed: Annotated[Count, Field(description="Of `n` answered.")]


class OfCategory(BaseModel):
    """The failures of one of Edmondson's categories."""

    category: FailureCategory
    count: Annotated[Count, Field(description="Of `n` failed.")]
    share_of_answered: Share


class Failures(BaseModel):
    """Which of Edmondson's groups is the biggest?"""

    biggest: Annotated[Categories, Field(description="Several where they have as many failures.")]
    categories: tuple[OfCategory, ...]


class BoldOrSafe(BaseModel):
    """Do people want the risky projects or the safe ones?"""

    bold: Annotated[Count, Field(description="Of `n` proposed.")]
    safe: Annotated[Count, Field(description="Of `n` proposed.")]
    undeclared: Annotated[Count, Field(description="Of `n` proposed.")]
    share_of_bold: Annotated[Share, Field(description="Of those of which somebody said which.")]
    bold_pickup_median: Annotated[Seconds, Field(description="From idea to start, of the bold that were started.")]
    safe_pickup_median: Annotated[Seconds, Field(description="From idea to start, of the safe that were started.")]


class Loops(BaseModel):
    """The story around the four questions."""

    open: Count
    overdue: Annotated[Count, Field(description="Of `n` open.")]
    forgotten: Annotated[Count, Field(description="Of `n` open.")]
    repeated: Annotated[Count, Field(description="The same idea started again.")]
    abandoned: Annotated[Share, Field(description="Of `n` concluded.")]


class Scorecard(BaseModel):
    """The four questions for one team or the organisation, over a window up to now."""

    team: Annotated[str, Field(description="`_org` is the organisation.")]
    teams: Annotated[tuple[str, ...], Field(description="Who can be asked for, in alphabetical order.")]
    window: str
    since: Annotated[datetime, Field(description="The beginning of the window.")]
    taken_at: Annotated[datetime, Field(description="The end of the window, and the moment that all is as of.")]
    minimum_sample: Annotated[int, Field(description="On fewer experiments shares and medians are withheld.")]
    idea_to_answer: IdeaToAnswer
    sharing: Sharing
    failures: Failures
    bold_or_safe: BoldOrSafe
    loops: Loops

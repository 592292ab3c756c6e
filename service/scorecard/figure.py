"""The values of a scorecard. Each has the size of its sample, or the reason why it is missing."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory

T = TypeVar("T")


class Reading(BaseModel, Generic[T]):
    """A value as of one time."""

    model_config = ConfigDict(frozen=True)

    value: Annotated[T | None, Field(description="Null if there is no value; then `reason` says why.")]
    words: Annotated[str | None, Field(description="The value in words, unless it is a plain count or share.")] = None
    n: Annotated[int, Field(ge=0, description="The number of experiments behind the value.")]
    reason: Annotated[str | None, Field(description="Why there is no value.")] = None


class Figure(Reading[T], Generic[T]):
    """A value, and the value as of one window ago. Both are computed from the data stored now."""

    previous: Annotated[Reading[T], Field(description="The value for the previous window.")]


class Count(Figure[int]):
    """A number of experiments."""


class Share(Figure[float]):
    """A ratio between 0 and 1."""


class Seconds(Figure[float]):
    """A length of time in seconds."""


class Moment(Figure[datetime]):
    """A point in time, UTC."""


class Categories(Figure[list[FailureCategory]]):
    """Edmondson's categories of failure."""


class Length(BaseModel):
    """A length of time."""

    seconds: float
    words: str


class StageTimes(BaseModel):
    """The duration of one stage, over the experiments answered in the window for which that duration is known."""

    stage: Stage
    median: Seconds
    p90: Seconds


class WithOpenLoops(BaseModel):
    """The Kaplan-Meier estimate of the time from idea to answer, for experiments proposed in the window.

    Open and abandoned experiments are censored.
    """

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
    stages: Annotated[tuple[StageTimes, ...], Field(description="The stages in their order.")]


class Sharing(BaseModel):
    """When did someone last share a failed experiment?"""

    last_failure_shared: Annotated[
        Moment, Field(description="Not limited to the window. `n` is the number of failed experiments shared in it.")
    ]
    learnings_shared: Count
    failed: Annotated[Count, Field(description="Of `n` answered.")]


class OfCategory(BaseModel):
    """The failures in one of Edmondson's categories."""

    category: FailureCategory
    count: Annotated[Count, Field(description="Of `n` failed.")]
    share_of_answered: Share


class Failures(BaseModel):
    """Which of Edmondson's groups is the biggest?"""

    biggest: Annotated[Categories, Field(description="Several categories if they tie.")]
    categories: tuple[OfCategory, ...]


class BoldOrSafe(BaseModel):
    """Do people want the risky projects or the safe ones?"""

    bold: Annotated[Count, Field(description="Of `n` proposed.")]
    safe: Annotated[Count, Field(description="Of `n` proposed.")]
    undeclared: Annotated[Count, Field(description="Of `n` proposed.")]
    share_of_bold: Annotated[Share, Field(description="Among the experiments declared bold or safe.")]
    bold_pickup_median: Annotated[Seconds, Field(description="From idea to start, for started bold experiments.")]
    safe_pickup_median: Annotated[Seconds, Field(description="From idea to start, for started safe experiments.")]


class Loops(BaseModel):
    """Open, repeated and abandoned experiments."""

    open: Count
    overdue: Annotated[Count, Field(description="Of `n` open.")]
    forgotten: Annotated[Count, Field(description="Of `n` open.")]
    repeated: Annotated[Count, Field(description="How often an idea started again.")]
    abandoned: Annotated[Share, Field(description="Of `n` concluded.")]


class Scorecard(BaseModel):
    """Answers to the four questions for one team or the organisation, over a window that ends now."""

    team: Annotated[str, Field(description="`_org` is the organisation.")]
    teams: Annotated[tuple[str, ...], Field(description="The teams that have a scorecard, in alphabetical order.")]
    window: str
    since: Annotated[datetime, Field(description="The beginning of the window.")]
    taken_at: Annotated[datetime, Field(description="The end of the window. All values are as of this time.")]
    minimum_sample: Annotated[
        int, Field(description="The fewest experiments for which shares and medians are published.")
    ]
    idea_to_answer: IdeaToAnswer
    sharing: Sharing
    failures: Failures
    bold_or_safe: BoldOrSafe
    loops: Loops

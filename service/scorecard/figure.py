"""The values of a scorecard, each with the size of its sample. A missing value also has a reason."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory

T = TypeVar("T")


class Reading(BaseModel, Generic[T]):
    """A value as of one time."""

    model_config = ConfigDict(frozen=True)

    value: Annotated[T | None, Field(description="Null if there is no value. In this case `reason` says why.")]
    words: Annotated[
        str | None,
        Field(
            description="A duration with its unit, such as `12.3 days`, a time such as `2.4 days ago`, "
            "`share_of_bold` in words, or `at least 9 %` if no idea is as old as the threshold yet. Otherwise null."
        ),
    ] = None
    n: Annotated[int, Field(ge=0, description="The number of experiments behind the value.")]
    reason: Annotated[str | None, Field(description="The reason why there is no value.")] = None


class Figure(Reading[T], Generic[T]):
    """A current value, and the value as of one window ago. Both are computed from the data stored now."""

    previous: Annotated[Reading[T], Field(description="The value as of one window ago.")]


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
    """The duration of one stage, over the experiments that were answered in the window and have this stage."""

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
    stages: Annotated[tuple[StageTimes, ...], Field(description="The stages, in the order in which they happen.")]


class Sharing(BaseModel):
    """When did someone last share a failed experiment?"""

    last_failure_shared: Annotated[
        Moment,
        Field(
            description="The time at which a failed experiment was last shared, which may be before the window. `n` is "
            "the number of failed experiments shared in the window."
        ),
    ]
    learnings_shared: Count
    failed: Annotated[Count, Field(description="How many of the `n` answered experiments failed.")]


class OfCategory(BaseModel):
    """The failures in one of Edmondson's categories."""

    category: FailureCategory
    count: Annotated[Count, Field(description="How many of the `n` failed experiments have the category.")]
    share_of_answered: Share


class Failures(BaseModel):
    """Which of Edmondson's groups of failures is the biggest?"""

    biggest: Annotated[Categories, Field(description="The most frequent category, or several on a tie.")]
    categories: tuple[OfCategory, ...]


class BoldOrSafe(BaseModel):
    """Do people want the risky projects or the safe ones?"""

    bold: Annotated[Count, Field(description="How many of the `n` proposed experiments are declared bold.")]
    safe: Annotated[Count, Field(description="How many of the `n` proposed experiments are declared safe.")]
    undeclared: Annotated[Count, Field(description="How many of the `n` proposed experiments declare no risk.")]
    share_of_bold: Annotated[
        Share, Field(description="The share of bold experiments among the experiments that are declared bold or safe.")
    ]
    bold_pickup_median: Annotated[Seconds, Field(description="Median time from idea to start, for bold experiments.")]
    safe_pickup_median: Annotated[Seconds, Field(description="Median time from idea to start, for safe experiments.")]


class Loops(BaseModel):
    """Open, repeated and abandoned experiments."""

    open: Count
    overdue: Annotated[
        Count, Field(description="How many of the `n` open experiments are over their team's threshold.")
    ]
    forgotten: Annotated[
        Count, Field(description="How many of the `n` open experiments have had no activity for a long time.")
    ]
    repeated: Annotated[
        Count, Field(description="How often an idea started again after its experiment was concluded or forgotten.")
    ]
    abandoned: Annotated[Share, Field(description="The share of the `n` concluded experiments that were abandoned.")]


class Scorecard(BaseModel):
    """Answers to the four questions for one team or the organisation, over a window that ends now."""

    team: Annotated[str, Field(description="The team's name, or `_org` for the organisation.")]
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

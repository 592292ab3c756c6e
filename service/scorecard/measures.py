"""What a scorecard measures: of a row the value, how many experiments it rests on, or why there is no value."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.last_failure_shared import failure_shared_at
from service.metrics.pickup_quantile import WAITED
from service.metrics.view import View
from service.scorecard.board import Row
from service.scorecard.words import boldness_in_words, length_in_words

T = TypeVar("T")


class Measured(NamedTuple, Generic[T]):
    """A value, on how many experiments it rests, and it in words; or why there is none."""

    value: T | None
    n: int
    reason: str | None = None
    words: str | None = None


Measure: TypeAlias = Callable[[Row], Measured[T]]
Counting: TypeAlias = Callable[[Row], int]

_ANSWERED = tuple(outcome for outcome in Outcome if outcome is not Outcome.ABANDONED)
_NOT_REACHED = {
    "0.5": "not reached: less than half are answered, however long one waits",
    "0.9": "not reached: less than nine in ten are answered, however long one waits",
}


def answered(row: Row) -> int:
    """How many experiments were answered in the window."""
    return sum(row.count("experiments_concluded", outcome=outcome) for outcome in _ANSWERED)


def concluded(row: Row) -> int:
    """How many experiments were concluded in the window."""
    return sum(row.count("experiments_concluded", outcome=outcome) for outcome in Outcome)


def proposed(row: Row) -> int:
    """How many ideas there were in the window."""
    return sum(row.count("experiments_proposed", risk=risk) for risk in (*Risk, "undeclared"))


def failed(row: Row) -> int:
    """How many experiments answered in the window failed."""
    return sum(row.count("failures", category=category) for category in FailureCategory)


def in_flight(row: Row) -> int:
    """How many experiments are open."""
    return sum(row.count("experiments_in_flight", stage=stage) for stage in ("proposed", "running"))


def counted(count: Counting, of: Counting | None = None) -> Measure[int]:
    """A count, of how many; of itself where it is part of nothing."""
    return lambda row: Measured(value=count(row), n=(of or count)(row))


def of_kind(name: str, **labels: str) -> Counting:
    """A count that the metrics have."""
    return lambda row: row.count(name, **labels)


def stage_time(stage: Stage, q: str) -> Measure[float]:
    """An exact quantile of how long a stage took."""
    what = "answered" if stage == "idea_to_answer" else "with this stage known"

    def measure(row: Row) -> Measured[float]:
        sample = row.count("stage_samples", stage=stage)
        return _seconds(row, row.value("stage_quantile_seconds", stage=stage, q=q), sample, what)

    return measure


def within_threshold(row: Row) -> Measured[float]:
    """The share of answers that took at most their own team's threshold."""
    sample = row.count("stage_samples", stage="idea_to_answer")
    return _gated(row, row.value("answered_within_threshold_ratio"), sample, "answered")


def survival_time(q: str) -> Measure[float]:
    """A quantile of the time to the answer with open loops counted."""

    def measure(row: Row) -> Measured[float]:
        reached = row.value("idea_to_answer_survival_quantile_seconds", q=q)
        return _seconds(row, reached, _watched(row), "proposed", _NOT_REACHED[q])

    return measure


def answered_by_threshold(row: Row) -> Measured[float]:
    """The share that is answered by the threshold with open loops counted."""
    return _gated(row, row.value("survival_answered_by_threshold_ratio"), _watched(row), "proposed")


def last_failure_shared(row: Row) -> Measured[datetime]:
    """When the learning from a failed experiment was last shared."""
    seconds = row.value("last_failure_shared_timestamp_seconds")
    in_window = len(failure_shared_at(row.cohort(View.shared).loops))
    if seconds is None:
        return Measured(value=None, n=in_window, reason="no failed experiment was shared yet")
    ago = length_in_words(row.board.now.timestamp() - seconds)
    return Measured(value=datetime.fromtimestamp(seconds, UTC), words=f"{ago} ago", n=in_window)


def biggest(row: Row) -> Measured[list[FailureCategory]]:
    """The categories with the most failures."""
    counts = {category: row.count("failures", category=category) for category in FailureCategory}
    if not (most := max(counts.values())):
        return Measured(value=None, n=0, reason="none failed")
    largest = [category for category, count in counts.items() if count == most]
    return Measured(value=largest, n=sum(counts.values()))


def failure_share(category: FailureCategory) -> Measure[float]:
    """The failures of a category over what was answered."""
    return lambda row: _gated(row, row.value("failure_category_ratio", category=category), answered(row), "answered")


def abandoned(row: Row) -> Measured[float]:
    """The abandoned over what was concluded."""
    return _gated(row, row.value("abandoned_ratio"), concluded(row), "concluded")


def share_of_bold(row: Row) -> Measured[float]:
    """The bold over those of which somebody said which they are."""
    bold, safe = (row.count("experiments_proposed", risk=risk) for risk in (Risk.BOLD, Risk.SAFE))
    share = bold / (bold + safe) if row.board.view.enough(bold + safe) else None
    measured = _gated(row, share, bold + safe, "declared bold or safe")
    return measured if share is None else measured._replace(words=boldness_in_words(share))


def pickup_time(risk: Risk) -> Measure[float]:
    """The median time from idea to start of ideas of this risk."""

    def measure(row: Row) -> Measured[float]:
        sample = len(row.cohort(View.proposed).ordered(WAITED[risk]))
        return _seconds(row, row.value("pickup_quantile_seconds", risk=risk, q="0.5"), sample, f"of the {risk} started")

    return measure


def unknown_then(reason: str) -> Measure[int]:
    """What nobody can tell of the past."""
    return lambda _: Measured(None, 0, reason)


def _watched(row: Row) -> int:
    return row.cohort(View.proposed).survival[1]


def _seconds(row: Row, value: float | None, sample: int, what: str, missing: str = "") -> Measured[float]:
    reading = _gated(row, value, sample, what, missing)
    return reading if value is None else reading._replace(words=length_in_words(value))


def _gated(row: Row, value: float | None, sample: int, what: str, missing: str = "") -> Measured[float]:
    """A figure that is withheld below the minimum sample.

    Args:
        what: what there are too few of.
        missing: why there may be none on a sample that is large enough.
    """
    if value is not None:
        return Measured(value=value, n=sample)
    enough = row.board.view.enough(sample)
    too_few = f"fewer than {row.board.view.terms.min_sample} {what} ({sample})" if sample else f"none {what}"
    return Measured(value=None, n=sample, reason=missing if enough else too_few)

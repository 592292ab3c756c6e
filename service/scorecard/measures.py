"""The measures of a scorecard.

A measure returns a row's value and the number of experiments behind that value, or the reason why there is no value.
Measures call the same pure functions as the exported metrics, so that a scorecard and a scrape agree.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from service.lifecycle.durations import measure_duration
from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory, Risk
from service.metrics import latency, outcomes, risk, sharing, survival
from service.metrics.estimators import quantile
from service.metrics.view import Cohorts, View
from service.scorecard.figure import Reading
from service.scorecard.rows import Row
from service.scorecard.words import boldness_in_words

Measure: TypeAlias = Callable[[Row], Reading[Any]]
Count: TypeAlias = Callable[[Row], int]

_NOT_REACHED = "not reached within the time observed"


def size(population: Callable[[View], Cohorts]) -> Count:
    """Return a function that counts the experiments in a population."""
    return lambda row: len(row.cohort(population(row.view)))


answered = size(lambda view: view.answered)
concluded = size(lambda view: view.concluded)
proposed = size(lambda view: view.proposed)
shared = size(lambda view: view.shared)
in_flight = size(lambda view: view.open)
overdue = size(lambda view: view.overdue)
forgotten = size(lambda view: view.forgotten)


def failed(row: Row) -> int:
    """The number of failed experiments among the answered experiments."""
    failures = row.cohort(row.view.answered).failures
    return sum(failures[category] for category in FailureCategory)


def failed_as(category: FailureCategory) -> Count:
    """Return a function that counts the failures in a category."""
    return lambda row: row.cohort(row.view.answered).failures[category]


def proposed_as(declared: Risk | None) -> Count:
    """Return a function that counts the proposed experiments with this declared risk; None means no declared risk."""
    return lambda row: row.cohort(row.view.proposed).risks[declared]


def repeated(row: Row) -> int:
    """The number of times that an idea started again after its experiment was concluded or forgotten."""
    return row.repeats


def counted(count: Count, total: Count | None = None) -> Measure:
    """Turn a count into a measure. The sample `n` is the value of `total`, or the count itself without a `total`."""
    return lambda row: Reading[int](value=count(row), n=(total or count)(row))


def stage_time(stage: Stage, q: float) -> Measure:
    """An exact quantile of the duration of a stage."""
    condition = "answered" if stage == "idea_to_answer" else "answered with this stage"

    def measure(row: Row) -> Reading[float]:
        durations = row.cohort(row.view.answered).durations(stage)
        return _in_words(_gated(row, lambda: quantile(durations, q), len(durations), condition))

    return measure


def within_threshold(row: Row) -> Reading[float]:
    """The share of answers that came within the threshold of their own team."""
    within, answers = latency.within_threshold(row.cohort(row.view.answered), row.view.terms)
    return _gated(row, lambda: within / answers, answers, "answered")


def survival_time(q: float) -> Measure:
    """A quantile of the time from idea to answer, including open experiments."""

    def measure(row: Row) -> Reading[float]:
        curve, sample = row.cohort(row.view.proposed).survival
        return _in_words(_gated(row, lambda: curve.quantile(q), sample, "proposed", _NOT_REACHED))

    return measure


def answered_by_threshold(row: Row) -> Reading[float]:
    """The estimated share of proposed experiments, including open ones, that are answered within the threshold."""
    cohort = row.cohort(row.view.proposed)
    share = survival.answered_by_threshold
    reading = _gated(row, lambda: share(cohort, row.view.terms), cohort.survival[1], "proposed")
    threshold = row.view.terms.threshold(cohort.team).total_seconds()
    if reading.value is None or cohort.longest_observed >= threshold:
        return reading
    # No idea is as old as the threshold yet, so later answers can only raise the share.
    return reading.model_copy(update={"words": f"at least {reading.value:.0%}".replace("%", " %")})


def last_failure_shared(row: Row) -> Reading[datetime]:
    """The time at which the learning from a failed experiment was last shared."""
    last = sharing.last_failure_shared(row.cohort(row.view.all))
    in_window = sharing.failures_shared(row.cohort(row.view.shared))
    if last is None:
        return Reading[datetime](value=None, n=in_window, reason="no failed experiment has been shared yet")
    ago = measure_duration((row.view.now - last).total_seconds())
    return Reading[datetime](value=last.astimezone(UTC), words=f"{ago} ago", n=in_window)


def biggest(row: Row) -> Reading[list[FailureCategory]]:
    """The categories with the most failures."""
    failures = row.cohort(row.view.answered).failures
    most = max(failures[category] for category in FailureCategory)
    if not most:
        return Reading[list[FailureCategory]](value=None, n=0, reason="none failed")
    largest = [category for category in FailureCategory if failures[category] == most]
    return Reading[list[FailureCategory]](value=largest, n=failed(row))


def failure_share(category: FailureCategory) -> Measure:
    """The failures in a category divided by the answered experiments."""

    def measure(row: Row) -> Reading[float]:
        cohort = row.cohort(row.view.answered)
        return _gated(row, lambda: outcomes.category_share(cohort, category), len(cohort), "answered")

    return measure


def abandoned(row: Row) -> Reading[float]:
    """The abandoned experiments divided by the concluded ones."""
    cohort = row.cohort(row.view.concluded)
    return _gated(row, lambda: outcomes.abandoned_share(cohort), len(cohort), "concluded")


def share_of_bold(row: Row) -> Reading[float]:
    """The bold experiments divided by the experiments that are declared bold or safe."""
    bold, safe = proposed_as(Risk.BOLD)(row), proposed_as(Risk.SAFE)(row)
    share = _gated(row, lambda: bold / (bold + safe), bold + safe, "declared bold or safe")
    return share if share.value is None else share.model_copy(update={"words": boldness_in_words(share.value)})


def pickup_time(declared: Risk) -> Measure:
    """The median time from idea to start, for started experiments with this declared risk."""

    def measure(row: Row) -> Reading[float]:
        waits = risk.waits_before_start(row.cohort(row.view.proposed), declared)
        return _in_words(_gated(row, lambda: quantile(waits, 0.5), len(waits), f"{declared} and started"))

    return measure


def unknown(reason: str) -> Measure:
    """A missing count, with the reason why the count is unknown."""
    return lambda _: Reading[int](value=None, n=0, reason=reason)


def _in_words(reading: Reading[float]) -> Reading[float]:
    if reading.value is None:
        return reading
    return reading.model_copy(update={"words": measure_duration(reading.value)})


def _gated(
    row: Row, compute: Callable[[], float | None], sample: int, condition: str, missing: str = ""
) -> Reading[float]:
    """A value that is withheld below the minimum sample.

    Args:
        condition: the words that complete "only 4 …, fewer than 5" if the sample is too small.
        missing: the reason if the sample is large enough but `compute` returns None.
    """
    if row.view.is_enough(sample):
        value = compute()
        return Reading[float](value=value, n=sample, reason=missing if value is None else None)
    minimum = row.view.terms.min_sample
    too_few = f"only {sample} {condition}, fewer than {minimum}" if sample else f"none {condition}"
    return Reading[float](value=None, n=sample, reason=too_few)

"""The samples of shares and quantiles: the experiments whose number must reach the minimum sample, and numerators."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics import latency, risk
from service.metrics.cohort import STAGES, Cohort
from service.metrics.terms import Terms

SURVIVAL_QUANTILE = "loopgauge_idea_to_answer_survival_quantile_seconds"
SURVIVAL_SHARE = "loopgauge_survival_answered_by_threshold_ratio"

_STAGES: Mapping[str, Stage] = {stage: stage for stage in STAGES}
_RISKS: Mapping[str, Risk | None] = {**{one.value: one for one in Risk}, risk.UNDECLARED: None}

Parts: TypeAlias = Callable[[Cohort, Mapping[str, str], Terms], tuple[int | None, int]]


def _category(cohort: Cohort, labels: Mapping[str, str], _: Terms) -> tuple[int | None, int]:
    return cohort.failures[FailureCategory(labels["category"])], len(cohort)


def _abandoned(cohort: Cohort, _labels: Mapping[str, str], _terms: Terms) -> tuple[int | None, int]:
    return cohort.outcomes[Outcome.ABANDONED], len(cohort)


def _within(cohort: Cohort, _: Mapping[str, str], terms: Terms) -> tuple[int | None, int]:
    return latency.within_threshold(cohort, terms)


def _stage(cohort: Cohort, labels: Mapping[str, str], _: Terms) -> tuple[int | None, int]:
    return None, len(cohort.durations(_STAGES[labels["stage"]]))


def _waits(cohort: Cohort, labels: Mapping[str, str], _: Terms) -> tuple[int | None, int]:
    return None, len(risk.waits_before_start(cohort, _RISKS[labels["risk"]]))


def _survival(cohort: Cohort, _labels: Mapping[str, str], _terms: Terms) -> tuple[int | None, int]:
    return None, cohort.survival[1]


SAMPLED: Mapping[str, tuple[str, Parts]] = {
    "loopgauge_failure_category_ratio": ("answered", _category),
    "loopgauge_abandoned_ratio": ("concluded", _abandoned),
    "loopgauge_answered_within_threshold_ratio": ("answered", _within),
    "loopgauge_stage_quantile_seconds": ("answered", _stage),
    "loopgauge_pickup_quantile_seconds": ("proposed", _waits),
    SURVIVAL_QUANTILE: ("proposed", _survival),
    SURVIVAL_SHARE: ("proposed", _survival),
}
"""The metrics that the minimum sample can withhold: the population of each, and what finds its numerator and sample."""


def own_duration(name: str, labels: Mapping[str, str], own: Cohort) -> float | None:
    """The duration that the experiment in `own` adds to a metric; None if it adds none."""
    match name:
        case "loopgauge_stage_quantile_seconds":
            return own.durations(_STAGES[labels["stage"]])[0]
        case "loopgauge_pickup_quantile_seconds":
            return risk.waits_before_start(own, _RISKS[labels["risk"]])[0]
        case "loopgauge_idea_to_answer_survival_quantile_seconds":
            return next(iter(own.durations("idea_to_answer")), None)
        case _:
            return None

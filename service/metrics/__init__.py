"""The figures about experiments: one family in a file, each a pure `families(view, now)`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric

from service.metrics import (
    abandoned_ratio,
    answered_within_threshold,
    excluded,
    experiment_age,
    experiment_overdue_age,
    experiments_concluded,
    experiments_forgotten,
    experiments_in_flight,
    experiments_overdue,
    experiments_proposed,
    failure_category_ratio,
    failures,
    idea_to_answer,
    last_answer,
    last_failure_shared,
    learnings_shared,
    minimum_sample,
    oldest_open_idea,
    pickup_quantile,
    repeated_experiments,
    stage_quantile,
    stage_samples,
    survival_answered_by_threshold,
    survival_quantile,
    threshold,
)
from service.metrics.view import View

METRICS: Sequence[Callable[[View, datetime], Iterable[Metric]]] = (
    experiments_in_flight.families,
    experiment_age.families,
    experiments_overdue.families,
    experiments_forgotten.families,
    experiment_overdue_age.families,
    oldest_open_idea.families,
    experiments_concluded.families,
    experiments_proposed.families,
    failures.families,
    failure_category_ratio.families,
    idea_to_answer.families,
    stage_quantile.families,
    stage_samples.families,
    survival_quantile.families,
    survival_answered_by_threshold.families,
    answered_within_threshold.families,
    abandoned_ratio.families,
    pickup_quantile.families,
    last_failure_shared.families,
    last_answer.families,
    learnings_shared.families,
    repeated_experiments.families,
    threshold.families,
    minimum_sample.families,
    excluded.families,
)
"""Every family, in the order of a scrape."""

"""The metrics about experiments. Each file covers one topic; each metric has one pure function.

Each function takes a `View`. The name of a function is the metric's name without the prefix `loopgauge_`.
"""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric

from service.metrics import excluded, latency, open_loops, outcomes, repeated, risk, sharing, survival
from service.metrics.view import View

METRICS: Sequence[Callable[[View], Iterable[Metric]]] = (
    open_loops.experiments_in_flight,
    open_loops.experiment_age_seconds,
    open_loops.experiments_overdue,
    open_loops.experiments_forgotten,
    open_loops.experiments_overdue_active,
    open_loops.experiment_overdue_age_seconds,
    open_loops.experiment_overdue_active_age_seconds,
    open_loops.experiment_forgotten_idle_seconds,
    open_loops.oldest_open_idea_timestamp_seconds,
    outcomes.experiments_concluded,
    risk.experiments_proposed,
    outcomes.failures,
    outcomes.failure_category_ratio,
    latency.idea_to_answer_seconds,
    latency.stage_quantile_seconds,
    latency.stage_samples,
    survival.idea_to_answer_survival_quantile_seconds,
    survival.survival_answered_by_threshold_ratio,
    latency.answered_within_threshold_ratio,
    outcomes.abandoned_ratio,
    risk.pickup_quantile_seconds,
    sharing.last_failure_shared_timestamp_seconds,
    outcomes.last_answer_timestamp_seconds,
    sharing.learnings_shared,
    repeated.repeated_experiments,
    latency.threshold_seconds,
    open_loops.forgotten_after_seconds,
    excluded.minimum_sample,
    excluded.excluded,
)
"""Every metric about experiments, in the order in which a scrape returns them."""

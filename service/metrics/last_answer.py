"""When there last was an answer."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import Cohort, View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_last_answer_timestamp_seconds`: Unix time; absent where there never was an answer."""
    family = GaugeMetricFamily(
        "loopgauge_last_answer_timestamp_seconds",
        "When an experiment was last answered.",
        labels=["team"],
    )
    for cohort in view.every(now):
        if last := _last_answered(cohort):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def _last_answered(cohort: Cohort) -> datetime | None:
    experiments = (loop.experiment for loop in cohort.loops)
    answered = (
        experiment.concluded_at
        for experiment in experiments
        if experiment.concluded_at is not None and experiment.answered
    )
    return max(answered, default=None)

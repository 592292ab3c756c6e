"""When somebody last shared a failed experiment."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.view import Cohort, View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_last_failure_shared_timestamp_seconds`: Unix time; absent where no failure was ever shared."""
    family = GaugeMetricFamily(
        "loopgauge_last_failure_shared_timestamp_seconds",
        "When the learning from a failed experiment was last shared.",
        labels=["team"],
    )
    for cohort in view.every(now):
        if last := _last_shared(cohort):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def _last_shared(cohort: Cohort) -> datetime | None:
    experiments = (loop.experiment for loop in cohort.loops)
    shared = (
        experiment.shared_at
        for experiment in experiments
        if experiment.outcome is Outcome.FAILED and experiment.shared_at is not None
    )
    return max(shared, default=None)

"""How old the open loops are."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeHistogramMetricFamily

from service.metrics.estimate import histogram
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiment_age_seconds`: a gauge histogram of the time since the idea of open experiments."""
    family = GaugeHistogramMetricFamily(
        "loopgauge_experiment_age_seconds",
        "Time since the idea of the open experiments.",
        labels=["team"],
    )
    for cohort in by_team(view.open(now)):
        ages = histogram(cohort.ages())
        family.add_metric([cohort.team], ages.buckets, gsum_value=ages.total)
    yield family

"""How often experiments fail in each of Edmondson's ways."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import FailureCategory
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_failure_category_ratio`: failures of each category over those answered; gated by the minimum."""
    family = GaugeMetricFamily(
        "loopgauge_failure_category_ratio",
        "Failed experiments of Edmondson's category over those answered in the window; absent where these are too few.",
        labels=["team", "category", "window"],
    )
    for cohort in view.answered(now):
        answered = len(cohort.loops)
        if view.enough(answered):
            for category in FailureCategory:
                family.add_metric([cohort.team, category, cohort.window], cohort.failures[category] / answered)
    yield family

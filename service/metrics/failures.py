"""What kinds of failure the organisation learns from."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import FailureCategory
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_failures`: failed experiments concluded in each window, zero-filled over Edmondson's categories."""
    family = GaugeMetricFamily(
        "loopgauge_failures",
        "Failed experiments concluded in the window, by Edmondson's category; unclassified where nobody said which.",
        labels=["team", "category", "window"],
    )
    for cohort in by_team(view.answered(now)):
        for category in FailureCategory:
            family.add_metric([cohort.team, category, cohort.window], cohort.failures[category])
    yield family

"""Since when an idea has been waiting for its answer."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_oldest_open_idea_timestamp_seconds`: Unix time of the earliest open idea; absent without one."""
    family = GaugeMetricFamily(
        "loopgauge_oldest_open_idea_timestamp_seconds",
        "When the oldest open experiment was proposed.",
        labels=["team"],
    )
    for cohort in view.open(now):
        if cohort.loops:
            oldest = min(loop.idea_at for loop in cohort.loops)
            family.add_metric([cohort.team], oldest.timestamp())
    yield family

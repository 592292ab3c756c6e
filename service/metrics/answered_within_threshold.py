"""How many of the answers came by the team's threshold."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_answered_within_threshold_ratio`: answers in each window that took at most the team's threshold."""
    family = GaugeMetricFamily(
        "loopgauge_answered_within_threshold_ratio",
        "Share of the experiments answered in the window that took at most the team's threshold from idea to answer; "
        "absent below the minimum sample.",
        labels=["team", "window"],
    )
    for cohort in view.answered(now):
        taken = cohort.taken("idea_to_answer")
        if view.enough(len(taken)):
            within = bisect_right(taken, view.terms.threshold(cohort.team).total_seconds())
            family.add_metric([cohort.team, cohort.window], within / len(taken))
    yield family

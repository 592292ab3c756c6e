"""How likely an answer is by the team's threshold, with loops that have none yet."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_survival_answered_by_threshold_ratio`: 1 - S(threshold) over experiments proposed in each window."""
    family = GaugeMetricFamily(
        "loopgauge_survival_answered_by_threshold_ratio",
        "Estimated share of the experiments proposed in the window that is answered by the team's threshold, by "
        "Kaplan-Meier with open and abandoned ones censored; absent below the minimum sample.",
        labels=["team", "window"],
    )
    for cohort in view.proposed(now):
        curve, sample = cohort.survival
        if view.enough(sample):
            threshold = view.terms.threshold(cohort.team).total_seconds()
            family.add_metric([cohort.team, cohort.window], 1 - curve.after(threshold))
    yield family

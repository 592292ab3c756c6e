"""How long it took from the idea to the answer."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeHistogramMetricFamily

from service.metrics.estimate import histogram
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_idea_to_answer_seconds`: a gauge histogram of experiments answered in each window."""
    family = GaugeHistogramMetricFamily(
        "loopgauge_idea_to_answer_seconds",
        "Time from idea to answer of the experiments answered in the window.",
        labels=["team", "window"],
    )
    for cohort in by_team(view.answered(now)):
        # A loop that closed before it began is a slip of a clock, not a fast answer, and has no such duration.
        taken = histogram(cohort.taken("idea_to_answer"))
        family.add_metric([cohort.team, cohort.window], taken.buckets, gsum_value=taken.total)
    yield family

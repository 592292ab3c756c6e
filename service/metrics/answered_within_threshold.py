"""How many of the answers came by the team's threshold."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import Loop
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_answered_within_threshold_ratio`: answers in each window that took at most their team's threshold.

    Each answer is held to the threshold of its own team, also in the rows of several teams.
    """
    family = GaugeMetricFamily(
        "loopgauge_answered_within_threshold_ratio",
        "Share of the experiments answered in the window that took at most their team's threshold from idea to answer; "
        "absent below the minimum sample.",
        labels=["team", "window"],
    )

    def beyond(loops: Sequence[Loop], _: datetime) -> list[float]:
        return [
            taken - view.terms.threshold(loop.experiment.team).total_seconds()
            for loop in loops
            if (taken := loop.seconds("idea_to_answer")) is not None
        ]

    for cohort in view.answered(now):
        overruns = cohort.ordered(beyond)
        if view.enough(len(overruns)):
            family.add_metric([cohort.team, cohort.window], bisect_right(overruns, 0) / len(overruns))
    yield family

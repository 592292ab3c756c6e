"""How many loops the organisation could learn from."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_learnings_shared`: experiments whose learning was shared in each window, zero-filled."""
    family = GaugeMetricFamily(
        "loopgauge_learnings_shared",
        "Experiments whose learning was shared in the window.",
        labels=["team", "window"],
    )
    for cohort in by_team(view.shared(now)):
        family.add_metric([cohort.team, cohort.window], len(cohort.loops))
    yield family

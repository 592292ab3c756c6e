"""How many open loops nobody has touched for long."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_forgotten`: open experiments without activity for the configured time, zero-filled."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_forgotten",
        "Open experiments that have been without activity for the configured time.",
        labels=["team"],
    )
    for cohort in by_team(view.forgotten(now)):
        family.add_metric([cohort.team], len(cohort.loops))
    yield family

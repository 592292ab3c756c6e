"""How many open loops run over their team's threshold."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_overdue`: open experiments older than their own team's threshold, zero-filled."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_overdue",
        "Open experiments that are older than their team's threshold.",
        labels=["team"],
    )
    for cohort in by_team(view.overdue(now)):
        family.add_metric([cohort.team], len(cohort.loops))
    yield family

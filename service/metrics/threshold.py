"""How long a loop may take, for alerts and panels to compare with."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.terms import DEFAULT_THRESHOLD
from service.metrics.view import ORGANISATION, View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_threshold_seconds`: the idea-to-answer threshold of each row; the organisation's is the default."""
    family = GaugeMetricFamily(
        "loopgauge_threshold_seconds",
        "How long a loop of the team may take from idea to answer.",
        labels=["team"],
    )
    for team in view.teams(now):
        family.add_metric([team], view.terms.threshold(team).total_seconds())
    family.add_metric([ORGANISATION], view.terms.thresholds[DEFAULT_THRESHOLD].total_seconds())
    yield family

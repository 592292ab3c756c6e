"""What kinds of failure the organisation learns from."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import FailureCategory
from service.metrics.view import View, team_of


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_failures`: failed experiments concluded in each window, zero-filled over Edmondson's categories."""
    family = GaugeMetricFamily(
        "loopgauge_failures",
        "Failed experiments concluded in the window, by Edmondson's category; unclassified where nobody said which.",
        labels=["team", "category", "window"],
    )
    for window in view.windows:
        counts = Counter(
            (team_of(experiment), experiment.failure_category) for experiment in view.concluded(now, window)
        )
        for team in view.teams(now):
            for category in FailureCategory:
                family.add_metric([team, category, window.label], counts[team, category])
    yield family

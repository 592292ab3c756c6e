"""How many ideas there were, by how far they reach into the unknown."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Risk
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_proposed`: experiments whose idea was in each window, zero-filled over risks."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_proposed",
        "Experiments whose idea was in the window, by risk; undeclared where nobody said which.",
        labels=["team", "risk", "window"],
    )
    for cohort in by_team(view.proposed(now)):
        for risk in (*Risk, None):
            family.add_metric([cohort.team, risk or "undeclared", cohort.window], cohort.risks[risk])
    yield family

"""How many loops are open, by how far they have come."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import State
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_in_flight`: open experiments, zero-filled over stages."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_in_flight",
        "Open experiments: proposed (no sign of a start yet) or running.",
        labels=["team", "stage"],
    )
    for cohort in by_team(view.open(now)):
        for stage in (State.PROPOSED, State.RUNNING):
            family.add_metric([cohort.team, stage], cohort.states[stage])
    yield family

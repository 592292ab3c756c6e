"""On how many experiments the quantiles of stages rest."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import STAGES
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_stage_samples`: experiments answered in each window that know how long a stage took, zero-filled."""
    family = GaugeMetricFamily(
        "loopgauge_stage_samples",
        "Experiments answered in the window of which it is known how long the stage took.",
        labels=["team", "stage", "window"],
    )
    for cohort in by_team(view.answered(now)):
        for stage in STAGES:
            family.add_metric([cohort.team, stage, cohort.window], len(cohort.taken(stage)))
    yield family

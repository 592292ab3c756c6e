"""How long each stage of a loop took."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import STAGES
from service.metrics.estimate import QUANTILES, quantile
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_stage_quantile_seconds`: exact quantiles of the stages of experiments answered in each window."""
    family = GaugeMetricFamily(
        "loopgauge_stage_quantile_seconds",
        "Exact quantile q of the time that a stage took, of the experiments answered in the window that know it; "
        "absent below the minimum sample.",
        labels=["team", "stage", "window", "q"],
    )
    for cohort in view.answered(now):
        for stage in STAGES:
            taken = cohort.taken(stage)
            if view.enough(len(taken)):
                for q in QUANTILES:
                    family.add_metric([cohort.team, stage, cohort.window, str(q)], quantile(taken, q))
    yield family

"""How long it takes from the idea to the answer, with loops that have none yet."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.estimate import QUANTILES
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_idea_to_answer_survival_quantile_seconds`: Kaplan-Meier over experiments proposed in each window."""
    family = GaugeMetricFamily(
        "loopgauge_idea_to_answer_survival_quantile_seconds",
        "Time from idea to answer after which the share q of the experiments proposed in the window is answered, by "
        "Kaplan-Meier with open and abandoned ones censored; absent where not reached or below the minimum sample.",
        labels=["team", "window", "q"],
    )
    for cohort in view.proposed(now):
        curve, sample = cohort.survival
        if view.enough(sample):
            for q in QUANTILES:
                if (reached := curve.quantile(q)) is not None:
                    family.add_metric([cohort.team, cohort.window, str(q)], reached)
    yield family

"""How long bold ideas wait to be picked up, and how long safe ones."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Risk
from service.metrics.cohort import Measure
from service.metrics.estimate import QUANTILES, quantile
from service.metrics.view import View


def _waited(risk: Risk | None) -> Measure:
    """How long ideas of this risk waited for their start."""
    return lambda loops, _: [
        waited for loop in loops if loop.risk is risk and (waited := loop.seconds("idea_to_start")) is not None
    ]


WAITED: Mapping[str, Measure] = {risk or "undeclared": _waited(risk) for risk in (*Risk, None)}
"""How long ideas waited for their start, by their risk."""


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_pickup_quantile_seconds`: exact quantiles from idea to start, over ideas of each window, by risk."""
    family = GaugeMetricFamily(
        "loopgauge_pickup_quantile_seconds",
        "Exact quantile q of the time from idea to start, of the experiments proposed in the window that were started, "
        "by risk; absent below the minimum sample.",
        labels=["team", "risk", "window", "q"],
    )
    for cohort in view.proposed(now):
        for risk, waited in WAITED.items():
            waits = cohort.ordered(waited)
            if view.enough(len(waits)):
                for q in QUANTILES:
                    family.add_metric([cohort.team, risk, cohort.window, str(q)], quantile(waits, q))
    yield family

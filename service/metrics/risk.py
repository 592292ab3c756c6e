"""Bold and safe ideas: how many there are, and how long they wait before the start."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Risk
from service.metrics.cohort import Cohort, Measure
from service.metrics.estimators import QUANTILES, quantile
from service.metrics.view import View, without_organisation

UNDECLARED = "undeclared"
"""The label value of experiments without a declared risk."""
_RISKS = (*Risk, None)


def experiments_proposed(view: View) -> Iterable[Metric]:
    """Experiments proposed in each window, by risk. A risk without experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_proposed",
        "Experiments proposed in the window, by risk; undeclared when no risk is known.",
        labels=["team", "risk", "window"],
    )
    for cohort in without_organisation(view.proposed):
        for risk in _RISKS:
            family.add_metric([cohort.team, risk or UNDECLARED, cohort.window], cohort.risks[risk])
    yield family


def pickup_quantile_seconds(view: View) -> Iterable[Metric]:
    """Exact quantiles of the wait before start, by risk, for started experiments proposed in each window."""
    family = GaugeMetricFamily(
        "loopgauge_pickup_quantile_seconds",
        "Exact quantile q of the wait before start, by risk, over the experiments that were proposed in the window "
        "and have started; absent below the minimum sample.",
        labels=["team", "risk", "window", "q"],
    )
    for cohort in view.proposed:
        for risk in _RISKS:
            waits = waits_before_start(cohort, risk)
            if view.is_enough(len(waits)):
                for q in QUANTILES:
                    labels = [cohort.team, risk or UNDECLARED, cohort.window, str(q)]
                    family.add_metric(labels, quantile(waits, q))
    yield family


def waits_before_start(proposed: Cohort, risk: Risk | None) -> Sequence[float]:
    """The time from idea to start of each started experiment with this declared risk, in seconds, ascending."""
    return proposed.ordered(_WAITS[risk])


def _waits(risk: Risk | None) -> Measure:
    return lambda experiments, _: [
        wait for one in experiments if one.risk is risk and (wait := one.seconds("idea_to_start")) is not None
    ]


_WAITS: Mapping[Risk | None, Measure] = {risk: _waits(risk) for risk in _RISKS}

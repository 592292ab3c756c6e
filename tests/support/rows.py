"""The samples of a metric in the form in which tests compare them."""

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import Metric

from service.lifecycle.experiment import Experiment
from service.metrics.terms import Terms
from service.metrics.view import View

MetricFunction = Callable[[View], Iterable[Metric]]
Rows = dict[tuple[str, ...], float]


def rows(metric: MetricFunction, experiments: Iterable[Experiment], on: Terms, now: datetime) -> Rows:
    """Compute a gauge, and return its values by label values, which are in the order of the gauge's labels."""
    (family,) = metric(View.of(experiments, on, now))
    assert {sample.name for sample in family.samples} <= {family.name}
    by_labels = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert len(by_labels) == len(family.samples), "two samples with the same labels"
    return by_labels


def not_zero(values: Rows) -> Rows:
    """The rows whose value is not zero."""
    return {labels: value for labels, value in values.items() if value}


def histogram_rows(
    metric: MetricFunction, experiments: Iterable[Experiment], on: Terms, now: datetime
) -> dict[str, Rows]:
    """Compute a gauge histogram. Return the values of its `_bucket`, `_gcount` and `_gsum` samples by label values."""
    (family,) = metric(View.of(experiments, on, now))
    values: dict[str, Rows] = {"bucket": {}, "gcount": {}, "gsum": {}}
    for sample in family.samples:
        values[sample.name.removeprefix(f"{family.name}_")][tuple(sample.labels.values())] = sample.value
    return values

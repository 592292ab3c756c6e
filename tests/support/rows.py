"""The samples of a metric, in the form in which tests compare them."""

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import Metric

from service.lifecycle.experiment import Experiment
from service.metrics.terms import Terms
from service.metrics.view import View

Families = Callable[[View], Iterable[Metric]]
Rows = dict[tuple[str, ...], float]


def rows(families: Families, experiments: Iterable[Experiment], on: Terms, now: datetime) -> Rows:
    """The values of the only metric family, by label values in the order of its labels."""
    (family,) = families(View.of(experiments, on, now))
    assert {sample.name for sample in family.samples} <= {family.name}
    by_labels = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert len(by_labels) == len(family.samples), "two samples with the same labels"
    return by_labels

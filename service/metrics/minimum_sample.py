"""From how many experiments on a figure is told, for alerts and panels that divide counts themselves."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:  # noqa: ARG001 - every family takes it
    """`loopgauge_minimum_sample`: ratios and quantiles on fewer experiments are withheld."""
    yield GaugeMetricFamily(
        "loopgauge_minimum_sample",
        "On how many experiments a ratio or quantile has to rest; on fewer it is withheld.",
        value=view.terms.min_sample,
    )

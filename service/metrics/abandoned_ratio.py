"""How many loops ended without an answer."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_abandoned_ratio`: abandoned experiments over those concluded in each window; gated by the minimum."""
    family = GaugeMetricFamily(
        "loopgauge_abandoned_ratio",
        "Abandoned experiments over those concluded in the window; absent where these are too few.",
        labels=["team", "window"],
    )
    for cohort in view.concluded(now):
        concluded = len(cohort.loops)
        if view.enough(concluded):
            family.add_metric([cohort.team, cohort.window], cohort.outcomes[Outcome.ABANDONED] / concluded)
    yield family

"""How many loops were closed, by what they said."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.view import View, by_team


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_concluded`: experiments concluded in each window, zero-filled over outcomes."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_concluded",
        "Experiments concluded in the window, by outcome; undeclared where nobody said how it went.",
        labels=["team", "outcome", "window"],
    )
    for cohort in by_team(view.concluded(now)):
        for outcome in Outcome:
            family.add_metric([cohort.team, outcome, cohort.window], cohort.outcomes[outcome])
    yield family

"""How many loops were closed, by what they said."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.view import View, team_of


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiments_concluded`: experiments concluded in each window, zero-filled over outcomes."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_concluded",
        "Experiments concluded in the window, by outcome; undeclared where nobody said how it went.",
        labels=["team", "outcome", "window"],
    )
    for window in view.windows:
        counts = Counter((team_of(experiment), experiment.outcome) for experiment in view.concluded(now, window))
        for team in view.teams(now):
            for outcome in Outcome:
                family.add_metric([team, outcome, window.label], counts[team, outcome])
    yield family

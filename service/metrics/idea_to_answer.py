"""How long it took from the idea to the answer."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import fsum

from prometheus_client import Metric
from prometheus_client.core import GaugeHistogramMetricFamily

from service.lifecycle.stages import durations
from service.metrics.view import View, team_of

_HOUR = 3600.0
_DAY = 24 * _HOUR
BUCKETS = (
    *(_HOUR * hours for hours in (1, 4)),
    *(_DAY * days for days in (1, 3, 7, 14, 30, 60, 90, 180, 365)),
)
"""Upper bounds in seconds, inclusive, as Prometheus counts them."""


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_idea_to_answer_seconds`: a gauge histogram of experiments answered in each window."""
    family = GaugeHistogramMetricFamily(
        "loopgauge_idea_to_answer_seconds",
        "Time from idea to answer of the experiments answered in the window.",
        labels=["team", "window"],
    )
    for window in view.windows:
        taken: defaultdict[str, list[float]] = defaultdict(list)
        for experiment in view.answered(now, window):
            # A loop that closed before it began is a slip of a clock, not a fast answer, and has no such duration.
            if (duration := durations(experiment).get("idea_to_answer")) is not None:
                taken[team_of(experiment)].append(duration / timedelta(seconds=1))
        for team in view.teams(now):
            family.add_metric([team, window.label], _cumulative(taken[team]), gsum_value=fsum(taken[team]))
    yield family


def _cumulative(seconds: Sequence[float]) -> list[tuple[str, float]]:
    counts = [0] * (len(BUCKETS) + 1)
    for value in seconds:
        counts[bisect_left(BUCKETS, value)] += 1
    bounds = [str(bound) for bound in BUCKETS] + ["+Inf"]
    return [(bound, sum(counts[: place + 1])) for place, bound in enumerate(bounds)]

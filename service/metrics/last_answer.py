"""When there last was an answer."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import Loop
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_last_answer_timestamp_seconds`: Unix time; absent where there never was an answer."""
    family = GaugeMetricFamily(
        "loopgauge_last_answer_timestamp_seconds",
        "When an experiment was last answered.",
        labels=["team"],
    )
    for cohort in view.every(now):
        if last := cohort.last(_answered_at):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def _answered_at(loops: Sequence[Loop]) -> list[datetime]:
    return [loop.concluded_at for loop in loops if loop.answered and loop.concluded_at is not None]

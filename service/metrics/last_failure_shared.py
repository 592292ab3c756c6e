"""When somebody last shared a failed experiment."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.cohort import Loop
from service.metrics.view import View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_last_failure_shared_timestamp_seconds`: Unix time; absent where no failure was ever shared."""
    family = GaugeMetricFamily(
        "loopgauge_last_failure_shared_timestamp_seconds",
        "When the learning from a failed experiment was last shared.",
        labels=["team"],
    )
    for cohort in view.every(now):
        if last := cohort.last(failure_shared_at):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def failure_shared_at(loops: Sequence[Loop]) -> list[datetime]:
    """When what was learnt from each failed one of the loops was shared."""
    return [loop.shared_at for loop in loops if loop.shared_at is not None and loop.outcome is Outcome.FAILED]

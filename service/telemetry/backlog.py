"""What waits in the database."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much was still to be done at one moment.

    Attributes:
        pending: deliveries without a verdict.
        oldest_pending_seconds: how long ago the first of them was received; 0 where there is none.
        failed: deliveries whose verdict is that they failed.
        touched: subjects that are still to be projected, those that were set aside too.
    """

    pending: int
    oldest_pending_seconds: float
    failed: int
    touched: int


class Backlogs(Collector):
    """The backlog as it was when last looked at; nothing where the last look failed, since an old figure would lie."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.last: Backlog | None = None
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not know the names beforehand."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families as of the last look."""
        last = self.last
        return () if last is None else _families(last)


def _families(backlog: Backlog) -> list[Metric]:
    return [
        GaugeMetricFamily(
            "loopgauge_inbox_pending", "Stored deliveries that wait for their verdict.", value=backlog.pending
        ),
        GaugeMetricFamily(
            "loopgauge_inbox_oldest_pending_seconds",
            "How long ago the first delivery that waits for its verdict was received; 0 where none waits.",
            value=backlog.oldest_pending_seconds,
        ),
        GaugeMetricFamily(
            "loopgauge_inbox_failed",
            "Stored deliveries whose interpretation failed and can be retried.",
            value=backlog.failed,
        ),
        GaugeMetricFamily(
            "loopgauge_projection_pending",
            "Subjects whose experiments are still to be folded anew, those that were set aside after a fault too.",
            value=backlog.touched,
        ),
    ]

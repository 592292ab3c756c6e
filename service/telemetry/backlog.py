"""Metrics of the backlog in the database."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Backlog:
    """The unfinished work in the database at one time.

    Attributes:
        pending: deliveries without a verdict.
        oldest_pending_seconds: the age of the oldest pending delivery; 0 if none is pending.
        failed: failed deliveries that still have a body, and can therefore be retried.
        dirty_subjects: subjects that wait for projection, including subjects that were set aside after an error.
        set_aside: the subjects among them that were set aside.
    """

    pending: int
    oldest_pending_seconds: float
    failed: int
    dirty_subjects: int
    set_aside: int = 0


class BacklogCollector(Collector):
    """Exports the last measured backlog, or nothing if the last measurement failed: an old value would mislead."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.last: Backlog | None = None
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Return no metric families, because the registry does not need their names in advance."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metric families of the last measurement."""
        return () if self.last is None else _families(self.last)


def _families(backlog: Backlog) -> list[Metric]:
    return [
        GaugeMetricFamily("loopgauge_inbox_pending", "Stored deliveries in the queue.", value=backlog.pending),
        GaugeMetricFamily(
            "loopgauge_inbox_oldest_pending_seconds",
            "Age of the oldest delivery in the queue; 0 when the queue is empty.",
            value=backlog.oldest_pending_seconds,
        ),
        GaugeMetricFamily(
            "loopgauge_inbox_failed",
            "Stored deliveries that failed and can be retried.",
            value=backlog.failed,
        ),
        GaugeMetricFamily(
            "loopgauge_projection_pending",
            "Changes that are not yet applied to experiments, including changes set aside after an error.",
            value=backlog.dirty_subjects,
        ),
        GaugeMetricFamily(
            "loopgauge_projection_set_aside",
            "Changes set aside because they cannot be applied to experiments; the log has the reasons.",
            value=backlog.set_aside,
        ),
    ]

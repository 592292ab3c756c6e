"""Counters about ourselves, never about experiments."""

from collections.abc import Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

Result = Literal["stored", "duplicate", "refused", "spooled", "error"]
RESULTS: tuple[Result, ...] = ("stored", "duplicate", "refused", "spooled", "error")
VERDICTS = ("counted", "ignored", "failed")
UNKNOWN_SOURCE = "_unknown"
"""The one label value of all sources that are not configured: the name in the request is the sender's invention."""


class Telemetry:
    """The counters of one process.

    Args:
        sources: names of the configured sources; each known label set begins at zero, so that the first increase
            is seen as one.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._sources = frozenset(sources)
        self._deliveries = Counter(
            "loopgauge_deliveries",
            "Webhook requests by what became of them.",
            ["source", "result"],
            registry=self.registry,
        )
        self._interpreted = Counter(
            "loopgauge_interpreted",
            "Stored deliveries by the verdict that interpretation came to.",
            ["source", "verdict"],
            registry=self.registry,
        )
        self._spool_pending = Gauge(
            "loopgauge_spool_pending",
            "Deliveries that wait on this machine's disk until PostgreSQL is back.",
            registry=self.registry,
        )
        for source in self._sources:
            for result in RESULTS:
                self._deliveries.labels(source, result)
            for verdict in VERDICTS:
                self._interpreted.labels(source, verdict)
        self._deliveries.labels(UNKNOWN_SOURCE, "refused")

    def count_delivery(self, source: str, result: Result) -> None:
        """Count a webhook request."""
        self._deliveries.labels(self._known(source), result).inc()

    def set_spool_pending(self, deliveries: int) -> None:
        """Tell how many deliveries the spool holds."""
        self._spool_pending.set(deliveries)

    def count_interpreted(self, source: str, verdict: str) -> None:
        """Count a verdict, once for each time that a delivery was interpreted."""
        self._interpreted.labels(self._known(source), verdict).inc()

    def _known(self, source: str) -> str:
        return source if source in self._sources else UNKNOWN_SOURCE

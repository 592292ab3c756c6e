"""The metrics that a process exports about itself."""

import platform
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, ProcessCollector

from service.lifecycle.codec import KINDS
from service.lifecycle.taxonomy import FailureCategory
from service.telemetry.backlog import Backlog, BacklogCollector
from service.telemetry.request_durations import RequestDurations
from service.telemetry.zero_filled import zero_filled_counter

Result = Literal["stored", "duplicate", "refused", "spooled", "error"]
RESULTS: tuple[Result, ...] = ("stored", "duplicate", "refused", "spooled", "error")
VERDICTS = ("counted", "ignored", "failed")
UNKNOWN_SOURCE = "_unknown"
"""The label value for all sources that are not configured. Clients can invent names, so one value for all of these
sources bounds the number of series.
"""
RECLASSIFICATIONS = tuple((before, now) for before in FailureCategory for now in FailureCategory if before != now)
"""Every pair of different failure categories, in both directions."""
VISIBLE_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""The upper bounds of the buckets of `loopgauge_delivery_to_visible_seconds`, in seconds."""


class Telemetry:
    """The metrics that a process exports about itself.

    Args:
        sources: the names of the configured sources.
        role: the role of the process: `all`, `api` or `worker`.
    """

    def __init__(self, sources: Iterable[str], role: str = "all") -> None:
        self.registry = CollectorRegistry()
        self._role = role
        self._sources = frozenset(sources)
        self.requests = RequestDurations(self.registry)
        self._register_counters()
        self._register_gauges()

    def _register_counters(self) -> None:
        self._deliveries = zero_filled_counter(
            self.registry,
            "deliveries",
            "Webhook requests, by result.",
            ["source", "result"],
            [*((source, result) for source in self._sources for result in RESULTS), (UNKNOWN_SOURCE, "refused")],
        )
        self._interpreted = zero_filled_counter(
            self.registry,
            "interpreted",
            "Processed webhook deliveries, by status.",
            ["source", "verdict"],
            ((source, verdict) for source in self._sources for verdict in VERDICTS),
        )
        self._recorded = zero_filled_counter(
            self.registry,
            "lifecycle_events_recorded",
            "New lifecycle events, by kind.",
            ["kind"],
            ((kind,) for kind in KINDS),
        )
        self._reclassifications = zero_filled_counter(
            self.registry,
            "reclassifications",
            "Failures whose category changed, by the previous and the new category.",
            ["from_category", "to_category"],
            RECLASSIFICATIONS,
        )

    def _register_gauges(self) -> None:
        self._last_deliveries: dict[str, datetime] = {}
        self._last_delivery = Gauge(
            "loopgauge_source_last_delivery_timestamp_seconds",
            "Time of the last delivery from a source; absent until the first delivery.",
            ["source"],
            registry=self.registry,
        )
        self._backlog = BacklogCollector(self.registry)
        self._spool_pending = Gauge(
            "loopgauge_spool_pending",
            "Deliveries in the spool of this process, a file on its disk, that wait for PostgreSQL.",
            registry=self.registry,
        )
        self._visible = Histogram(
            "loopgauge_delivery_to_visible_seconds",
            "Time from the receipt of a counted delivery until the exported metrics reflect it.",
            buckets=VISIBLE_BUCKETS,
            registry=self.registry,
        )
        build = Info(
            "loopgauge_build", "Versions of loopgauge and Python, and the role of this process.", registry=self.registry
        )
        build.info({"version": version("loopgauge"), "python": platform.python_version(), "role": self._role})
        ProcessCollector(registry=self.registry)

    def count_delivery(self, source: str, result: Result) -> None:
        """Count a webhook request."""
        self._deliveries.labels(source if source in self._sources else UNKNOWN_SOURCE, result).inc()

    def count_interpreted(self, source: str, verdict: str, number: int) -> None:
        """Count interpreted deliveries. A delivery that is interpreted several times is counted each time.

        The source need not be configured in this process, because another process may have received the delivery.
        """
        self._interpreted.labels(source, verdict).inc(number)

    def count_recorded(self, kinds: Iterable[str]) -> None:
        """Count new lifecycle events. `kinds` has the kind of each event."""
        for kind in kinds:
            self._recorded.labels(kind).inc()

    def count_reclassified(self, moves: Iterable[tuple[FailureCategory, FailureCategory]]) -> None:
        """Count failures whose category changed. `moves` has pairs of the previous and the new category."""
        for before, now in moves:
            self._reclassifications.labels(before, now).inc()

    def record_last_delivery(self, source: str, received_at: datetime) -> None:
        """Record when a configured source last sent a delivery; ignore a time earlier than the recorded time."""
        last = self._last_deliveries.get(source)
        if last is None and source in self._sources:
            self._last_deliveries[source] = received_at
            self._last_delivery.labels(source).set_function(partial(self._last_delivery_timestamp, source))
        elif last is not None and last < received_at:
            self._last_deliveries[source] = received_at

    def set_spool_pending(self, deliveries: int) -> None:
        """Set how many deliveries the spool contains."""
        self._spool_pending.set(deliveries)

    def set_backlog(self, backlog: Backlog | None) -> None:
        """Set the last measured backlog of the database, or None if the measurement failed."""
        self._backlog.last = backlog

    def observe_visible(self, seconds: float) -> None:
        """Observe the time from the receipt of a delivery until the metrics reflect it."""
        self._visible.observe(seconds)

    def _last_delivery_timestamp(self, source: str) -> float:
        return self._last_deliveries[source].timestamp()

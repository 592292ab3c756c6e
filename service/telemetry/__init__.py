"""Figures about ourselves, never about experiments."""

import platform
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, ProcessCollector

from service.lifecycle.codec import KINDS
from service.lifecycle.taxonomy import FailureCategory
from service.telemetry.backlog import Backlog, Backlogs
from service.telemetry.counters import counter
from service.telemetry.kept import Kept
from service.telemetry.requests import Requests

Result = Literal["stored", "duplicate", "refused", "spooled", "error"]
RESULTS: tuple[Result, ...] = ("stored", "duplicate", "refused", "spooled", "error")
VERDICTS = ("counted", "ignored", "failed")
UNKNOWN_SOURCE = "_unknown"
"""The one label value of all sources that are not configured: the name in the request is the sender's invention."""
RECLASSIFICATIONS = tuple((before, now) for before in FailureCategory for now in FailureCategory if before != now)
"""Every way from one failure category to another."""
VISIBLE_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""Upper bounds in seconds: a quarter of a second to an hour."""


class Telemetry:
    """The figures of one process about itself.

    Args:
        sources: names of the configured sources; each known label set begins at zero, so that the first increase
            is seen as one.
        role: what the process does: `all`, `api` or `worker`.
    """

    def __init__(self, sources: Iterable[str], role: str = "all") -> None:
        self.registry = CollectorRegistry()
        self._role = role
        self._sources = frozenset(sources)
        self.requests = Requests(self.registry)
        self._count_from_zero()
        self._show_from_now()

    def _count_from_zero(self) -> None:
        self._deliveries = counter(
            self.registry,
            "deliveries",
            "Webhook requests by what became of them.",
            ["source", "result"],
            [*((source, result) for source in self._sources for result in RESULTS), (UNKNOWN_SOURCE, "refused")],
        )
        self._counting = Kept[tuple[str, str], Callable[[], None]](lambda key: self._deliveries.labels(*key).inc)
        self._interpreted = counter(
            self.registry,
            "interpreted",
            "Stored deliveries by the verdict that interpretation came to.",
            ["source", "verdict"],
            ((source, verdict) for source in self._sources for verdict in VERDICTS),
        )
        self._recorded = counter(
            self.registry,
            "lifecycle_events_recorded",
            "Lifecycle events that were not known before.",
            ["kind"],
            ((kind,) for kind in KINDS),
        )
        self._reclassifications = counter(
            self.registry,
            "reclassifications",
            "Failures that were of one category and are of another now.",
            ["from_category", "to_category"],
            RECLASSIFICATIONS,
        )

    def _show_from_now(self) -> None:
        self._last_deliveries: dict[str, datetime] = {}
        self._last_delivery = Gauge(
            "loopgauge_source_last_delivery_timestamp_seconds",
            "When the last delivery of a source was received; absent while none is known.",
            ["source"],
            registry=self.registry,
        )
        self._backlogs = Backlogs(self.registry)
        self._spool_pending = Gauge(
            "loopgauge_spool_pending",
            "Deliveries that wait on this machine's disk until PostgreSQL is back.",
            registry=self.registry,
        )
        self._visible = Histogram(
            "loopgauge_delivery_to_visible_seconds",
            "From the receipt of a counted delivery until the exported figures hold all that it says.",
            buckets=VISIBLE_BUCKETS,
            registry=self.registry,
        )
        build = Info(
            "loopgauge_build", "The version of loopgauge, of Python below it, and its role.", registry=self.registry
        )
        build.info({"version": version("loopgauge"), "python": platform.python_version(), "role": self._role})
        ProcessCollector(registry=self.registry)

    def count_delivery(self, source: str, result: Result) -> None:
        """Count a webhook request."""
        self._counting[self._known(source), result]()

    def count_interpreted(self, source: str, verdict: str, number: int) -> None:
        """Count so many verdicts, one for each time that a delivery was interpreted.

        The source is that of a stored delivery: one that is configured where it was received, if not in this process.
        """
        self._interpreted.labels(source, verdict).inc(number)

    def count_recorded(self, kinds: Iterable[str]) -> None:
        """Count lifecycle events that were new, one for each kind named."""
        for kind in kinds:
            self._recorded.labels(kind).inc()

    def count_reclassified(self, moves: Iterable[tuple[FailureCategory, FailureCategory]]) -> None:
        """Count failures that have changed their category, by the one before and the one now."""
        for before, now in moves:
            self._reclassifications.labels(before, now).inc()

    def hear_from(self, source: str, received_at: datetime) -> None:
        """Tell when a delivery of a configured source was received; one that is older than the last is passed over."""
        last = self._last_deliveries.get(source)
        if last is None and source in self._sources:
            self._last_deliveries[source] = received_at
            self._last_delivery.labels(source).set_function(partial(self._last_heard, source))
        elif last is not None and last < received_at:
            self._last_deliveries[source] = received_at

    def set_spool_pending(self, deliveries: int) -> None:
        """Tell how many deliveries the spool holds."""
        self._spool_pending.set(deliveries)

    def set_backlog(self, backlog: Backlog | None) -> None:
        """Tell what waits in the database, as it was when last looked at; None where that is not known."""
        self._backlogs.last = backlog

    def observe_visible(self, seconds: float) -> None:
        """Tell how long it took from the receipt of a delivery until it was in the figures."""
        self._visible.observe(seconds)

    def _last_heard(self, source: str) -> float:
        return self._last_deliveries[source].timestamp()

    def _known(self, source: str) -> str:
        return source if source in self._sources else UNKNOWN_SOURCE

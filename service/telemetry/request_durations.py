"""Durations of HTTP requests."""

from collections.abc import Callable
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of buckets in seconds, from a millisecond to ten seconds, which is GitHub's timeout."""

Observe: TypeAlias = Callable[[float], None]
"""A function that records the duration of one request in seconds."""


class RequestDurations:
    """The durations of HTTP requests by method, route and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "loopgauge_http_request_duration_seconds",
            "Duration of HTTP requests until the end of the response.",
            ["method", "route", "status"],
            buckets=BUCKETS,
            registry=registry,
        )

    def observer(self, method: str, route: str, status: int) -> Observe:
        """Return the bound method `observe` for these labels. Cache the method: finding it takes longer than a call.

        Args:
            route: the template of the route, never the path of a request.
        """
        observe: Observe = self._durations.labels(method, route, str(status)).observe
        return observe

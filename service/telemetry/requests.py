"""How long HTTP requests take."""

from collections.abc import Callable
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds in seconds: a millisecond to ten seconds, when GitHub hangs up."""

Observe: TypeAlias = Callable[[float], None]
"""Told how many seconds a request took."""


class Requests:
    """The durations of HTTP requests by method, route and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "loopgauge_http_request_duration_seconds",
            "From the beginning of an HTTP request to the end of its answer.",
            ["method", "route", "status"],
            buckets=BUCKETS,
            registry=registry,
        )

    def observer(self, method: str, route: str, status: int) -> Observe:
        """Where requests of one kind are told of, to be kept: finding it takes longer than telling.

        Args:
            route: the route's template, never a path.
        """
        observe: Observe = self._durations.labels(method, route, str(status)).observe
        return observe

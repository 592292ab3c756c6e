"""Durations of HTTP requests."""

from prometheus_client import CollectorRegistry, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The upper bounds of the buckets of `loopgauge_http_request_duration_seconds`, in seconds.

The highest bound, ten seconds, is GitHub's timeout for webhooks.
"""


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

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Observe the duration of a request.

        Args:
            route: the template of the route, never the path of a request.
        """
        self._durations.labels(method, route, str(status)).observe(seconds)

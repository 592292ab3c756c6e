"""The requests that this process refused because of their signatures.

The sender gets the reason, but few tools show it. So the log and `GET /sources` show it to the operator.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from service.presentation.sources import RefusedAnswer

LOG_INTERVAL = timedelta(minutes=1)
"""The shortest time between two log lines about one source: anyone can send requests with a wrong signature."""

_log = structlog.get_logger(__name__)


class RefusedRequests:
    """Counts refused requests by source. Only configured sources may be recorded: clients can invent other names.

    Args:
        since: when the process begins to count.
    """

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._refused: dict[str, RefusedAnswer] = {}
        self._logged: dict[str, datetime] = {}

    def record(self, source: str, reason: str, at: datetime) -> None:
        """Record a refused request, and log it unless a request to this source was logged a moment ago."""
        before = self._refused.get(source)
        shown = RefusedAnswer(
            requests=before.requests + 1 if before else 1, since=self._since, last_at=at, reason=reason
        )
        self._refused[source] = shown
        logged = self._logged.get(source)
        if logged is None or at - logged >= LOG_INTERVAL:
            self._logged[source] = at
            # Not a warning: the service works, and anyone can cause the line.
            _log.info(
                "webhook refused",
                source=source,
                reason=reason,
                requests=shown.requests,
                remedy=f"enter the same secret in the tool and in LOOPGAUGE_SOURCES__{source.upper()}__SECRET",
            )

    def find(self, source: str) -> RefusedAnswer | None:
        """The refused requests to a source; None if no request was refused."""
        return self._refused.get(source)


FindRefused = Callable[[str], RefusedAnswer | None]
"""Returns the refused requests to a source; None if the process refused none, or receives no requests."""

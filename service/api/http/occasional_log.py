"""A log for events that any client can cause: it writes at most one line a minute."""

from collections import Counter
from collections.abc import Callable

import structlog

_SECONDS = 60.0


class OccasionalLog:
    """Counts events, and logs the counts since the last line.

    The first event is logged at once, the next ones after a minute, together.

    Args:
        event: the text of the log line (structlog's `event`).
        level: `info` if the service works as it should, `warning` if the operator should act.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, event: str, level: str, clock: Callable[[], float]) -> None:
        self._log = structlog.get_logger(__name__)
        self._event = event
        self._level = level
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._next = clock()

    def record(self, reason: str) -> None:
        """Count an event, and write the line if it is due. Keep reasons few: the line lists each of them."""
        self._counts[reason] += 1
        self.flush()

    @property
    def pending(self) -> bool:
        """Whether events were counted since the last line."""
        return bool(self._counts)

    def flush(self) -> None:
        """Write the line if there is something to say, and the last line is a minute old."""
        if not self._counts or (now := self._clock()) < self._next:
            return
        self._next = now + _SECONDS
        counts, self._counts = self._counts, Counter()
        getattr(self._log, self._level)(self._event, reasons=dict(counts))

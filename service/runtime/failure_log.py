"""Choose which failures to log, so that an outage of hours does not flood the log."""

from collections.abc import Callable

_REPEAT_SECONDS = 60.0


class FailureLog:
    """Logs each cause once, and again every minute while it lasts.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failing: set[str] = set()
        self._logged: dict[str, float] = {}

    def record_failure(self, work: str, cause: str) -> bool:
        """Record that some work failed, and return whether to log it."""
        self._failing.add(work)
        now = self._clock()
        self._logged = {known: at for known, at in self._logged.items() if now - at < _REPEAT_SECONDS}
        if cause in self._logged:
            return False
        self._logged[cause] = now
        return True

    def record_success(self, work: str) -> bool:
        """Record that some work succeeded, and return whether it was the only work that was still failing."""
        if work not in self._failing:
            return False
        self._failing.remove(work)
        if self._failing:
            return False
        # Log the next failure at once: it is a change of state.
        self._logged.clear()
        return True

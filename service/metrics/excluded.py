"""What figures leave out, and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import Loop
from service.metrics.terms import Window
from service.metrics.view import View

KNOWN = ("future", "negative_duration", "unmarked", "duplicate", "deleted", "moved", "stated")
"""The reasons that loopgauge gives by itself."""
OTHER_REASONS = "_other"
"""The reason into which are folded those of a rules file that have no row of their own."""
_MOST_NAMES = 20
_LONGEST_NAME = 100


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_excluded`: experiments that figures leave out, zero-filled over the reasons that are known.

    Experiments that were left out in the window, by the reason; those with a stage that would be negative, by the later
    of idea and conclusion, of which that stage alone is left out; and those with an instant in the future, which are
    out of all figures now, whatever the window.
    """
    family = GaugeMetricFamily(
        "loopgauge_excluded",
        "Experiments left out of figures in the window, by reason; with an instant in the future in every window.",
        labels=["reason", "window"],
    )
    named, folds = _named(view, now)
    negative = [loop for loop in view.present(now) if loop.negative]
    for window in view.terms.windows:
        counts = _counts(view, window, now, negative)
        for reason in (*KNOWN, *named):
            family.add_metric([reason, window.label], counts.pop(reason, 0))
        if folds:
            family.add_metric([OTHER_REASONS, window.label], counts.total())
    yield family


def _named(view: View, now: datetime) -> tuple[list[str], bool]:
    """The reasons of a rules file that have rows of their own, and whether there are others.

    Those are the most frequent of the longest window, in alphabetical order. Names that begin with `_` are ours, and
    what is no name but a text has no row.
    """
    longest = max(view.terms.windows, key=lambda window: window.length)
    given = {reason: count for reason, count in _stated(view, longest, now).items() if reason not in KNOWN}
    names = [reason for reason in given if not reason.startswith("_") and len(reason) <= _LONGEST_NAME]
    named = sorted(names, key=lambda reason: (-given[reason], reason))[:_MOST_NAMES]
    return sorted(named), len(named) < len(given)


def _counts(view: View, window: Window, now: datetime, negative: Sequence[Loop]) -> Counter[str]:
    begin = now - window.length
    counts = _stated(view, window, now)
    counts["future"] += len(view.ahead(now))
    counts["negative_duration"] += sum(
        begin <= max(loop.idea_at, loop.concluded_at or loop.idea_at) < now for loop in negative
    )
    return counts


def _stated(view: View, window: Window, now: datetime) -> Counter[str]:
    """What was left out in the window for a reason that was stated, or unmarked."""
    return Counter(one.reason for one in view.excluded if now - window.length <= one.since < now)

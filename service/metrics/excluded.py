"""The limits of the metrics: the experiments that they exclude, and the minimum sample."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.characters import spell
from service.metrics.cohort import MeasuredExperiment
from service.metrics.view import View

KNOWN = ("future", "negative_duration", "unmarked", "duplicate", "deleted", "archived", "moved", "stated")
"""The reasons that loopgauge and its default rules can give for an exclusion. A rules file can give others."""
OTHER_REASONS = "_other"
"""The label `reason` of the series that counts all exclusions whose reason has no series of its own."""
_MOST_NAMES = 20
_LONGEST_NAME = 100


def minimum_sample(view: View) -> Iterable[Metric]:
    """The minimum sample. Alerts and panels that compute a ratio from counts ignore a ratio of a smaller sample."""
    yield GaugeMetricFamily(
        "loopgauge_minimum_sample",
        "The fewest experiments for which a ratio or quantile is published.",
        value=view.terms.min_sample,
    )


def excluded(view: View) -> Iterable[Metric]:
    """Experiments that the metrics exclude in each window, by reason.

    A reason in `KNOWN` is exported even if no experiment is excluded for this reason.

    - A subject that was excluded, or whose mark was removed, counts in the windows that contain the time at which this
      happened.
    - An experiment with a negative stage counts in the windows that contain its idea or its conclusion, whichever is
      later. Metrics exclude only the negative stage.
    - An experiment with a time in the future counts in every window.
    """
    family = GaugeMetricFamily(
        "loopgauge_excluded",
        "Experiments excluded from metrics in the window, by reason. Every window includes the experiments that have "
        "a time in the future.",
        labels=["reason", "window"],
    )
    reasons, has_others = _reasons_with_rows(view)
    negative = [experiment for experiment in view.present if experiment.has_negative_stage]
    for window in view.terms.windows:
        counts = _count_reasons(view, window.length, negative)
        for reason in (*KNOWN, *reasons):
            family.add_metric([reason, window.label], counts.pop(reason, 0))
        if has_others:
            family.add_metric([OTHER_REASONS, window.label], counts.total())
    yield family


def _reasons_with_rows(view: View) -> tuple[list[str], bool]:
    """The reasons in the rules file that exclude the most subjects in the longest window, and whether there are more.

    The reasons are in alphabetical order. A reason that begins with `_`, has more than 100 characters or acts on a
    terminal gets no row of its own.
    """
    longest = max(window.length for window in view.terms.windows)
    counts = {reason: count for reason, count in _count_exclusions(view, longest).items() if reason not in KNOWN}
    names = [
        reason
        for reason in counts
        if not reason.startswith("_") and len(reason) <= _LONGEST_NAME and spell(reason) == reason
    ]
    most_frequent = sorted(names, key=lambda reason: (-counts[reason], reason))[:_MOST_NAMES]
    return sorted(most_frequent), len(most_frequent) < len(counts)


def _count_reasons(view: View, length: timedelta, negative: Sequence[MeasuredExperiment]) -> Counter[str]:
    begin = view.now - length
    counts = _count_exclusions(view, length)
    counts["future"] += len(view.future)
    counts["negative_duration"] += sum(
        begin <= max(experiment.idea_at, experiment.concluded_at or experiment.idea_at) < view.now
        for experiment in negative
    )
    return counts


def _count_exclusions(view: View, length: timedelta) -> Counter[str]:
    """The number of excluded and unmarked subjects in a window, by reason."""
    begin = view.now - length
    return Counter(exclusion.reason for exclusion in view.exclusions if begin <= exclusion.since < view.now)

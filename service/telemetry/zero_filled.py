"""Counters whose series with known labels begin at zero."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter


def zero_filled_counter(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    labels: Sequence[str],
    label_sets: Iterable[Sequence[str]],
) -> Counter:
    """Register a counter that exports a zero for each known set of labels from the start.

    Without the zero, a series would begin at 1, and Prometheus would miss the first increase.

    Args:
        name: the name of the counter without the prefix `loopgauge_` and the suffix `_total`.
        label_sets: the sets of label values that are known in advance.
    """
    counter = Counter(f"loopgauge_{name}", documentation, labels, registry=registry)
    for values in label_sets:
        counter.labels(*values)
    return counter

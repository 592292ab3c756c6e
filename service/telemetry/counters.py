"""Counters whose known label sets begin at zero."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter


def counter(
    registry: CollectorRegistry, name: str, says: str, labels: Sequence[str], known: Iterable[Sequence[str]]
) -> Counter:
    """A counter in the registry.

    Args:
        name: without the prefix of all our metrics, and without the counter's `_total`.
        known: the label sets that are shown before anything is counted: a series that is born at one shows no increase.
    """
    made = Counter(f"loopgauge_{name}", says, labels, registry=registry)
    for values in known:
        made.labels(*values)
    return made

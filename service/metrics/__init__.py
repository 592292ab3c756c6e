"""The figures about experiments: one family in a file, each a pure `families(view, now)`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric

from service.metrics import experiments_concluded, experiments_in_flight, failures, idea_to_answer
from service.metrics.view import View

METRICS: Sequence[Callable[[View, datetime], Iterable[Metric]]] = (
    experiments_in_flight.families,
    experiments_concluded.families,
    failures.families,
    idea_to_answer.families,
)
"""Every family, in the order of a scrape."""

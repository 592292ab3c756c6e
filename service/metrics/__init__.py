"""The figures about experiments: one family in a file, each a pure `families(view, now)`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric

from service.metrics import (
    experiment_age,
    experiment_overdue_age,
    experiments_concluded,
    experiments_forgotten,
    experiments_in_flight,
    experiments_overdue,
    failures,
    idea_to_answer,
    oldest_open_idea,
)
from service.metrics.view import View

METRICS: Sequence[Callable[[View, datetime], Iterable[Metric]]] = (
    experiments_in_flight.families,
    experiment_age.families,
    experiments_overdue.families,
    experiments_forgotten.families,
    experiment_overdue_age.families,
    oldest_open_idea.families,
    experiments_concluded.families,
    failures.families,
    idea_to_answer.families,
)
"""Every family, in the order of a scrape."""

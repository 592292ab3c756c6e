"""Shared learnings."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import Outcome
from service.metrics.cohort import Cohort, MeasuredExperiment
from service.metrics.view import View, without_organisation


def last_failure_shared_timestamp_seconds(view: View) -> Iterable[Metric]:
    """The Unix time at which a failed experiment was last shared; absent if none was ever shared."""
    family = GaugeMetricFamily(
        "loopgauge_last_failure_shared_timestamp_seconds",
        "Time at which the learning from a failed experiment was last shared.",
        labels=["team"],
    )
    for cohort in view.all:
        if last := last_failure_shared(cohort):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def learnings_shared(view: View) -> Iterable[Metric]:
    """Experiments whose learning was shared in each window. A team without such experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_learnings_shared",
        "Experiments whose learning was shared in the window.",
        labels=["team", "window"],
    )
    for cohort in without_organisation(view.shared):
        family.add_metric([cohort.team, cohort.window], len(cohort))
    yield family


def last_failure_shared(cohort: Cohort) -> datetime | None:
    """The time at which a failed experiment of the cohort was last shared, or None if none was ever shared."""
    return cohort.latest(_failure_shared_at)


def failures_shared(shared: Cohort) -> int:
    """The number of failures among experiments whose learning was shared."""
    return shared.outcomes[Outcome.FAILED]


def _failure_shared_at(experiments: Sequence[MeasuredExperiment]) -> list[datetime]:
    return [one.shared_at for one in experiments if one.shared_at is not None and one.outcome is Outcome.FAILED]

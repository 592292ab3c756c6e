"""Concluded experiments: their outcomes, and the categories of the failures."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.cohort import Cohort, MeasuredExperiment
from service.metrics.view import View, without_organisation


def experiments_concluded(view: View) -> Iterable[Metric]:
    """Experiments concluded in each window, by outcome. An outcome without experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_concluded",
        "Experiments concluded in the window, by outcome; undeclared when no outcome is known.",
        labels=["team", "outcome", "window"],
    )
    for cohort in without_organisation(view.concluded):
        for outcome in Outcome:
            family.add_metric([cohort.team, outcome, cohort.window], cohort.outcomes[outcome])
    yield family


def failures(view: View) -> Iterable[Metric]:
    """Failed experiments concluded in each window, by category. A category without failures has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_failures",
        "Failed experiments concluded in the window, by Edmondson's category; unclassified when no category is known.",
        labels=["team", "category", "window"],
    )
    for cohort in without_organisation(view.answered):
        for category in FailureCategory:
            family.add_metric([cohort.team, category, cohort.window], cohort.failures[category])
    yield family


def failure_category_ratio(view: View) -> Iterable[Metric]:
    """Failures of each category divided by answered experiments; absent below the minimum sample."""
    family = GaugeMetricFamily(
        "loopgauge_failure_category_ratio",
        "Failed experiments of the category divided by all experiments answered in the window; "
        "absent below the minimum sample.",
        labels=["team", "category", "window"],
    )
    for cohort in view.answered:
        if view.is_enough(len(cohort)):
            for category in FailureCategory:
                family.add_metric([cohort.team, category, cohort.window], category_share(cohort, category))
    yield family


def abandoned_ratio(view: View) -> Iterable[Metric]:
    """Abandoned experiments divided by concluded ones in each window; absent below the minimum sample."""
    family = GaugeMetricFamily(
        "loopgauge_abandoned_ratio",
        "Abandoned experiments divided by all experiments concluded in the window; absent below the minimum sample.",
        labels=["team", "window"],
    )
    for cohort in view.concluded:
        if view.is_enough(len(cohort)):
            family.add_metric([cohort.team, cohort.window], abandoned_share(cohort))
    yield family


def last_answer_timestamp_seconds(view: View) -> Iterable[Metric]:
    """The Unix time of the last answer; absent before the first answer."""
    family = GaugeMetricFamily(
        "loopgauge_last_answer_timestamp_seconds",
        "Time at which an experiment was last answered.",
        labels=["team"],
    )
    for cohort in view.all:
        if last := cohort.latest(_answered_at):
            family.add_metric([cohort.team], last.timestamp())
    yield family


def category_share(answered: Cohort, category: FailureCategory) -> float:
    """The failures of a category divided by the answered experiments. The cohort must not be empty."""
    return answered.failures[category] / len(answered)


def abandoned_share(concluded: Cohort) -> float:
    """The abandoned experiments divided by the concluded ones. The cohort must not be empty."""
    return concluded.outcomes[Outcome.ABANDONED] / len(concluded)


def _answered_at(experiments: Sequence[MeasuredExperiment]) -> list[datetime]:
    return [one.concluded_at for one in experiments if one.answered and one.concluded_at is not None]

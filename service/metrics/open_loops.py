"""Open experiments: how many there are, and how old they are."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from heapq import nsmallest

from prometheus_client import Metric
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily

from service.lifecycle.characters import spell
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import State
from service.metrics.estimators import histogram
from service.metrics.terms import Terms
from service.metrics.view import Cohorts, View, without_organisation

_MOST_OVERDUE = 20
_LISTED = 5
"""The number of experiments that an alert lists for each team."""
# The address must not contain user information, which is personal data or a secret.
_WEB_ADDRESS = re.compile(r"https?://[^/?#@\\]+([/?#].*)?", re.IGNORECASE)


def experiments_in_flight(view: View) -> Iterable[Metric]:
    """Open experiments by team and stage. A stage without experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_in_flight",
        "Open experiments by stage: proposed (not started) or running.",
        labels=["team", "stage"],
    )
    for cohort in without_organisation(view.open):
        for stage in (State.PROPOSED, State.RUNNING):
            family.add_metric([cohort.team, stage], cohort.states[stage])
    yield family


def experiment_age_seconds(view: View) -> Iterable[Metric]:
    """A gauge histogram of the age of open experiments: the time since their idea."""
    family = GaugeHistogramMetricFamily(
        "loopgauge_experiment_age_seconds",
        "Age of the open experiments: the time since their idea.",
        labels=["team"],
    )
    for cohort in without_organisation(view.open):
        ages = histogram(cohort.ages())
        family.add_metric([cohort.team], ages.buckets, gsum_value=ages.total)
    yield family


def experiments_overdue(view: View) -> Iterable[Metric]:
    """Open experiments older than their own team's threshold. A team without such experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_overdue",
        "Open experiments that are older than their team's threshold.",
        labels=["team"],
    )
    for cohort in without_organisation(view.overdue):
        family.add_metric([cohort.team], len(cohort))
    yield family


def experiments_forgotten(view: View) -> Iterable[Metric]:
    """Open experiments without activity for `Terms.forgotten_after`. A team without any has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_forgotten",
        "Open experiments without activity for LOOPGAUGE_FORGOTTEN_AFTER or longer.",
        labels=["team"],
    )
    for cohort in without_organisation(view.forgotten):
        family.add_metric([cohort.team], len(cohort))
    yield family


def experiments_overdue_active(view: View) -> Iterable[Metric]:
    """Overdue experiments that are not forgotten. A team without such experiments has the value 0."""
    family = GaugeMetricFamily(
        "loopgauge_experiments_overdue_active",
        "Open experiments that are older than their team's threshold, without the forgotten ones.",
        labels=["team"],
    )
    for cohort in without_organisation(view.overdue_active):
        family.add_metric([cohort.team], len(cohort))
    yield family


def experiment_overdue_age_seconds(view: View) -> Iterable[Metric]:
    """The ages of the 20 most overdue experiments, over all teams together.

    The experiment that exceeds its team's threshold by the most time comes first. More experiments are not exported, to
    bound the number of series.
    """
    family = GaugeMetricFamily(
        "loopgauge_experiment_overdue_age_seconds",
        "Age of the 20 experiments that exceed their team's threshold by the most time.",
        labels=["team", "experiment", "url"],
    )
    overdue = (
        (cohort.team, measured.experiment)
        for cohort in without_organisation(view.overdue)
        for measured in cohort.experiments
    )
    for team, experiment in nsmallest(_MOST_OVERDUE, overdue, key=lambda row: _due(row[1], view.terms)):
        _add_time_since(experiment.idea_at, family, team, experiment, view)
    yield family


def experiment_overdue_active_age_seconds(view: View) -> Iterable[Metric]:
    """The ages of each team's five most overdue experiments that are not forgotten, in descending order."""
    family = GaugeMetricFamily(
        "loopgauge_experiment_overdue_active_age_seconds",
        "Age of each team's 5 most overdue experiments, without the forgotten ones.",
        labels=["team", "experiment", "url"],
    )
    for team, experiment in _first_of_each_team(view.overdue_active, lambda experiment: _due(experiment, view.terms)):
        _add_time_since(experiment.idea_at, family, team, experiment, view)
    yield family


def experiment_forgotten_idle_seconds(view: View) -> Iterable[Metric]:
    """The time since the last activity of each team's five experiments that have been forgotten for longest."""
    family = GaugeMetricFamily(
        "loopgauge_experiment_forgotten_idle_seconds",
        "Time since the last activity of each team's 5 experiments that have been forgotten for longest.",
        labels=["team", "experiment", "url"],
    )
    for team, experiment in _first_of_each_team(view.forgotten, _idle_since):
        _add_time_since(experiment.last_activity_at, family, team, experiment, view)
    yield family


def forgotten_after_seconds(view: View) -> Iterable[Metric]:
    """The time without activity after which an open experiment is forgotten."""
    yield GaugeMetricFamily(
        "loopgauge_forgotten_after_seconds",
        "The time without activity after which an open experiment is forgotten.",
        value=view.terms.forgotten_after.total_seconds(),
    )


def oldest_open_idea_timestamp_seconds(view: View) -> Iterable[Metric]:
    """The Unix time of the idea of the oldest open experiment; absent if no experiment is open."""
    family = GaugeMetricFamily(
        "loopgauge_oldest_open_idea_timestamp_seconds",
        "Time at which the oldest open experiment was proposed.",
        labels=["team"],
    )
    for cohort in view.open:
        if cohort.experiments:
            oldest = min(experiment.idea_at for experiment in cohort.experiments)
            family.add_metric([cohort.team], oldest.timestamp())
    yield family


def _first_of_each_team(
    cohorts: Cohorts, key: Callable[[Experiment], tuple[datetime, Ref]]
) -> Iterable[tuple[str, Experiment]]:
    """The experiments that an alert lists for each team: the first ones in the order of `key`."""
    for cohort in without_organisation(cohorts):
        experiments = (measured.experiment for measured in cohort.experiments)
        yield from ((cohort.team, experiment) for experiment in nsmallest(_LISTED, experiments, key=key))


def _add_time_since(
    instant: datetime, family: GaugeMetricFamily, team: str, experiment: Experiment, view: View
) -> None:
    since = view.now - instant
    family.add_metric([team, spell(experiment.root), _safe_address(experiment.url)], since.total_seconds())


def _idle_since(experiment: Experiment) -> tuple[datetime, Ref]:
    """A sort key: the time of the experiment's last activity, and its root as a tie-break."""
    return experiment.last_activity_at, experiment.root


def _due(experiment: Experiment, terms: Terms) -> tuple[datetime, Ref]:
    """A sort key: the experiment's deadline, and its root as a tie-break."""
    return experiment.idea_at + terms.threshold(experiment.team), experiment.root


def _safe_address(url: str) -> str:
    """The address if a dashboard may link to it, else an empty text. A `javascript:` address would run a script."""
    return url if _WEB_ADDRESS.fullmatch(url) and spell(url) == url else ""

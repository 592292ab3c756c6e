"""Answered experiments: the time from idea to answer, the duration of each stage, and the team's threshold."""

from bisect import bisect_right
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily

from service.metrics.cohort import STAGES, Cohort, MeasuredExperiment
from service.metrics.estimators import QUANTILES, histogram, quantile
from service.metrics.terms import DEFAULT_THRESHOLD, Terms
from service.metrics.view import ORGANISATION, OTHER_TEAMS, View, without_organisation


def idea_to_answer_seconds(view: View) -> Iterable[Metric]:
    """A gauge histogram of the time from idea to answer, for the experiments answered in each window."""
    family = GaugeHistogramMetricFamily(
        "loopgauge_idea_to_answer_seconds",
        "Time from idea to answer, for the experiments answered in the window.",
        labels=["team", "window"],
    )
    for cohort in without_organisation(view.answered):
        durations = histogram(cohort.durations("idea_to_answer"))
        family.add_metric([cohort.team, cohort.window], durations.buckets, gsum_value=durations.total)
    yield family


def stage_quantile_seconds(view: View) -> Iterable[Metric]:
    """Exact quantiles of the duration of each stage, over the experiments answered in each window."""
    family = GaugeMetricFamily(
        "loopgauge_stage_quantile_seconds",
        "Exact quantile q of the duration of the stage, over the experiments that were answered in the window and "
        "for which this duration is known; absent below the minimum sample.",
        labels=["team", "stage", "window", "q"],
    )
    for cohort in view.answered:
        for stage in STAGES:
            durations = cohort.durations(stage)
            if view.is_enough(len(durations)):
                for q in QUANTILES:
                    family.add_metric([cohort.team, stage, cohort.window, str(q)], quantile(durations, q))
    yield family


def stage_samples(view: View) -> Iterable[Metric]:
    """For each window and stage, the number of answered experiments for which the duration of the stage is known."""
    family = GaugeMetricFamily(
        "loopgauge_stage_samples",
        "Experiments that were answered in the window and for which the duration of the stage is known.",
        labels=["team", "stage", "window"],
    )
    for cohort in without_organisation(view.answered):
        for stage in STAGES:
            family.add_metric([cohort.team, stage, cohort.window], len(cohort.durations(stage)))
    yield family


def answered_within_threshold_ratio(view: View) -> Iterable[Metric]:
    """For each window, the share of answers that arrived within their team's threshold."""
    family = GaugeMetricFamily(
        "loopgauge_answered_within_threshold_ratio",
        "Share of the answers in the window that came within their team's threshold for the time from idea to answer; "
        "absent below the minimum sample.",
        labels=["team", "window"],
    )
    for cohort in view.answered:
        within, answers = within_threshold(cohort, view.terms)
        if view.is_enough(answers):
            family.add_metric([cohort.team, cohort.window], within / answers)
    yield family


def threshold_seconds(view: View) -> Iterable[Metric]:
    """The threshold of each row for the time from idea to answer; the organisation's row has the default."""
    family = GaugeMetricFamily(
        "loopgauge_threshold_seconds",
        "The team's threshold for the time from idea to answer.",
        labels=["team"],
    )
    for team in view.teams:
        family.add_metric([team], view.terms.threshold(team).total_seconds())
    family.add_metric([ORGANISATION], view.terms.thresholds[DEFAULT_THRESHOLD].total_seconds())
    yield family


def within_threshold(answered: Cohort, terms: Terms) -> tuple[int, int]:
    """The number of answers within the threshold, and the number of all answers with a known duration.

    Each answer is compared with its own team's threshold, even in rows that combine several teams.
    """
    durations = answered.durations("idea_to_answer")
    if answered.team == ORGANISATION:
        within = sum(within_threshold(team, terms)[0] for team in answered.parts)
    elif answered.team == OTHER_TEAMS:
        within = sum(_is_within(experiment, terms) for experiment in answered.experiments)
    else:
        within = bisect_right(durations, terms.threshold(answered.team).total_seconds())
    return within, len(durations)


def _is_within(experiment: MeasuredExperiment, terms: Terms) -> bool:
    seconds = experiment.seconds("idea_to_answer")
    return seconds is not None and seconds <= terms.threshold(experiment.team).total_seconds()

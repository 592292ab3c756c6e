"""Kaplan-Meier estimates of the time from idea to answer, which include experiments without an answer."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import Cohort
from service.metrics.estimators import QUANTILES
from service.metrics.terms import Terms
from service.metrics.view import View


def idea_to_answer_survival_quantile_seconds(view: View) -> Iterable[Metric]:
    """Kaplan-Meier quantiles of the time from idea to answer, over the experiments proposed in each window."""
    family = GaugeMetricFamily(
        "loopgauge_idea_to_answer_survival_quantile_seconds",
        "Time after the idea by which the share q of the experiments proposed in the window is answered, estimated by "
        "Kaplan-Meier. Open and abandoned experiments are censored. The metric is absent below the minimum "
        "sample, or if the share is never reached.",
        labels=["team", "window", "q"],
    )
    for cohort in view.proposed:
        curve, sample = cohort.survival
        if view.is_enough(sample):
            for q in QUANTILES:
                if (reached := curve.quantile(q)) is not None:
                    family.add_metric([cohort.team, cohort.window, str(q)], reached)
    yield family


def survival_answered_by_threshold_ratio(view: View) -> Iterable[Metric]:
    """For the ideas of each window, the estimated share that is answered within the threshold: `1 - S(threshold)`."""
    family = GaugeMetricFamily(
        "loopgauge_survival_answered_by_threshold_ratio",
        "For the experiments proposed in the window, the share that is answered within the team's threshold, "
        "estimated by Kaplan-Meier. Open and abandoned experiments are censored. The metric is absent below "
        "the minimum sample.",
        labels=["team", "window"],
    )
    for cohort in view.proposed:
        _, sample = cohort.survival
        if view.is_enough(sample):
            family.add_metric([cohort.team, cohort.window], answered_by_threshold(cohort, view.terms))
    yield family


def answered_by_threshold(proposed: Cohort, terms: Terms) -> float:
    """The estimated share of experiments that are answered within the row's threshold."""
    curve, _ = proposed.survival
    return 1 - curve.after(terms.threshold(proposed.team).total_seconds())

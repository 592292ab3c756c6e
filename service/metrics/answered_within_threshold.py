"""How many of the answers came by the team's threshold."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics.cohort import Loop
from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, OTHER_TEAMS, View


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_answered_within_threshold_ratio`: answers in each window that took at most their team's threshold.

    Each answer is held to the threshold of its own team, also in the rows of several teams.
    """
    family = GaugeMetricFamily(
        "loopgauge_answered_within_threshold_ratio",
        "Share of the experiments answered in the window that took at most their team's threshold from idea to answer; "
        "absent below the minimum sample.",
        labels=["team", "window"],
    )

    within: Counter[str] = Counter()
    for cohort in view.answered(now):
        taken = cohort.taken("idea_to_answer")
        if cohort.team == OTHER_TEAMS:
            count = sum(_is_within(loop, view.terms) for loop in cohort.loops)
        elif cohort.team == ORGANISATION:
            # It comes after all others of its window.
            count = within[cohort.window]
        else:
            count = bisect_right(taken, view.terms.threshold(cohort.team).total_seconds())
        within[cohort.window] += count
        if view.enough(len(taken)):
            family.add_metric([cohort.team, cohort.window], count / len(taken))
    yield family


def _is_within(loop: Loop, terms: Terms) -> bool:
    taken = loop.seconds("idea_to_answer")
    return taken is not None and taken <= terms.threshold(loop.team).total_seconds()

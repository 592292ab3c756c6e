"""Which open loops run over their team's threshold the furthest."""

import re
from collections.abc import Iterable
from datetime import datetime
from heapq import nsmallest

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.metrics.terms import Terms
from service.metrics.view import View, by_team

_MOST = 20
# Without a user name: that is a person's, or a secret.
_WEB = re.compile(r"https?://[^/?#@\\]+([/?#].*)?", re.IGNORECASE)


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_experiment_overdue_age_seconds`: time since the idea of the most overdue experiments of all teams.

    They are 20 at most, so that the set of series is bounded; the one furthest over its threshold is the first.
    """
    family = GaugeMetricFamily(
        "loopgauge_experiment_overdue_age_seconds",
        "Time since the idea of the 20 experiments that are furthest over their team's threshold.",
        labels=["team", "experiment", "url"],
    )
    overdue = ((cohort.team, loop.experiment) for cohort in by_team(view.overdue(now)) for loop in cohort.loops)
    for team, experiment in nsmallest(_MOST, overdue, key=lambda row: _due(row[1], view.terms)):
        age = now - experiment.idea_at
        family.add_metric([team, experiment.root, _address(experiment.url)], age.total_seconds())
    yield family


def _due(experiment: Experiment, terms: Terms) -> tuple[datetime, Ref]:
    """When there should have been an answer: the earlier, the further over the threshold. Ties go by root."""
    return experiment.idea_at + terms.threshold(experiment.team), experiment.root


def _address(url: str) -> str:
    """An address that a dashboard may link to; empty for any other, such as one that would run a script."""
    return url if _WEB.fullmatch(url) else ""

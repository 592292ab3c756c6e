"""An experiment as of a past moment, reconstructed from its present state."""

from dataclasses import replace
from datetime import datetime

from service.lifecycle.experiment import Experiment


def as_of(experiment: Experiment, then: datetime) -> Experiment | None:
    """The experiment as it was at `then`, or None if its idea came later.

    Instants after `then` are treated as missing, so an experiment that was concluded after `then` is still open. The
    present state does not contain all of the past: a conclusion before a reopening, activity other than the latest, and
    former values of the title, URL, team, risk, outcome and category are missing.
    """
    if experiment.idea_at > then:
        return None
    if max(*experiment.instants, *(restart.at for restart in experiment.restarts), experiment.last_activity_at) <= then:
        return experiment
    concluded_at = _known(experiment.concluded_at, then)
    past = replace(
        experiment,
        started_at=_known(experiment.started_at, then),
        first_signal_at=_known(experiment.first_signal_at, then),
        concluded_at=concluded_at,
        outcome=experiment.outcome if concluded_at else None,
        failure_category=experiment.failure_category if concluded_at else None,
        shared_at=_known(experiment.shared_at, then),
        shipped_at=_known(experiment.shipped_at, then),
        restarts=tuple(restart for restart in experiment.restarts if restart.at <= then),
    )
    if experiment.last_activity_at <= then:
        return past
    return replace(past, last_activity_at=max(past.instants))


def _known(instant: datetime | None, then: datetime) -> datetime | None:
    return instant if instant is not None and instant <= then else None

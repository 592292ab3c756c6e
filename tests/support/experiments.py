"""Experiments of every outcome, category and risk, and the names of an experiment's instants."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from tests.support.builders import experiment

INSTANTS = [field.name for field in fields(Experiment) if field.type == datetime | None]
"""The fields of `Experiment` with the instants that may be unknown: all but `idea_at`."""
_TEAMS = ("ads", "search", "")


def with_instant(one: Experiment, name: str, when: datetime) -> Experiment:
    """A copy of an experiment in which the instant with this name is `when`."""
    changed: dict[str, Any] = {name: when}
    return replace(one, **changed)


def experiments_of_all_kinds(now: datetime) -> list[Experiment]:
    """Twenty experiments for each of two teams, and twenty without a team.

    Some are open, and the others were concluded within the last two days.
    """
    return [_experiment(number, team, now) for team in _TEAMS for number in range(20)]


def _experiment(number: int, team: str, now: datetime) -> Experiment:
    took = timedelta(hours=5 * (number + 1) ** 1.5 * (1 + len(team)))
    idea_at = now - timedelta(days=1, hours=number) - took
    still_open = number % 5 == 4
    outcome = None if still_open else list(Outcome)[number % 4]
    return experiment(
        f"github:acme/app{team}#{number}",
        team=team,
        risk=(Risk.BOLD, Risk.SAFE, None)[number % 3],
        idea_at=idea_at,
        started_at=idea_at + took / 4,
        first_signal_at=idea_at + took / 2,
        concluded_at=None if still_open else idea_at + took,
        outcome=outcome,
        failure_category=list(FailureCategory)[number % 3] if outcome is Outcome.FAILED else None,
        shared_at=idea_at + took * 1.05 if number % 3 == 0 and not still_open else None,
        shipped_at=idea_at + took * 1.1 if number % 4 == 0 and not still_open else None,
    )

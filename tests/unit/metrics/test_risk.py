"""Metrics count ideas by declared risk, and measure the wait from an idea to its start."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome, Risk
from service.metrics.risk import experiments_proposed, pickup_quantile_seconds
from service.metrics.terms import Terms
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, not_zero, rows

NOW, IDEA = at(20), at(13)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR = 3600


def proposed(*experiments: Experiment, on: Terms = WEEK) -> Rows:
    """The number of ideas, by team, risk and window."""
    return rows(experiments_proposed, experiments, on, NOW)


def quantiles(*experiments: Experiment, on: Terms = WEEK) -> Rows:
    """The quantiles of the wait before the start, by team, risk, window and q."""
    return rows(pickup_quantile_seconds, experiments, on, NOW)


def medians(*experiments: Experiment, on: Terms = ANY, window: str = "7d") -> dict[str, float]:
    """The median wait before the start for the team `search`, by risk. A risk without a median is missing."""
    exported = quantiles(*experiments, on=on)
    return {
        risk: wait for (row, risk, over, q), wait in exported.items() if (row, over, q) == ("search", window, "0.5")
    }


def waiting(hours: float, risk: Risk | None = Risk.BOLD, team: str = "search", idea_at: datetime = IDEA) -> Experiment:
    """An open experiment that started the given number of hours after its idea."""
    return experiment(idea_at=idea_at, team=team, risk=risk, started_at=idea_at + timedelta(hours=hours))


def test_every_risk_has_a_row_for_a_team_without_an_idea_in_the_window() -> None:
    old = experiment(idea_at=at(1), concluded_at=at(15))
    assert proposed(old) == {("search", risk, "7d"): 0 for risk in ("bold", "safe", "undeclared")}


@pytest.mark.parametrize(("risk", "label"), [(Risk.BOLD, "bold"), (Risk.SAFE, "safe"), (None, "undeclared")])
def test_an_idea_counts_only_under_its_own_risk(risk: Risk | None, label: str) -> None:
    assert not_zero(proposed(experiment(idea_at=at(15), risk=risk))) == {("search", label, "7d"): 1}


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_an_idea_and_its_start_count_whatever_the_outcome_of_the_experiment(outcome: Outcome | None) -> None:
    idea = replace(waiting(3), concluded_at=at(15) if outcome else None, outcome=outcome)
    assert not_zero(proposed(idea)) == {("search", "bold", "7d"): 1}
    assert medians(idea) == {"bold": 3 * HOUR}


def test_a_quantile_is_interpolated_between_the_two_nearest_values() -> None:
    expected = {"0.5": 3 * HOUR, "0.75": 4 * HOUR, "0.9": 7.6 * HOUR}
    assert quantiles(*(waiting(hours) for hours in (10, 2, 4, 1, 3))) == pytest.approx(
        {(team, "bold", "7d", q): wait for team in ("search", "_org") for q, wait in expected.items()}
    )


def test_each_risk_has_its_own_quantiles_of_the_wait() -> None:
    several = (waiting(8, Risk.BOLD), waiting(2, Risk.SAFE), waiting(4, Risk.SAFE), waiting(5, None))
    assert medians(*several) == {"bold": 8 * HOUR, "safe": 3 * HOUR, "undeclared": 5 * HOUR}


def test_each_risk_has_its_own_minimum_sample() -> None:
    several = [*(waiting(1, Risk.BOLD) for _ in range(5)), *(waiting(1, Risk.SAFE) for _ in range(4))]
    assert medians(*several, on=WEEK) == {"bold": HOUR}
    assert medians(*several, waiting(1, Risk.SAFE), on=WEEK) == {"bold": HOUR, "safe": HOUR}


def test_an_idea_that_has_not_started_is_not_in_the_sample() -> None:
    never = experiment(idea_at=IDEA, risk=Risk.BOLD)
    answered_unstarted = experiment(idea_at=IDEA, risk=Risk.BOLD, concluded_at=at(14))
    assert quantiles(*(waiting(1) for _ in range(4)), never, answered_unstarted) == {}


def test_a_start_before_the_idea_gives_no_wait_and_a_start_at_the_idea_gives_a_wait_of_zero() -> None:
    assert medians(waiting(-1), waiting(6)) == {"bold": 6 * HOUR}
    assert medians(waiting(0)) == {"bold": 0}


def test_the_time_of_the_idea_and_not_of_the_start_decides_which_windows_contain_an_experiment() -> None:
    several, on = (waiting(24 * 10, idea_at=at(5)), waiting(24)), terms("7d", "30d", min_sample=1)
    assert medians(*several, on=on) == {"bold": 24 * HOUR}
    assert medians(*several, on=on, window="30d") == {"bold": 132 * HOUR}


def test_a_wait_across_a_clock_change_is_in_elapsed_hours() -> None:
    noon = datetime.fromisoformat("2026-03-07T12:00:00-05:00").astimezone(UTC)
    next_noon = datetime.fromisoformat("2026-03-08T12:00:00-04:00").astimezone(UTC)
    across = experiment(idea_at=noon, risk=Risk.SAFE, started_at=next_noon)
    assert medians(across, on=terms("30d", min_sample=1), window="30d") == {"safe": 23 * HOUR}

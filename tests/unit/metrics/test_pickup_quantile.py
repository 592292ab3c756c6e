"""`loopgauge_pickup_quantile_seconds`: how long ideas waited to be picked up, by risk."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome, Risk
from service.metrics.risk import pickup_quantile_seconds as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, IDEA = at(20), at(13)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR = 3600


def quantiles(*experiments: Experiment, on: Terms = WEEK) -> dict[tuple[str, str, str, str], float]:
    """The figure by team, risk, window and q."""
    (family,) = families(View.of(experiments, on, NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_pickup_quantile_seconds"}
    return {
        (sample.labels["team"], sample.labels["risk"], sample.labels["window"], sample.labels["q"]): sample.value
        for sample in family.samples
    }


def medians(*experiments: Experiment, on: Terms = ANY, team: str = "search", window: str = "7d") -> dict[str, float]:
    """The median of each risk that has one."""
    return {
        risk: value
        for (row, risk, over, q), value in quantiles(*experiments, on=on).items()
        if (row, over, q) == (team, window, "0.5")
    }


def waiting(hours: float, risk: Risk | None = Risk.BOLD, team: str = "search", idea_at: datetime = IDEA) -> Experiment:
    """An open experiment that was started so many hours after its idea."""
    return experiment(idea_at=idea_at, team=team, risk=risk, started_at=idea_at + timedelta(hours=hours))


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_pickup_quantile_seconds", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert quantiles() == {}


def test_each_quantile_lies_between_the_two_nearest_for_the_team_and_the_organisation() -> None:
    assert quantiles(*(waiting(hours) for hours in (10, 2, 4, 1, 3))) == pytest.approx(
        {
            ("search", "bold", "7d", "0.5"): 3 * HOUR,
            ("search", "bold", "7d", "0.75"): 4 * HOUR,
            ("search", "bold", "7d", "0.9"): 7.6 * HOUR,
            ("_org", "bold", "7d", "0.5"): 3 * HOUR,
            ("_org", "bold", "7d", "0.75"): 4 * HOUR,
            ("_org", "bold", "7d", "0.9"): 7.6 * HOUR,
        }
    )


def test_bold_safe_and_undeclared_ideas_are_told_apart() -> None:
    loops = (waiting(8, Risk.BOLD), waiting(2, Risk.SAFE), waiting(4, Risk.SAFE), waiting(5, None))
    assert medians(*loops) == {"bold": 8 * HOUR, "safe": 3 * HOUR, "undeclared": 5 * HOUR}


def test_each_risk_is_asked_for_its_own_minimum_sample() -> None:
    loops = [*(waiting(1, Risk.BOLD) for _ in range(5)), *(waiting(1, Risk.SAFE) for _ in range(4))]
    assert medians(*loops, on=WEEK) == {"bold": HOUR}
    assert medians(*loops, waiting(1, Risk.SAFE), on=WEEK) == {"bold": HOUR, "safe": HOUR}


def test_an_idea_that_was_not_started_is_no_part_of_the_sample() -> None:
    never = experiment(idea_at=IDEA, risk=Risk.BOLD)
    answered_unstarted = experiment(idea_at=IDEA, risk=Risk.BOLD, concluded_at=at(14))
    assert quantiles(*(waiting(1) for _ in range(4)), never, answered_unstarted) == {}


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_a_start_counts_however_the_loop_goes_on(outcome: Outcome | None) -> None:
    concluded_at = at(15) if outcome else None
    assert medians(replace(waiting(3), concluded_at=concluded_at, outcome=outcome)) == {"bold": 3 * HOUR}


def test_a_start_before_the_idea_is_missing() -> None:
    assert medians(waiting(-1), waiting(6)) == {"bold": 6 * HOUR}


def test_a_start_at_the_moment_of_the_idea_took_no_time() -> None:
    assert medians(waiting(0)) == {"bold": 0}


@pytest.mark.parametrize(
    ("idea_at", "held"), [(at(13, "08:59:59"), False), (at(13), True), (at(20, "08:59:59"), True), (NOW, False)]
)
def test_an_idea_counts_from_the_beginning_of_the_window_to_before_its_end(idea_at: datetime, *, held: bool) -> None:
    assert medians(waiting(0, idea_at=idea_at)) == ({"bold": 0} if held else {})


def test_a_window_holds_ideas_not_starts() -> None:
    old = waiting(24 * 10, idea_at=at(5))
    on = terms("7d", "30d", min_sample=1)
    assert medians(old, waiting(24), on=on) == {"bold": 24 * HOUR}
    assert medians(old, waiting(24), on=on, window="30d") == {"bold": 132 * HOUR}


def test_an_experiment_with_an_instant_in_the_future_is_no_part_of_the_sample() -> None:
    assert quantiles(waiting(24 * 8), on=ANY) == {}


def test_loops_without_a_team_and_of_folded_teams_have_rows_of_their_own() -> None:
    loops = (
        waiting(9, team="ads", idea_at=at(13)),
        waiting(2, team="beta", idea_at=at(14)),
        waiting(4, team="gamma", idea_at=at(14)),
        waiting(5, team=""),
    )
    figure = quantiles(*loops, on=terms("7d", min_sample=1, max_teams=1))
    assert {row: value for (row, _, _, q), value in figure.items() if q == "0.5"} == {
        "ads": 9 * HOUR,
        "_other": 3 * HOUR,
        "_none": 5 * HOUR,
        "_org": 4.5 * HOUR,
    }


def test_a_risk_that_is_declared_afterwards_moves_the_wait_to_it() -> None:
    assert medians(waiting(3, None)) == {"undeclared": 3 * HOUR}
    assert medians(waiting(3, Risk.SAFE)) == {"safe": 3 * HOUR}


def test_a_team_that_is_renamed_takes_its_waits_along() -> None:
    assert {team for team, *_ in quantiles(waiting(3, team="search"), on=ANY)} == {"search", "_org"}
    assert {team for team, *_ in quantiles(waiting(3, team="discovery"), on=ANY)} == {"discovery", "_org"}
    assert medians(waiting(3, team="discovery"), team="discovery") == {"bold": 3 * HOUR}


def test_a_wait_over_the_change_to_summer_time_takes_its_real_hours() -> None:
    new_york = ZoneInfo("America/New_York")
    before, after = (datetime(2026, 3, day, 12, tzinfo=new_york).astimezone(UTC) for day in (7, 8))
    loop = experiment(idea_at=before, risk=Risk.SAFE, started_at=after)
    assert medians(loop, on=terms("30d", min_sample=1), window="30d") == {"safe": 23 * HOUR}

"""`loopgauge_idea_to_answer_survival_quantile_seconds`: how long loops take, with those that have no answer yet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.survival import idea_to_answer_survival_quantile_seconds as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, IDEA = at(20), at(13)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR, DAY = 3600, 86400


def quantiles(*experiments: Experiment, on: Terms = WEEK, now: datetime = NOW) -> dict[tuple[str, str, str], float]:
    """The figure by team, window and q."""
    (family,) = families(View.of(experiments, on, now))
    assert {sample.name for sample in family.samples} <= {"loopgauge_idea_to_answer_survival_quantile_seconds"}
    return {
        (sample.labels["team"], sample.labels["window"], sample.labels["q"]): sample.value for sample in family.samples
    }


def of_search(*experiments: Experiment, on: Terms = ANY) -> dict[str, float]:
    """The figure of the team search over the last week, by q."""
    figure = quantiles(*experiments, on=on)
    return {q: value for (team, window, q), value in figure.items() if (team, window) == ("search", "7d")}


def answered(days: float, team: str = "search", idea_at: datetime = IDEA) -> Experiment:
    return experiment(idea_at=idea_at, team=team, concluded_at=idea_at + timedelta(days=days))


def abandoned(days: float) -> Experiment:
    return replace(answered(days), outcome=Outcome.ABANDONED)


def still_open(days: float, team: str = "search") -> Experiment:
    """An experiment whose idea was so long ago."""
    return experiment(idea_at=NOW - timedelta(days=days), team=team)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_idea_to_answer_survival_quantile_seconds", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert quantiles() == {}


def test_open_and_abandoned_loops_are_censored_and_what_is_not_reached_is_absent() -> None:
    # S is 5/6 after a day, then of 5 loops 2 are answered: 1/2 after two days; then of 2 loops one: 1/4 after four.
    loops = (answered(1), answered(2), answered(2), abandoned(2), answered(4), still_open(6))
    assert quantiles(*loops) == {
        ("search", "7d", "0.5"): 2 * DAY,
        ("search", "7d", "0.75"): 4 * DAY,
        ("_org", "7d", "0.5"): 2 * DAY,
        ("_org", "7d", "0.75"): 4 * DAY,
    }


def test_where_all_are_answered_it_is_the_first_time_by_which_so_many_are() -> None:
    loops = [answered(days / 2) for days in range(1, 11)]
    assert of_search(*loops) == {"0.5": 2.5 * DAY, "0.75": 4 * DAY, "0.9": 4.5 * DAY}


def test_where_nothing_is_answered_there_is_no_quantile() -> None:
    assert quantiles(*(still_open(days) for days in range(1, 7)), on=ANY) == {}
    assert quantiles(*(abandoned(days) for days in range(1, 7)), on=ANY) == {}


def test_a_loop_that_is_watched_longer_without_an_answer_makes_the_others_no_faster() -> None:
    assert of_search(answered(1), still_open(6)) == {"0.5": DAY}
    assert of_search(answered(1), still_open(6), still_open(6)) == {}


def test_a_loop_that_was_watched_for_less_time_than_any_answer_took_says_nothing() -> None:
    assert (
        of_search(answered(2), still_open(1)) == of_search(answered(2)) == dict.fromkeys(("0.5", "0.75", "0.9"), 172800)
    )


def test_the_minimum_is_asked_of_all_loops_of_the_curve_answered_or_not() -> None:
    assert quantiles(answered(1), answered(1), answered(1), still_open(6)) == {}
    assert of_search(answered(1), answered(1), answered(1), still_open(6), abandoned(6), on=WEEK) == {"0.5": DAY}


def test_a_loop_that_ended_before_its_idea_is_no_part_of_the_sample() -> None:
    slipped = (answered(-1), answered(-1), abandoned(-1), abandoned(-1))
    assert quantiles(*slipped, *(answered(1) for _ in range(3))) == {}
    assert of_search(*slipped, answered(3)) == of_search(answered(3))


@pytest.mark.parametrize(("idea_at", "held"), [(at(13, "08:59:59"), False), (at(13), True), (at(19, "23:59:59"), True)])
def test_an_idea_counts_from_the_beginning_of_the_window(idea_at: datetime, *, held: bool) -> None:
    loop = answered(1 / 24, idea_at=idea_at)
    assert of_search(loop) == (dict.fromkeys(("0.5", "0.75", "0.9"), HOUR) if held else {})


def test_an_idea_of_this_very_moment_is_in_no_window_yet() -> None:
    assert quantiles(answered(0, idea_at=NOW), on=ANY) == {}
    assert quantiles(answered(0, idea_at=NOW), on=ANY, now=NOW + timedelta(seconds=1))["_org", "7d", "0.9"] == 0


def test_a_window_holds_loops_by_their_idea_not_by_their_answer() -> None:
    old = answered(10, idea_at=at(9))
    assert quantiles(old, on=terms("7d", "30d", min_sample=1)) == {
        (team, "30d", q): 10 * DAY for team in ("search", "_org") for q in ("0.5", "0.75", "0.9")
    }


def test_an_experiment_with_an_instant_in_the_future_is_not_watched() -> None:
    assert of_search(answered(1), replace(still_open(6), started_at=at(21))) == of_search(answered(1))


def test_each_team_has_a_curve_of_its_own_and_the_organisation_one_of_all() -> None:
    loops = (answered(1, "ads"), answered(3, "search"), answered(5, ""), still_open(6, "late"))
    figure = quantiles(*loops, on=terms("7d", min_sample=1, max_teams=2))
    assert {team: value for (team, _, q), value in figure.items() if q == "0.5"} == {
        "ads": DAY,
        "search": 3 * DAY,
        "_none": 5 * DAY,
        "_org": 3 * DAY,
    }


def test_folded_teams_have_a_curve_together() -> None:
    loops = (answered(1, "ads"), answered(2, "beta"), answered(4, "gamma"))
    figure = quantiles(*loops, on=terms("7d", min_sample=1, max_teams=1))
    assert [figure["_other", "7d", q] for q in ("0.5", "0.75", "0.9")] == [2 * DAY, 4 * DAY, 4 * DAY]


def test_a_loop_that_is_opened_again_is_censored_from_then_on() -> None:
    assert of_search(answered(1), answered(2))["0.75"] == 2 * DAY
    assert of_search(answered(1), replace(answered(2), concluded_at=None, outcome=None)) == {"0.5": DAY}


def test_a_team_that_is_renamed_takes_its_curve_along() -> None:
    before = quantiles(*(answered(days, "search") for days in (1, 2, 3, 4, 5)))
    after = quantiles(*(answered(days, "discovery") for days in (1, 2, 3, 4, 5)))
    assert after == {
        ("discovery" if team == "search" else team, *rest): value for (team, *rest), value in before.items()
    }


def test_a_loop_over_the_change_to_summer_time_is_watched_for_its_real_hours() -> None:
    new_york = ZoneInfo("America/New_York")
    before, after = (datetime(2026, 3, day, 12, tzinfo=new_york).astimezone(UTC) for day in (7, 8))
    figure = quantiles(experiment(idea_at=before, concluded_at=after), on=ANY, now=at(9))
    assert figure["search", "7d", "0.5"] == 23 * HOUR

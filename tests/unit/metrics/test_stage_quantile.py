"""`loopgauge_stage_quantile_seconds`: exact quantiles of how long each stage took."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import stage_quantile_seconds as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, YESTERDAY = at(20), at(19)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR, DAY = 3600, 86400


def quantiles(*experiments: Experiment, on: Terms = WEEK) -> dict[tuple[str, str, str, str], float]:
    """The figure by team, stage, window and q."""
    (family,) = families(View.of(experiments, on, NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_stage_quantile_seconds"}
    return {
        (sample.labels["team"], sample.labels["stage"], sample.labels["window"], sample.labels["q"]): sample.value
        for sample in family.samples
    }


def medians(*experiments: Experiment, on: Terms = ANY, team: str = "search", window: str = "7d") -> dict[str, float]:
    """The median of each stage that has one."""
    return {
        stage: value
        for (row, stage, over, q), value in quantiles(*experiments, on=on).items()
        if (row, over, q) == (team, window, "0.5")
    }


def taking(hours: float, answered_at: datetime = YESTERDAY, team: str = "search") -> Experiment:
    """An experiment that was answered so many hours after its idea, and knows no other stage."""
    return experiment(idea_at=answered_at - timedelta(hours=hours), team=team, concluded_at=answered_at)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_stage_quantile_seconds", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert quantiles() == {}


def test_each_quantile_lies_between_the_two_nearest_for_the_team_and_the_organisation() -> None:
    figure = quantiles(*(taking(hours) for hours in (10, 2, 4, 1, 3)))
    assert figure == pytest.approx(
        {
            ("search", "idea_to_answer", "7d", "0.5"): 3 * HOUR,
            ("search", "idea_to_answer", "7d", "0.75"): 4 * HOUR,
            ("search", "idea_to_answer", "7d", "0.9"): 7.6 * HOUR,
            ("_org", "idea_to_answer", "7d", "0.5"): 3 * HOUR,
            ("_org", "idea_to_answer", "7d", "0.75"): 4 * HOUR,
            ("_org", "idea_to_answer", "7d", "0.9"): 7.6 * HOUR,
        }
    )


def test_each_stage_is_measured_between_its_own_instants() -> None:
    loop = experiment(
        idea_at=at(15, "09:00:00"),
        started_at=at(15, "10:00:00"),
        first_signal_at=at(15, "12:00:00"),
        concluded_at=at(15, "16:00:00"),
        shared_at=at(16, "00:00:00"),
        shipped_at=at(15, "22:00:00"),
    )
    assert medians(loop) == {
        "idea_to_answer": 7 * HOUR,
        "idea_to_start": 1 * HOUR,
        "start_to_signal": 2 * HOUR,
        "signal_to_answer": 4 * HOUR,
        "answer_to_shared": 8 * HOUR,
        "signal_to_shipped": 10 * HOUR,
    }


def test_below_the_minimum_sample_there_is_no_quantile() -> None:
    assert quantiles(*(taking(1) for _ in range(4))) == {}
    assert len(quantiles(*(taking(1) for _ in range(5)))) == 6


def test_the_minimum_is_asked_of_the_loops_that_know_the_stage() -> None:
    known = [replace(taking(2), started_at=YESTERDAY - timedelta(hours=1)) for _ in range(4)]
    assert set(medians(*known, taking(2), on=WEEK)) == {"idea_to_answer"}
    assert set(medians(*known, known[0], on=WEEK)) == {"idea_to_answer", "idea_to_start"}


def test_teams_that_are_too_small_alone_have_a_quantile_together() -> None:
    figure = quantiles(*(taking(hours, team="ads") for hours in (1, 2, 3)), *(taking(hours) for hours in (4, 5)))
    assert figure["_org", "idea_to_answer", "7d", "0.5"] == 3 * HOUR
    assert {row for row, *_ in figure} == {"_org"}


@pytest.mark.parametrize("concluded_at", [None, YESTERDAY])
def test_what_is_open_or_abandoned_is_in_no_quantile(concluded_at: datetime | None) -> None:
    outcome = Outcome.ABANDONED if concluded_at else None
    loop = experiment(idea_at=at(14), started_at=at(15), concluded_at=concluded_at, outcome=outcome)
    assert quantiles(loop, on=ANY) == {}


@pytest.mark.parametrize(
    ("answered_at", "held"), [(at(13, "08:59:59"), False), (at(13), True), (at(20, "08:59:59"), True), (NOW, False)]
)
def test_an_answer_counts_from_the_beginning_of_the_window_to_before_its_end(
    answered_at: datetime, *, held: bool
) -> None:
    assert medians(taking(30, answered_at)) == ({"idea_to_answer": 30 * HOUR} if held else {})


def test_a_longer_window_holds_what_the_shorter_holds_and_more() -> None:
    several = (taking(1), taking(3), taking(8, at(5)))
    on = terms("30d", "7d", min_sample=1)
    assert medians(*several, on=on, window="7d") == {"idea_to_answer": 2 * HOUR}
    assert medians(*several, on=on, window="30d") == {"idea_to_answer": 3 * HOUR}
    assert medians(*several, on=on, window="30d", team="_org") == {"idea_to_answer": 3 * HOUR}


def test_a_negative_stage_is_missing_and_the_others_of_the_loop_stand() -> None:
    loop = experiment(idea_at=at(16), started_at=at(14), first_signal_at=at(17), concluded_at=at(18))
    assert medians(loop) == {"idea_to_answer": 2 * DAY, "start_to_signal": 3 * DAY, "signal_to_answer": DAY}


def test_an_answer_at_the_moment_of_the_idea_took_no_time() -> None:
    assert medians(taking(0)) == {"idea_to_answer": 0}


def test_an_experiment_with_an_instant_in_the_future_is_in_no_quantile() -> None:
    assert quantiles(replace(taking(1), shared_at=at(21)), on=ANY) == {}


def test_loops_without_a_team_and_of_folded_teams_have_rows_of_their_own() -> None:
    figure = quantiles(
        taking(9, team="first"),
        taking(2, team="second"),
        taking(4, team="third"),
        taking(5, team=""),
        on=terms("7d", min_sample=1, max_teams=1),
    )
    assert {row: value for (row, _, _, q), value in figure.items() if q == "0.5"} == {
        "first": 9 * HOUR,
        "_other": 3 * HOUR,
        "_none": 5 * HOUR,
        "_org": 4.5 * HOUR,
    }


def test_a_conclusion_that_is_corrected_changes_the_quantile() -> None:
    others = (taking(1), taking(2))
    assert medians(*others, taking(9)) == {"idea_to_answer": 2 * HOUR}
    assert medians(*others, replace(taking(9), outcome=Outcome.ABANDONED)) == {"idea_to_answer": 1.5 * HOUR}
    assert medians(*others, replace(taking(9), concluded_at=None, outcome=None)) == {"idea_to_answer": 1.5 * HOUR}


def test_a_team_that_is_renamed_takes_its_figures_along() -> None:
    before = quantiles(*(taking(hours, team="search") for hours in (1, 2, 3, 4, 5)))
    after = quantiles(*(taking(hours, team="discovery") for hours in (1, 2, 3, 4, 5)))
    assert after == {
        ("discovery" if team == "search" else team, *labels): value for (team, *labels), value in before.items()
    }


def test_a_loop_over_the_change_to_summer_time_takes_its_real_hours() -> None:
    new_york = ZoneInfo("America/New_York")
    saturday_noon = datetime(2026, 3, 7, 12, tzinfo=new_york).astimezone(UTC)
    sunday_noon = datetime(2026, 3, 8, 12, tzinfo=new_york).astimezone(UTC)
    loop = experiment(idea_at=saturday_noon, concluded_at=sunday_noon)
    assert medians(loop, on=terms("30d", min_sample=1), window="30d") == {"idea_to_answer": 23 * HOUR}

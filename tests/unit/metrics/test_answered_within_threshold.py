"""`loopgauge_answered_within_threshold_ratio`: how many of the answers came by the team's threshold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import answered_within_threshold_ratio as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, YESTERDAY = at(20), at(19)
WEEK = terms("7d")
TWO_DAYS = terms("7d", thresholds={"default": timedelta(days=2)}, min_sample=1)


def ratios(*experiments: Experiment, on: Terms = TWO_DAYS) -> dict[tuple[str, str], float]:
    """The figure by team and window."""
    (family,) = families(View.of(experiments, on, NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_answered_within_threshold_ratio"}
    return {(sample.labels["team"], sample.labels["window"]): sample.value for sample in family.samples}


def taking(days: float, answered_at: datetime = YESTERDAY, team: str = "search") -> Experiment:
    """An experiment that was answered so many days after its idea."""
    return experiment(idea_at=answered_at - timedelta(days=days), team=team, concluded_at=answered_at)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_answered_within_threshold_ratio", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert ratios() == {}


def test_it_is_the_share_of_answers_that_took_at_most_the_threshold() -> None:
    assert ratios(taking(1), taking(1.5), taking(2), taking(3), taking(400)) == {
        ("search", "7d"): 0.6,
        ("_org", "7d"): 0.6,
    }


@pytest.mark.parametrize(("beyond", "share"), [(-1, 1), (0, 1), (1, 0)])
def test_just_the_threshold_is_within_it(beyond: int, share: float) -> None:
    taken = timedelta(days=2, microseconds=beyond)
    assert ratios(experiment(idea_at=YESTERDAY - taken, concluded_at=YESTERDAY))["search", "7d"] == share


def test_each_answer_is_held_to_the_threshold_of_its_own_team_in_the_organisations_row_too() -> None:
    loops = [taking(days, team=team) for team in ("ads", "search", "") for days in (1, 2, 3, 4)]
    on = terms("7d", thresholds={"default": timedelta(days=3), "search": timedelta(days=1)}, min_sample=4)
    assert ratios(*loops, on=on) == {
        ("ads", "7d"): 0.75,
        ("search", "7d"): 0.25,
        ("_none", "7d"): 0.75,
        # 3 + 1 + 3 of 12.
        ("_org", "7d"): 7 / 12,
    }


def test_folded_teams_are_held_to_their_own_thresholds() -> None:
    loops = (taking(9, team="ads"), taking(2, team="beta"), taking(3, team="gamma"))
    on = terms("7d", thresholds={"default": timedelta(days=3), "beta": timedelta(days=1)}, min_sample=1, max_teams=1)
    assert ratios(*loops, on=on)["_other", "7d"] == 0.5


def test_below_the_minimum_sample_there_is_no_ratio() -> None:
    assert ratios(*(taking(1) for _ in range(4)), on=WEEK) == {}
    assert ratios(*(taking(1) for _ in range(5)), on=WEEK) == {("search", "7d"): 1, ("_org", "7d"): 1}


def test_an_answer_that_came_before_its_idea_is_no_part_of_the_sample() -> None:
    assert ratios(*(taking(1) for _ in range(4)), taking(-1), on=WEEK) == {}
    assert ratios(taking(-1), taking(3))["search", "7d"] == 0


def test_what_is_open_or_abandoned_is_no_answer() -> None:
    given_up = replace(taking(1), outcome=Outcome.ABANDONED)
    assert ratios(given_up, experiment(idea_at=at(18))) == {}


@pytest.mark.parametrize(
    ("answered_at", "held"), [(at(13, "08:59:59"), False), (at(13), True), (at(20, "08:59:59"), True), (NOW, False)]
)
def test_an_answer_counts_from_the_beginning_of_the_window_to_before_its_end(
    answered_at: datetime, *, held: bool
) -> None:
    assert bool(ratios(taking(1, answered_at))) == held


def test_each_window_has_a_share_of_its_own() -> None:
    on = terms("7d", "30d", thresholds={"default": timedelta(days=2)}, min_sample=1)
    figure = ratios(taking(3), taking(1, at(5)), on=on)
    assert (figure["search", "7d"], figure["search", "30d"]) == (0, 0.5)


def test_an_experiment_with_an_instant_in_the_future_is_no_part_of_the_share() -> None:
    assert ratios(replace(taking(1), shared_at=at(21)), taking(3))["search", "7d"] == 0


def test_an_answer_that_is_corrected_changes_the_share() -> None:
    assert ratios(taking(1), taking(3))["search", "7d"] == 0.5
    assert ratios(taking(1), replace(taking(3), outcome=Outcome.ABANDONED))["search", "7d"] == 1
    assert ratios(replace(taking(1), concluded_at=None, outcome=None), taking(3))["search", "7d"] == 0


def test_a_team_that_is_renamed_takes_its_share_along() -> None:
    assert ratios(taking(1, team="search"), taking(3, team="search")) == {("search", "7d"): 0.5, ("_org", "7d"): 0.5}
    assert ratios(taking(1, team="discovery"), taking(3, team="discovery")) == {
        ("discovery", "7d"): 0.5,
        ("_org", "7d"): 0.5,
    }


def test_the_lost_hour_of_the_change_to_summer_time_does_not_count_against_the_threshold() -> None:
    new_york = ZoneInfo("America/New_York")
    before = datetime(2026, 3, 7, 12, tzinfo=new_york).astimezone(UTC)
    after = datetime(2026, 3, 9, 13, tzinfo=new_york).astimezone(UTC)
    on = terms("30d", thresholds={"default": timedelta(days=2)}, min_sample=1)
    assert ratios(experiment(idea_at=before, concluded_at=after), on=on)["search", "30d"] == 1

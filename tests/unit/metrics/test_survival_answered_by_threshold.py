"""`loopgauge_survival_answered_by_threshold_ratio`: the estimated share that is answered by the team's threshold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.survival import survival_answered_by_threshold_ratio as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, IDEA = at(20), at(13)
WEEK = terms("7d")


def ratios(*experiments: Experiment, on: Terms = WEEK) -> dict[tuple[str, str], float]:
    """The figure by team and window."""
    (family,) = families(View.of(experiments, on, NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_survival_answered_by_threshold_ratio"}
    return {(sample.labels["team"], sample.labels["window"]): sample.value for sample in family.samples}


def by(threshold: timedelta, *experiments: Experiment) -> float:
    """The figure of the organisation for a threshold that all teams have."""
    return ratios(*experiments, on=terms("7d", thresholds={"default": threshold}, min_sample=1))["_org", "7d"]


def answered(days: float, team: str = "search", idea_at: datetime = IDEA) -> Experiment:
    return experiment(idea_at=idea_at, team=team, concluded_at=idea_at + timedelta(days=days))


def abandoned(days: float, team: str = "search") -> Experiment:
    return replace(answered(days, team), outcome=Outcome.ABANDONED)


def still_open(days: float, team: str = "search") -> Experiment:
    """An experiment whose idea was so long ago."""
    return experiment(idea_at=NOW - timedelta(days=days), team=team)


# S is 5/6 after a day, then of 5 loops 2 are answered: 1/2 after two days; then of 2 loops one: 1/4 after four.
LOOPS = (answered(1), answered(2), answered(2), abandoned(2), answered(4), still_open(6))


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_survival_answered_by_threshold_ratio", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert ratios() == {}


@pytest.mark.parametrize(
    ("threshold", "share"),
    [
        (timedelta(hours=23), 0),
        (timedelta(days=1), 1 / 6),
        (timedelta(days=2, microseconds=-1), 1 / 6),
        (timedelta(days=2), 1 / 2),
        (timedelta(days=3), 1 / 2),
        (timedelta(days=4), 3 / 4),
        (timedelta(days=14), 3 / 4),
    ],
)
def test_a_loop_that_takes_just_the_threshold_is_answered_by_it(threshold: timedelta, share: float) -> None:
    assert by(threshold, *LOOPS) == pytest.approx(share)


def test_it_is_there_where_the_median_is_not_reached() -> None:
    assert by(timedelta(days=2), answered(1), *(still_open(6) for _ in range(3))) == 0.25


def test_where_nothing_is_answered_it_is_nothing_and_where_all_is_it_is_all() -> None:
    threshold = timedelta(days=3)
    assert by(threshold, still_open(6), abandoned(2)) == 0
    assert by(threshold, *(answered(days) for days in (1, 2, 3))) == 1


def test_each_row_is_held_to_its_own_threshold_the_organisation_to_the_default() -> None:
    loops = [answered(days, team) for team in ("ads", "search", "") for days in (1, 2, 3, 4)]
    on = terms("7d", thresholds={"default": timedelta(days=3), "search": timedelta(days=1)}, min_sample=4)
    assert ratios(*loops, on=on) == pytest.approx(
        {("ads", "7d"): 0.75, ("search", "7d"): 0.25, ("_none", "7d"): 0.75, ("_org", "7d"): 0.75}
    )


def test_folded_teams_are_held_to_the_default() -> None:
    loops = (answered(1, "ads"), answered(2, "beta"), answered(4, "gamma"))
    on = terms("7d", thresholds={"default": timedelta(days=3), "beta": timedelta(days=1)}, min_sample=1, max_teams=1)
    assert ratios(*loops, on=on)["_other", "7d"] == 0.5


def test_below_the_minimum_sample_of_all_loops_of_the_curve_there_is_no_ratio() -> None:
    four = (answered(1), answered(1), still_open(6), abandoned(6))
    assert ratios(*four) == {}
    assert ratios(*four, still_open(6)) == pytest.approx({("search", "7d"): 0.4, ("_org", "7d"): 0.4})


def test_a_loop_that_ended_before_its_idea_is_no_part_of_the_sample() -> None:
    slipped = (answered(-1), answered(-1), abandoned(-1), abandoned(-1))
    assert ratios(*slipped, answered(1), answered(1), answered(1)) == {}


@pytest.mark.parametrize(("idea_at", "held"), [(at(13, "08:59:59"), False), (at(13), True), (NOW, False)])
def test_an_idea_counts_from_the_beginning_of_the_window_to_before_its_end(idea_at: datetime, *, held: bool) -> None:
    assert bool(ratios(answered(0, idea_at=idea_at), on=terms("7d", min_sample=1))) == held


def test_each_window_has_a_curve_of_its_own() -> None:
    loops = (answered(1), answered(10, idea_at=at(9)))
    figure = ratios(*loops, on=terms("7d", "30d", thresholds={"default": timedelta(days=2)}, min_sample=1))
    assert (figure["_org", "7d"], figure["_org", "30d"]) == (1, 0.5)


def test_an_experiment_with_an_instant_in_the_future_is_not_watched() -> None:
    assert by(timedelta(days=3), answered(1), replace(still_open(6), started_at=at(21))) == 1


def test_an_answer_that_turns_out_to_be_none_is_censored() -> None:
    assert by(timedelta(days=3), answered(1), answered(2)) == 1
    assert by(timedelta(days=3), answered(1), abandoned(2)) == 0.5


def test_a_team_that_is_renamed_without_its_threshold_is_held_to_the_default() -> None:
    on = terms("7d", thresholds={"search": timedelta(days=1)}, min_sample=1)
    assert ratios(answered(2, "search"), on=on) == {("search", "7d"): 0, ("_org", "7d"): 1}
    assert ratios(answered(2, "discovery"), on=on) == {("discovery", "7d"): 1, ("_org", "7d"): 1}


def test_a_loop_over_the_change_to_summer_time_is_held_to_its_real_hours() -> None:
    noon = datetime.fromisoformat("2026-03-07T12:00:00-05:00").astimezone(UTC)
    after_48_hours = datetime.fromisoformat("2026-03-09T13:00:00-04:00").astimezone(UTC)
    on = terms("30d", thresholds={"default": timedelta(days=2)}, min_sample=1)
    just, beyond = (
        experiment(idea_at=noon, concluded_at=after_48_hours + timedelta(microseconds=late)) for late in (0, 1)
    )
    assert ratios(just, on=on)["search", "30d"] == 1
    assert ratios(beyond, on=on)["search", "30d"] == 0


def test_where_nobody_was_watched_for_as_long_as_the_threshold_it_is_what_is_answered_so_far() -> None:
    loops = (answered(1), answered(5), still_open(6), still_open(6))
    assert by(timedelta(days=5), *loops) == 0.5
    assert by(timedelta(days=14), *loops) == 0.5

"""A view divides experiments by team, by window, and by kind, such as open or concluded."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.cohort import Cohort
from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, View, without_organisation
from tests.support.builders import at, experiment, terms

NOW = at(20)
WEEK = terms("7d")
A_MICROSECOND = timedelta(microseconds=1)


def view(*experiments: Experiment, on: Terms = WEEK) -> View:
    return View.of(experiments, on, NOW)


def members(cohorts: Iterable[Cohort], team: str = ORGANISATION, window: str = "7d") -> list[Experiment]:
    """The experiments in the cohort of a team and a window."""
    (cohort,) = (cohort for cohort in cohorts if (cohort.team, cohort.window) == (team, window))
    assert len(cohort) == len(cohort.experiments)
    return [measured.experiment for measured in cohort.experiments]


def present(seen: View) -> list[Experiment]:
    return members(seen.all, window="")


@pytest.mark.parametrize(
    ("when", "contained"),
    [
        (at(13), True),
        (at(13) - A_MICROSECOND, False),
        (at(16), True),
        (NOW - A_MICROSECOND, True),
        (NOW, False),
    ],
)
def test_a_window_includes_its_start_and_excludes_its_end(when: datetime, *, contained: bool) -> None:
    expected = [experiment(idea_at=when)] if contained else []
    assert members(view(experiment(idea_at=when)).proposed) == expected


def test_a_longer_window_contains_a_shorter_one_whatever_their_order_in_the_settings() -> None:
    ideas = [experiment(idea_at=NOW - timedelta(days=days)) for days in (3, 20, 80)]
    seen = view(*ideas, on=terms("30d", "7d", "90d"))
    counted = {cohort.window: len(cohort.experiments) for cohort in seen.proposed if cohort.team == ORGANISATION}
    assert counted == {"7d": 1, "30d": 2, "90d": 3}


@pytest.mark.parametrize(
    "past",
    [
        experiment(idea_at=NOW),
        experiment(idea_at=at(1), started_at=at(2), first_signal_at=at(3), concluded_at=at(4), shared_at=at(5)),
    ],
)
def test_an_experiment_whose_instants_are_not_in_the_future_is_present(past: Experiment) -> None:
    assert present(view(past)) == [past]


@pytest.mark.parametrize(
    "ahead",
    [
        experiment(idea_at=NOW + A_MICROSECOND),
        experiment(idea_at=at(1), started_at=at(21)),
        experiment(idea_at=at(1), first_signal_at=at(21)),
        experiment(idea_at=at(1), concluded_at=at(21)),
        experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(21)),
    ],
)
def test_an_experiment_with_an_instant_in_the_future_is_absent_until_that_instant(ahead: Experiment) -> None:
    seen, later = view(ahead), view(ahead).at(at(22))
    assert present(seen) == []
    assert [measured.experiment for measured in seen.future] == [ahead]
    assert present(later) == [ahead]
    assert not later.future


def test_a_team_that_has_an_experiment_has_a_row() -> None:
    assert view(experiment(idea_at=at(1), concluded_at=at(2), team="search")).teams == ["search"]


@pytest.mark.parametrize("unnamed", ["", "_org", "_other", "_mine"])
def test_an_experiment_without_a_team_or_with_a_reserved_team_name_is_in_the_row_named_none(unnamed: str) -> None:
    seen = view(experiment(idea_at=at(1), team=unnamed))
    assert (seen.teams, seen.row(unnamed)) == (["_none"], "_none")


def test_the_teams_with_the_most_loops_in_the_windows_keep_their_own_rows_and_the_others_are_combined() -> None:
    seen = view(
        experiment(idea_at=at(3), team="late"),
        experiment(idea_at=at(1), team="early"),
        experiment(idea_at=at(9), team="early"),
        experiment(idea_at=at(2), team="a second"),
        experiment(idea_at=at(4), team="latest"),
        experiment(idea_at=at(8), team=""),
        on=terms("7d", max_teams=2),
    )
    assert seen.teams == ["_none", "_other", "a second", "early"]
    assert [one.team for one in members(seen.all, "_other", "")] == ["late", "latest"]
    assert (seen.row("late"), seen.row("early"), seen.combined_teams) == ("_other", "early", 2)
    assert len(present(seen)) == 6


def test_the_alphabetically_first_teams_keep_their_rows_if_they_have_equally_many_loops() -> None:
    seen = view(*(experiment(idea_at=at(1), team=team) for team in ("b", "a", "c")), on=terms(max_teams=2))
    assert seen.teams == ["_other", "a", "b"]


def test_a_team_without_loops_in_the_windows_does_not_push_out_a_team_with_one() -> None:
    over = [experiment(idea_at=at(1), concluded_at=at(2), team=f"a{number}") for number in range(5)]
    now_open = experiment(idea_at=at(3), team="z")
    seen = View.of([*over, now_open], terms("7d", max_teams=1), at(20))
    assert seen.teams == ["_other", "z"]


def test_no_team_is_combined_if_the_number_of_teams_is_within_the_limit() -> None:
    seen = view(*(experiment(idea_at=at(1), team=team) for team in ("a", "b", "")), on=terms(max_teams=2))
    assert (seen.teams, seen.combined_teams) == (["_none", "a", "b"], 0)


def test_each_experiment_is_in_one_row_apart_from_the_row_of_the_organisation() -> None:
    seen = view(experiment(idea_at=at(1), team="ads"), experiment(idea_at=at(1), team="search"))
    assert [cohort.team for cohort in without_organisation(seen.open)] == ["ads", "search"]


def test_the_concluded_experiments_of_a_window_have_their_conclusion_in_that_window() -> None:
    inside = experiment(idea_at=at(1), concluded_at=at(13))
    before = experiment(idea_at=at(1), concluded_at=at(13) - A_MICROSECOND)
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    still_open = experiment(idea_at=at(14), started_at=at(15))
    seen = view(inside, before, just_now, still_open)
    assert members(seen.concluded) == members(seen.concluded, "search") == [inside]


def test_a_conclusion_does_not_count_while_another_instant_of_the_experiment_is_in_the_future() -> None:
    ahead = view(experiment(idea_at=at(1), concluded_at=at(14), shared_at=at(21)))
    assert members(ahead.concluded) == members(ahead.answered) == []


def test_a_conclusion_at_this_moment_is_in_the_window_of_the_next_moment() -> None:
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    assert members(view(just_now).at(NOW + A_MICROSECOND).concluded) == [just_now]


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED])
def test_a_concluded_experiment_that_is_not_abandoned_is_answered(outcome: Outcome) -> None:
    answered = experiment(idea_at=at(1), concluded_at=at(14), outcome=outcome)
    assert members(view(answered).answered) == [answered]


def test_an_abandoned_experiment_is_concluded_and_not_answered() -> None:
    abandoned = experiment(idea_at=at(1), concluded_at=at(14), outcome=Outcome.ABANDONED)
    assert members(view(abandoned).concluded) == [abandoned]
    assert members(view(abandoned).answered) == []


def test_an_answer_before_the_start_of_a_window_is_not_in_the_window() -> None:
    assert members(view(experiment(idea_at=at(1), concluded_at=at(2))).answered) == []


def test_the_open_experiments_are_the_experiments_without_a_conclusion() -> None:
    still_open = experiment(idea_at=at(1), started_at=at(2))
    assert members(view(still_open, experiment(idea_at=at(1), concluded_at=at(2))).open, window="") == [still_open]


def test_the_overdue_experiments_are_open_and_older_than_the_threshold_of_their_own_team() -> None:
    quick = experiment(idea_at=at(12), team="quick")
    slow = experiment(idea_at=at(1), team="slow")
    seen = view(
        quick,
        slow,
        experiment(idea_at=at(12), team="slow"),
        experiment(idea_at=at(1), team="slow", concluded_at=at(19)),
        on=terms("7d", thresholds={"quick": timedelta(days=7)}, max_teams=1),
    )
    assert members(seen.overdue, "slow", "") == [slow]
    assert members(seen.overdue, "_other", "") == [quick]
    assert members(seen.overdue, window="") == [quick, slow]


def test_the_forgotten_experiments_are_open_and_without_recent_activity() -> None:
    inactive = experiment(idea_at=at(1))
    active = experiment(idea_at=at(1), last_activity_at=at(19))
    concluded = experiment(idea_at=at(1), concluded_at=at(2))
    seen = view(inactive, active, concluded, on=terms(forgotten_after=timedelta(days=7)))
    assert members(seen.forgotten, "search", "") == members(seen.forgotten, window="") == [inactive]


def test_the_shared_learnings_of_a_window_were_shared_in_that_window() -> None:
    shared = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(14))
    before = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(3))
    assert members(view(shared, before, experiment(idea_at=at(14))).shared) == [shared]


def test_durations_are_in_ascending_order_and_unknown_durations_are_left_out() -> None:
    seen = view(
        experiment(idea_at=at(1), concluded_at=at(15)),
        experiment(idea_at=at(14), concluded_at=at(15)),
        experiment(idea_at=at(16), concluded_at=at(15)),
    )
    (cohort,) = (cohort for cohort in seen.answered if cohort.team == ORGANISATION)
    assert cohort.durations("idea_to_answer") == [86400, 14 * 86400]
    assert cohort.durations("idea_to_start") == []

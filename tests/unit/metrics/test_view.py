"""The windows, the rows and the populations that every figure speaks of."""

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


def view(*experiments: Experiment, on: Terms = WEEK, now: datetime = NOW) -> View:
    return View.of(experiments, on, now)


def members(cohorts: Iterable[Cohort], team: str = ORGANISATION, window: str = "7d") -> list[Experiment]:
    """The experiments of one row."""
    (cohort,) = (cohort for cohort in cohorts if (cohort.team, cohort.window) == (team, window))
    return [measured.experiment for measured in cohort.experiments]


def present(seen: View, now: datetime = NOW) -> list[Experiment]:
    return members(seen.at(now).all, window="")


@pytest.mark.parametrize(
    ("when", "held"),
    [
        (at(13), True),
        (at(13) - A_MICROSECOND, False),
        (at(16), True),
        (NOW - A_MICROSECOND, True),
        (NOW, False),
    ],
)
def test_a_window_holds_its_beginning_and_not_its_end(when: datetime, *, held: bool) -> None:
    assert members(view(experiment(idea_at=when)).proposed) == ([experiment(idea_at=when)] if held else [])


def test_what_lies_in_a_window_lies_in_every_longer_one_however_they_are_ordered() -> None:
    ideas = [experiment(idea_at=NOW - timedelta(days=days)) for days in (3, 20, 80)]
    seen = view(*ideas, on=terms("30d", "7d", "90d"))
    counted = {cohort.window: len(cohort.experiments) for cohort in seen.proposed if cohort.team == ORGANISATION}
    assert counted == {"7d": 1, "30d": 2, "90d": 3}


def test_an_experiment_of_the_past_is_present() -> None:
    past = experiment(idea_at=at(1), started_at=at(2), first_signal_at=at(3), concluded_at=at(4), shared_at=at(5))
    assert present(view(past)) == [past]


def test_an_experiment_of_this_very_moment_is_present() -> None:
    this_moment = experiment(idea_at=NOW)
    assert present(view(this_moment)) == [this_moment]


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
def test_an_experiment_with_an_instant_in_the_future_is_absent_until_then(ahead: Experiment) -> None:
    seen = view(ahead)
    assert present(seen) == []
    assert [measured.experiment for measured in seen.future] == [ahead]
    assert present(seen, at(22)) == [ahead]
    assert not seen.at(at(22)).future


def test_the_teams_are_named_once_each_in_alphabetical_order() -> None:
    many = view(*(experiment(idea_at=at(1), team=team) for team in ("search", "ads", "search")))
    assert many.teams == ["ads", "search"]


def test_a_team_whose_only_experiment_lies_in_the_future_is_not_named() -> None:
    assert view(experiment(idea_at=at(21), team="search")).teams == []


def test_a_team_without_an_open_experiment_is_still_named() -> None:
    assert view(experiment(idea_at=at(1), concluded_at=at(2), team="search")).teams == ["search"]


@pytest.mark.parametrize("unnamed", ["", "_org", "_other", "_mine"])
def test_an_experiment_without_a_team_of_its_own_has_a_label_value_of_ours(unnamed: str) -> None:
    assert view(experiment(idea_at=at(1), team=unnamed)).teams == ["_none"]


def test_teams_beyond_the_cap_are_folded_into_one_those_with_the_earliest_first_idea_stay() -> None:
    seen = view(
        experiment(idea_at=at(3), team="late"),
        experiment(idea_at=at(1), team="early"),
        experiment(idea_at=at(9), team="early"),
        experiment(idea_at=at(2), team="second"),
        experiment(idea_at=at(4), team="latest"),
        experiment(idea_at=at(8), team=""),
        on=terms("7d", max_teams=2),
    )
    assert seen.teams == ["_none", "_other", "early", "second"]
    assert [measured.team for measured in members(seen.all, "_other", "")] == ["late", "latest"]
    assert seen.combined_teams == 2
    assert len(present(seen)) == 6


def test_of_teams_with_the_same_first_idea_the_alphabet_decides_which_is_folded() -> None:
    seen = view(*(experiment(idea_at=at(1), team=team) for team in ("b", "a", "c")), on=terms(max_teams=2))
    assert seen.teams == ["_other", "a", "b"]


def test_nothing_is_folded_where_the_teams_are_as_many_as_the_cap() -> None:
    seen = view(*(experiment(idea_at=at(1), team=team) for team in ("a", "b", "")), on=terms(max_teams=2))
    assert (seen.teams, seen.combined_teams) == (["_none", "a", "b"], 0)


def test_without_the_organisation_each_loop_is_in_one_row() -> None:
    seen = view(experiment(idea_at=at(1), team="ads"), experiment(idea_at=at(1), team="search"))
    assert [cohort.team for cohort in without_organisation(seen.open)] == ["ads", "search"]


def test_concluded_are_those_concluded_in_the_window_whenever_their_idea_was() -> None:
    inside = experiment(idea_at=at(1), concluded_at=at(13))
    before = experiment(idea_at=at(1), concluded_at=at(13) - A_MICROSECOND)
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    still_open = experiment(idea_at=at(14), started_at=at(15))
    seen = view(inside, before, just_now, still_open)
    assert members(seen.concluded) == members(seen.concluded, "search") == [inside]


def test_a_conclusion_in_the_window_does_not_count_while_another_instant_lies_in_the_future() -> None:
    ahead = view(experiment(idea_at=at(1), concluded_at=at(14), shared_at=at(21)))
    assert members(ahead.concluded) == []
    assert members(ahead.answered) == []


def test_what_was_concluded_this_very_moment_is_in_the_window_of_the_next() -> None:
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    assert members(view(just_now).at(NOW + A_MICROSECOND).concluded) == [just_now]


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED])
def test_an_experiment_that_was_concluded_in_the_window_is_answered(outcome: Outcome) -> None:
    answered = experiment(idea_at=at(1), concluded_at=at(14), outcome=outcome)
    assert members(view(answered).answered) == [answered]


def test_an_abandoned_experiment_is_concluded_and_not_answered() -> None:
    abandoned = experiment(idea_at=at(1), concluded_at=at(14), outcome=Outcome.ABANDONED)
    assert members(view(abandoned).concluded) == [abandoned]
    assert members(view(abandoned).answered) == []


def test_an_experiment_that_was_answered_before_the_window_is_not_answered_in_it() -> None:
    assert members(view(experiment(idea_at=at(1), concluded_at=at(2))).answered) == []


def test_open_are_those_that_are_not_concluded() -> None:
    still_open = experiment(idea_at=at(1), started_at=at(2))
    assert members(view(still_open, experiment(idea_at=at(1), concluded_at=at(2))).open, window="") == [still_open]


def test_overdue_are_the_open_loops_older_than_their_own_teams_threshold_in_their_rows_and_the_organisations() -> None:
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


def test_forgotten_are_the_open_loops_without_activity_in_their_rows_and_the_organisations() -> None:
    quiet = experiment(idea_at=at(1))
    busy = experiment(idea_at=at(1), last_activity_at=at(19))
    seen = view(quiet, busy, experiment(idea_at=at(1), concluded_at=at(2)), on=terms(forgotten_after=timedelta(days=7)))
    assert members(seen.forgotten, "search", "") == members(seen.forgotten, window="") == [quiet]


def test_shared_are_those_shared_in_the_window_whenever_they_were_concluded() -> None:
    shared = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(14))
    before = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(3))
    assert members(view(shared, before, experiment(idea_at=at(14))).shared) == [shared]


def test_what_a_stage_took_is_told_in_ascending_order_without_the_loops_that_do_not_know() -> None:
    seen = view(
        experiment(idea_at=at(1), concluded_at=at(15)),
        experiment(idea_at=at(14), concluded_at=at(15)),
        experiment(idea_at=at(16), concluded_at=at(15)),
    )
    (cohort,) = (cohort for cohort in seen.answered if cohort.team == ORGANISATION)
    assert cohort.durations("idea_to_answer") == [86400, 14 * 86400]
    assert cohort.durations("idea_to_start") == []

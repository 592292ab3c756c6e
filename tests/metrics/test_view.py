"""The windows and the populations that every figure speaks of."""

from datetime import datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.view import NO_TEAM, View, Window, team_of
from tests.builders import at, experiment

NOW = at(20)
WEEK = Window("7d", timedelta(days=7))
A_MICROSECOND = timedelta(microseconds=1)


def view(*experiments: Experiment) -> View:
    return View(experiments, (WEEK,))


@pytest.mark.parametrize(
    ("when", "held"),
    [
        (at(13), True),
        (at(13) - A_MICROSECOND, False),
        (at(16), True),
        (NOW - A_MICROSECOND, True),
        (NOW, False),
        (NOW + A_MICROSECOND, False),
    ],
)
def test_a_window_holds_its_beginning_and_not_its_end(when: datetime, *, held: bool) -> None:
    assert WEEK.holds(when, NOW) is held


def test_an_experiment_of_the_past_is_present() -> None:
    past = experiment(idea_at=at(1), started_at=at(2), first_signal_at=at(3), concluded_at=at(4), shared_at=at(5))
    assert list(view(past).present(NOW)) == [past]


def test_an_experiment_of_this_very_moment_is_present() -> None:
    this_moment = experiment(idea_at=NOW)
    assert list(view(this_moment).present(NOW)) == [this_moment]


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
    assert list(view(ahead).present(NOW)) == []
    assert list(view(ahead).present(at(22))) == [ahead]


def test_the_teams_are_named_once_each_in_alphabetical_order() -> None:
    many = view(*(experiment(idea_at=at(1), team=team) for team in ("search", "ads", "search")))
    assert many.teams(NOW) == ["ads", "search"]


def test_a_team_whose_only_experiment_lies_in_the_future_is_not_named() -> None:
    assert view(experiment(idea_at=at(21), team="search")).teams(NOW) == []


def test_a_team_without_an_open_experiment_is_still_named() -> None:
    assert view(experiment(idea_at=at(1), concluded_at=at(2), team="search")).teams(NOW) == ["search"]


def test_an_experiment_without_a_team_has_a_label_value_of_ours() -> None:
    assert team_of(experiment(idea_at=at(1), team="")) == NO_TEAM == "_none"
    assert team_of(experiment(idea_at=at(1), team="search")) == "search"


def test_concluded_are_those_concluded_in_the_window_whenever_their_idea_was() -> None:
    inside = experiment(idea_at=at(1), concluded_at=at(13))
    before = experiment(idea_at=at(1), concluded_at=at(13) - A_MICROSECOND)
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    still_open = experiment(idea_at=at(14), started_at=at(15))
    assert list(view(inside, before, just_now, still_open).concluded(NOW, WEEK)) == [inside]


def test_a_conclusion_in_the_window_does_not_count_while_another_instant_lies_in_the_future() -> None:
    ahead = experiment(idea_at=at(1), concluded_at=at(14), shared_at=at(21))
    assert list(view(ahead).concluded(NOW, WEEK)) == []
    assert list(view(ahead).answered(NOW, WEEK)) == []


def test_what_was_concluded_this_very_moment_is_in_the_window_of_the_next() -> None:
    just_now = experiment(idea_at=at(14), concluded_at=NOW)
    assert list(view(just_now).concluded(NOW + A_MICROSECOND, WEEK)) == [just_now]


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED])
def test_an_experiment_that_was_concluded_in_the_window_is_answered(outcome: Outcome) -> None:
    answered = experiment(idea_at=at(1), concluded_at=at(14), outcome=outcome)
    assert list(view(answered).answered(NOW, WEEK)) == [answered]


def test_an_abandoned_experiment_is_concluded_and_not_answered() -> None:
    abandoned = experiment(idea_at=at(1), concluded_at=at(14), outcome=Outcome.ABANDONED)
    assert list(view(abandoned).concluded(NOW, WEEK)) == [abandoned]
    assert list(view(abandoned).answered(NOW, WEEK)) == []


def test_an_experiment_that_was_answered_before_the_window_is_not_answered_in_it() -> None:
    assert list(view(experiment(idea_at=at(1), concluded_at=at(2))).answered(NOW, WEEK)) == []

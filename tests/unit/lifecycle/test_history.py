"""`as_of` returns an experiment in the state that it had at a past moment."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.experiment import Experiment
from service.lifecycle.history import as_of
from service.lifecycle.stages import is_in_future
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from tests.support.builders import at, experiment, taken_up
from tests.support.drawn import experiments

A_MICROSECOND = timedelta(microseconds=1)
WHOLE = experiment(
    idea_at=at(2),
    risk=Risk.BOLD,
    started_at=at(3),
    first_signal_at=at(5),
    concluded_at=at(8),
    outcome=Outcome.FAILED,
    failure_category=FailureCategory.INTELLIGENT,
    shared_at=at(9),
    shipped_at=at(11),
    last_activity_at=at(12),
)


def test_an_experiment_has_no_past_state_before_its_idea() -> None:
    assert as_of(WHOLE, at(2) - A_MICROSECOND) is None
    assert as_of(WHOLE, at(2)) is not None


def test_a_past_state_has_no_instants_after_the_moment() -> None:
    assert as_of(WHOLE, at(2)) == experiment(idea_at=at(2), risk=Risk.BOLD)
    assert as_of(WHOLE, at(3)) == experiment(idea_at=at(2), risk=Risk.BOLD, started_at=at(3))
    assert as_of(WHOLE, at(8) - A_MICROSECOND) == experiment(
        idea_at=at(2), risk=Risk.BOLD, started_at=at(3), first_signal_at=at(5)
    )


def test_a_past_state_before_the_conclusion_is_open_and_has_no_outcome_or_category() -> None:
    before, after = as_of(WHOLE, at(7)), as_of(WHOLE, at(8))
    assert before is not None
    assert (before.state, before.outcome, before.failure_category) == (State.RUNNING, None, None)
    assert after is not None
    assert (after.state, after.outcome, after.failure_category) == (
        State.CONCLUDED,
        Outcome.FAILED,
        FailureCategory.INTELLIGENT,
    )
    assert (after.shared_at, after.shipped_at) == (None, None)


def test_the_last_activity_as_of_a_moment_is_the_latest_instant_up_to_the_moment() -> None:
    assert [past.last_activity_at for day in range(2, 13) if (past := as_of(WHOLE, at(day)))] == [
        *(at(2), at(3), at(3), at(5), at(5), at(5)),
        *(at(8), at(9), at(9), at(11)),
        at(12),
    ]


def test_a_past_state_keeps_activity_before_the_moment() -> None:
    commented = experiment(idea_at=at(2), concluded_at=at(20), last_activity_at=at(6))
    past = as_of(commented, at(10))
    assert past == experiment(idea_at=at(2), last_activity_at=at(6))


def test_a_past_state_has_no_restarts_after_the_moment() -> None:
    twice = experiment(idea_at=at(2), concluded_at=at(3), restarts=(taken_up(at(5)), taken_up(at(7))))
    past = as_of(twice, at(6))
    assert past is not None
    assert past.restarts == (taken_up(at(5)),)


def test_the_past_state_after_the_last_instant_of_an_experiment_is_the_current_state() -> None:
    assert as_of(WHOLE, at(12)) == WHOLE


@given(experiments(), st.integers(1, 25), st.integers(1, 25))
def test_a_past_state_has_no_instant_after_the_moment_and_does_not_change_when_computed_again(
    known: Experiment, day: int, other: int
) -> None:
    then, earlier = at(max(day, other)), at(min(day, other))
    past = as_of(known, then)
    if past is None:
        assert as_of(known, earlier) is None
        return
    assert not is_in_future(past, then)
    assert past.last_activity_at <= then
    assert as_of(past, then) == past

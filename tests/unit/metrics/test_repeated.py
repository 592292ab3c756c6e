"""`repeated_experiments` counts new ideas and restarts that repeat a concluded or forgotten experiment."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment, Restart
from service.metrics.repeated import repeated_experiments
from tests.support.builders import at, experiment, taken_up, terms
from tests.support.rows import Rows, rows

NOW = at(20)
A_SECOND = timedelta(seconds=1)
NEW = experiment("key:new", idea_at=at(15))


def repeated(*experiments: Experiment, windows: tuple[str, ...] = ("7d",)) -> Rows:
    """The number of repetitions, by team and window. An experiment without activity for five days is forgotten."""
    return rows(repeated_experiments, experiments, terms(*windows, forgotten_after=timedelta(days=5)), NOW)


def test_a_team_without_repetitions_has_a_row_with_zero() -> None:
    assert repeated(NEW) == {("search", "7d"): 0}


@pytest.mark.parametrize(
    ("earlier", "count"),
    [
        (experiment("key:concluded", idea_at=at(1), concluded_at=at(15)), 1),
        (experiment("key:later", idea_at=at(1), concluded_at=at(15) + A_SECOND, last_activity_at=at(15) + A_SECOND), 0),
        (experiment("key:forgotten", idea_at=at(1), last_activity_at=at(10)), 1),
        (experiment("key:active", idea_at=at(1), last_activity_at=at(10) + A_SECOND), 0),
        (experiment("key:concluded-since", idea_at=at(1), concluded_at=at(16), last_activity_at=at(10)), 1),
        (experiment("key:at-once", idea_at=at(15), concluded_at=at(15), last_activity_at=at(15)), 0),
        (experiment("key:other-title", idea_at=at(1), concluded_at=at(2), title="Another"), 0),
        (experiment("key:future", idea_at=at(1), concluded_at=at(2), shared_at=at(21)), 0),
        (experiment("key:other-spelling", idea_at=at(1), concluded_at=at(2), title="answer: FROM the cache."), 1),
    ],
)
def test_a_new_idea_repeats_a_concluded_or_forgotten_experiment_with_the_same_title(
    earlier: Experiment, count: int
) -> None:
    assert repeated(earlier, NEW) == {("search", "7d"): count}


def test_a_repetition_counts_in_the_team_that_repeats_an_experiment_of_another_team() -> None:
    theirs = experiment("key:theirs", idea_at=at(1), concluded_at=at(2), team="ads")
    assert repeated(theirs, NEW) == {("ads", "7d"): 0, ("search", "7d"): 1}


def test_an_idea_counts_once_even_if_it_repeats_several_experiments() -> None:
    several = [experiment(f"key:{day}", idea_at=at(day), concluded_at=at(day, "10:00:00")) for day in (1, 3, 5)]
    assert repeated(*several, NEW, windows=("7d", "30d")) == {("search", "7d"): 1, ("search", "30d"): 3}


def test_experiments_whose_titles_have_no_letters_and_no_digits_repeat_nothing() -> None:
    untitled = [experiment(f"key:{day}", idea_at=at(day), concluded_at=at(day), title="?") for day in (1, 15)]
    assert repeated(*untitled) == {("search", "7d"): 0}


@pytest.mark.parametrize(
    ("restart", "count"),
    [
        (taken_up(at(13)), 1),
        (taken_up(at(13) - A_SECOND), 0),
        (taken_up(NOW), 0),
        (taken_up(at(15), timedelta(days=5), concluded=False), 1),
        (taken_up(at(15), timedelta(days=5) - A_SECOND, concluded=False), 0),
    ],
)
def test_a_restart_of_a_concluded_or_forgotten_experiment_counts_in_the_windows_that_contain_the_restart(
    restart: Restart, count: int
) -> None:
    assert repeated(experiment(idea_at=at(1), restarts=(restart,))) == {("search", "7d"): count}


def test_each_restart_counts() -> None:
    restarts = (taken_up(at(5)), taken_up(at(15)), taken_up(at(16)))
    restarted = experiment(idea_at=at(1), restarts=restarts)
    assert repeated(restarted, windows=("7d", "30d")) == {("search", "7d"): 2, ("search", "30d"): 3}


def test_the_time_without_activity_across_a_clock_change_is_in_elapsed_hours() -> None:
    last_activity_at = datetime.fromisoformat("2026-03-07T12:00:00-05:00").astimezone(UTC)
    same_time_of_day = datetime.fromisoformat("2026-03-12T12:00:00-04:00").astimezone(UTC)
    inactive = experiment("key:inactive", idea_at=at(1), last_activity_at=last_activity_at)
    early = experiment("key:new", idea_at=same_time_of_day)
    later = experiment("key:new", idea_at=same_time_of_day + timedelta(hours=1))
    assert repeated(inactive, early, windows=("30d",)) == {("search", "30d"): 0}
    assert repeated(inactive, later, windows=("30d",)) == {("search", "30d"): 1}


def test_a_new_idea_does_not_repeat_an_open_experiment_with_recent_activity() -> None:
    reopened = experiment("key:over", idea_at=at(1), last_activity_at=at(14))
    assert repeated(reopened, NEW) == {("search", "7d"): 0}

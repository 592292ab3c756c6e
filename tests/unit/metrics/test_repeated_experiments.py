"""`loopgauge_repeated_experiments`: the same idea, started again."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment, Restart
from service.metrics.repeated import repeated_experiments as families
from service.metrics.view import View
from tests.support.builders import at, experiment, taken_up, terms

NOW = at(20)
A_SECOND, A_MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
NEW = experiment("key:new", idea_at=at(15))


def repeated(*experiments: Experiment, windows: tuple[str, ...] = ("7d",)) -> dict[tuple[str, str], float]:
    """The figure by team and window, where a loop without activity for five days is forgotten."""
    view = View.of(experiments, terms(*windows, forgotten_after=timedelta(days=5)), NOW)
    (family,) = families(view)
    return {(sample.labels["team"], sample.labels["window"]): sample.value for sample in family.samples}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms("7d"), NOW))
    assert (family.name, family.type) == ("loopgauge_repeated_experiments", "gauge")
    assert family.documentation


def test_a_team_that_repeats_nothing_has_a_row() -> None:
    assert repeated(NEW) == {("search", "7d"): 0}


@pytest.mark.parametrize(
    ("earlier", "count"),
    [
        (experiment("key:concluded", idea_at=at(1), concluded_at=at(15)), 1),
        (experiment("key:later", idea_at=at(1), concluded_at=at(15) + A_SECOND, last_activity_at=at(15) + A_SECOND), 0),
        (experiment("key:forgotten", idea_at=at(1), last_activity_at=at(10)), 1),
        (experiment("key:alive", idea_at=at(1), last_activity_at=at(10) + A_SECOND), 0),
        (experiment("key:concluded-since", idea_at=at(1), concluded_at=at(16), last_activity_at=at(10)), 1),
        (experiment("key:at-once", idea_at=at(15), concluded_at=at(15), last_activity_at=at(15)), 0),
        (experiment("key:other-title", idea_at=at(1), concluded_at=at(2), title="Another"), 0),
        (experiment("key:ahead", idea_at=at(1), concluded_at=at(2), shared_at=at(21)), 0),
        (experiment("key:spelt-otherwise", idea_at=at(1), concluded_at=at(2), title="answer: FROM the cache."), 1),
    ],
)
def test_a_loop_repeats_one_of_its_title_that_was_concluded_or_forgotten_when_it_began(
    earlier: Experiment, count: int
) -> None:
    assert repeated(earlier, NEW) == {("search", "7d"): count}


def test_it_counts_in_the_team_that_repeats_another_one() -> None:
    theirs = experiment("key:theirs", idea_at=at(1), concluded_at=at(2), team="ads")
    assert repeated(theirs, NEW) == {("ads", "7d"): 0, ("search", "7d"): 1}


def test_a_loop_counts_once_however_many_it_repeats_in_the_windows_that_hold_its_idea() -> None:
    several = [experiment(f"key:{day}", idea_at=at(day), concluded_at=at(day, "10:00:00")) for day in (1, 3, 5)]
    assert repeated(*several, NEW, windows=("7d", "30d")) == {("search", "7d"): 1, ("search", "30d"): 3}


def test_loops_without_a_title_repeat_nothing() -> None:
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
def test_an_experiment_taken_up_again_after_it_was_over_counts_when_that_lies_in_the_window(
    restart: Restart, count: int
) -> None:
    assert repeated(experiment(idea_at=at(1), restarts=(restart,))) == {("search", "7d"): count}


def test_each_time_that_an_experiment_is_taken_up_again_counts() -> None:
    restarts = (taken_up(at(5)), taken_up(at(15)), taken_up(at(16)))
    of_both = repeated(experiment(idea_at=at(1), restarts=restarts), windows=("7d", "30d"))
    assert of_both == {("search", "7d"): 2, ("search", "30d"): 3}


def test_without_experiments_there_is_no_row() -> None:
    assert repeated() == {}


@pytest.mark.parametrize(
    ("idea_at", "count"), [(at(13) - A_MICROSECOND, 0), (at(13), 1), (NOW - A_MICROSECOND, 1), (NOW, 0)]
)
def test_a_repetition_counts_from_the_beginning_of_the_window_to_before_its_end(idea_at: datetime, count: int) -> None:
    over = experiment("key:over", idea_at=at(1), concluded_at=at(2))
    assert repeated(over, experiment("key:new", idea_at=idea_at)) == {("search", "7d"): count}


def test_five_days_over_a_change_of_the_clocks_are_120_hours_without_activity() -> None:
    quiet_since = datetime.fromisoformat("2026-03-07T12:00:00-05:00").astimezone(UTC)
    same_time_of_day = datetime.fromisoformat("2026-03-12T12:00:00-04:00").astimezone(UTC)
    quiet = experiment("key:quiet", idea_at=at(1), last_activity_at=quiet_since)
    early = experiment("key:new", idea_at=same_time_of_day)
    later = experiment("key:new", idea_at=same_time_of_day + timedelta(hours=1))
    assert repeated(quiet, early, windows=("30d",)) == {("search", "30d"): 0}
    assert repeated(quiet, later, windows=("30d",)) == {("search", "30d"): 1}


def test_an_experiment_that_turns_out_to_be_open_or_another_is_not_repeated() -> None:
    over = experiment("key:over", idea_at=at(1), concluded_at=at(2))
    opened_again = experiment("key:over", idea_at=at(1), last_activity_at=at(14))
    another = experiment("key:over", idea_at=at(1), concluded_at=at(2), title="Ask less")
    assert repeated(over, NEW) == {("search", "7d"): 1}
    assert repeated(opened_again, NEW) == {("search", "7d"): 0}
    assert repeated(another, NEW) == {("search", "7d"): 0}


def test_a_team_that_is_renamed_takes_what_it_repeated_along() -> None:
    over = experiment("key:over", idea_at=at(1), concluded_at=at(2), team="discovery")
    new = experiment("key:new", idea_at=at(15), team="discovery")
    again = experiment("key:again", idea_at=at(1), team="discovery", title="Ask less", restarts=(taken_up(at(15)),))
    assert repeated(over, new, again) == {("discovery", "7d"): 2}

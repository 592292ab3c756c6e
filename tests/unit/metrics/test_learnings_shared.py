"""`loopgauge_learnings_shared`: loops whose learning was shared in each window."""

from datetime import datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.sharing import learnings_shared as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)


def shared(*experiments: Experiment, windows: tuple[str, ...] = ("7d",), max_teams: int = 200) -> Rows:
    """The figure by team and window."""
    return rows(families, experiments, terms(*windows, max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([experiment(idea_at=at(1))], terms("7d"), NOW))
    assert (family.name, family.type) == ("loopgauge_learnings_shared", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search", "window": "7d"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert shared() == {}


def test_a_team_that_shared_nothing_has_zeros() -> None:
    assert shared(experiment(idea_at=at(1), concluded_at=at(15))) == {("search", "7d"): 0}


@pytest.mark.parametrize(
    ("shared_at", "count"), [(at(13) - A_MICROSECOND, 0), (at(13), 1), (NOW - A_MICROSECOND, 1), (NOW, 0)]
)
def test_a_learning_counts_from_the_beginning_of_the_window_to_before_its_end(shared_at: datetime, count: int) -> None:
    loop = experiment(idea_at=at(1), concluded_at=at(2), shared_at=shared_at)
    assert shared(loop) == {("search", "7d"): count}


def test_a_learning_counts_in_each_window_that_holds_it_whenever_the_loop_was_concluded() -> None:
    several = [
        experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(15)),
        experiment(idea_at=at(1), concluded_at=at(15), shared_at=at(5)),
    ]
    assert shared(*several, windows=("7d", "30d")) == {("search", "7d"): 1, ("search", "30d"): 2}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_learning_counts_whatever_the_outcome(outcome: Outcome) -> None:
    loop = experiment(idea_at=at(1), concluded_at=at(14), outcome=outcome, shared_at=at(15))
    assert shared(loop) == {("search", "7d"): 1}


def test_a_learning_that_is_shared_before_the_conclusion_counts() -> None:
    assert shared(experiment(idea_at=at(1), shared_at=at(15))) == {("search", "7d"): 1}


def test_learnings_are_counted_by_team_and_not_for_the_organisation() -> None:
    several = [
        experiment(idea_at=at(1), team="ads", shared_at=at(15)),
        experiment(idea_at=at(1), team="ads", shared_at=at(16)),
        experiment(idea_at=at(2), team="b", shared_at=at(16)),
        experiment(idea_at=at(2), team="c", shared_at=at(16)),
        experiment(idea_at=at(2), team=""),
    ]
    assert shared(*several, max_teams=1) == {("ads", "7d"): 2, ("_other", "7d"): 2, ("_none", "7d"): 0}


def test_a_learning_of_the_future_is_not_counted() -> None:
    assert shared(experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(21))) == {}


def test_a_sharing_that_is_taken_back_leaves_nothing_behind() -> None:
    assert shared(experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(15))) == {("search", "7d"): 1}
    assert shared(experiment(idea_at=at(1), concluded_at=at(2))) == {("search", "7d"): 0}


def test_a_learning_that_is_shared_anew_counts_by_the_later_time_alone() -> None:
    windows = ("7d", "30d")
    once, anew = (experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(day)) for day in (5, 15))
    assert shared(once, windows=windows) == {("search", "7d"): 0, ("search", "30d"): 1}
    assert shared(anew, windows=windows) == {("search", "7d"): 1, ("search", "30d"): 1}


def test_a_team_that_is_renamed_takes_its_learnings_along() -> None:
    assert shared(experiment(idea_at=at(1), team="search", shared_at=at(15))) == {("search", "7d"): 1}
    assert shared(experiment(idea_at=at(1), team="discovery", shared_at=at(15))) == {("discovery", "7d"): 1}

"""`loopgauge_experiments_forgotten`: open loops without activity."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.open_loops import experiments_forgotten as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(31)
THIRTY_DAYS = timedelta(days=30)
A_MICROSECOND = timedelta(microseconds=1)


def forgotten(
    *experiments: Experiment, after: timedelta = THIRTY_DAYS, max_teams: int = 200, now: datetime = NOW
) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", forgotten_after=after, max_teams=max_teams), now)


def test_it_is_a_gauge_by_team_with_a_description() -> None:
    (family,) = families(View.of([experiment(idea_at=at(1))], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_experiments_forgotten", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert forgotten() == {}


@pytest.mark.parametrize(
    ("quiet", "count"),
    [(THIRTY_DAYS - A_MICROSECOND, 0), (THIRTY_DAYS, 1), (timedelta(days=400), 1), (timedelta(0), 0)],
)
def test_a_loop_is_forgotten_once_it_was_without_activity_for_so_long(quiet: timedelta, count: int) -> None:
    loop = experiment(idea_at=NOW - timedelta(days=500), last_activity_at=NOW - quiet)
    assert forgotten(loop) == {("search",): count}


def test_how_long_is_the_operators_to_say() -> None:
    loop = experiment(idea_at=at(1), last_activity_at=at(24))
    assert forgotten(loop, after=timedelta(days=7)) == {("search",): 1}
    assert forgotten(loop, after=timedelta(days=8)) == {("search",): 0}


def test_any_sign_of_life_counts_and_not_the_idea_alone() -> None:
    assert forgotten(experiment(idea_at=at(1), last_activity_at=at(2))) == {("search",): 0}
    assert forgotten(experiment(idea_at=at(1), started_at=at(1), last_activity_at=at(1))) == {("search",): 1}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_concluded_loop_is_not_forgotten_however_quiet_it_is(outcome: Outcome) -> None:
    long_ago = NOW - timedelta(days=400)
    assert forgotten(experiment(idea_at=long_ago, concluded_at=long_ago, outcome=outcome)) == {("search",): 0}


def test_forgotten_loops_are_counted_by_team_and_not_for_the_organisation() -> None:
    several = [
        experiment(idea_at=at(1), team="ads"),
        experiment(idea_at=at(1), team="ads"),
        experiment(idea_at=at(1), team="b"),
        experiment(idea_at=at(1), team="c"),
        experiment(idea_at=at(1), team=""),
    ]
    assert forgotten(*several, max_teams=1) == {("ads",): 2, ("_other",): 2, ("_none",): 1}


def test_a_day_on_which_the_clocks_went_forward_is_an_hour_short_of_a_day_without_activity() -> None:
    quiet_since = datetime.fromisoformat("2026-03-28T12:00:00+01:00").astimezone(UTC)
    same_time_of_day = datetime.fromisoformat("2026-03-29T12:00:00+02:00").astimezone(UTC)
    loop, a_day = experiment(idea_at=quiet_since), timedelta(days=1)
    assert forgotten(loop, after=a_day, now=same_time_of_day) == {("search",): 0}
    assert forgotten(loop, after=a_day, now=same_time_of_day + timedelta(hours=1)) == {("search",): 1}


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert forgotten(experiment(idea_at=at(1), shipped_at=NOW + A_MICROSECOND, last_activity_at=at(1))) == {}


def test_activity_that_is_dated_ahead_leaves_the_loop_open_and_remembered() -> None:
    assert forgotten(experiment(idea_at=at(1), last_activity_at=NOW + THIRTY_DAYS)) == {("search",): 0}


def test_a_team_that_is_renamed_takes_its_forgotten_loops_along() -> None:
    assert forgotten(experiment(idea_at=at(1), team="search")) == {("search",): 1}
    assert forgotten(experiment(idea_at=at(1), team="discovery")) == {("discovery",): 1}

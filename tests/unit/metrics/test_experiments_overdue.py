"""`loopgauge_experiments_overdue`: open loops that run over their team's threshold."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.open_loops import experiments_overdue as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)


def overdue(
    *experiments: Experiment,
    thresholds: Mapping[str, timedelta] | None = None,
    max_teams: int = 200,
    now: datetime = NOW,
) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", thresholds=thresholds, max_teams=max_teams), now)


def test_it_is_a_gauge_by_team_with_a_description() -> None:
    (family,) = families(View.of([experiment(idea_at=at(1))], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_experiments_overdue", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert overdue() == {}


@pytest.mark.parametrize(
    ("age", "count"),
    [(timedelta(days=14), 0), (timedelta(days=14) + A_MICROSECOND, 1), (timedelta(0), 0), (timedelta(days=400), 1)],
)
def test_a_loop_is_overdue_when_it_is_older_than_the_threshold(age: timedelta, count: int) -> None:
    assert overdue(experiment(idea_at=NOW - age)) == {("search",): count}


def test_the_age_counts_whatever_happened_since_the_idea() -> None:
    busy = experiment(idea_at=at(1), started_at=at(18), first_signal_at=at(19), last_activity_at=NOW)
    assert overdue(busy) == {("search",): 1}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_concluded_loop_is_not_overdue_however_long_it_took(outcome: Outcome) -> None:
    assert overdue(experiment(idea_at=at(1), concluded_at=at(19), outcome=outcome)) == {("search",): 0}


def test_each_team_has_its_own_threshold_or_the_default() -> None:
    several = [
        experiment(idea_at=NOW - timedelta(days=8), team="search"),
        experiment(idea_at=NOW - timedelta(days=8), team="ads"),
        experiment(idea_at=NOW - timedelta(days=15), team="ads"),
        experiment(idea_at=NOW - timedelta(days=15), team="research"),
        experiment(idea_at=NOW - timedelta(days=15), team=""),
    ]
    thresholds = {"search": timedelta(days=7), "research": timedelta(days=30)}
    assert overdue(*several, thresholds=thresholds) == {("search",): 1, ("ads",): 1, ("research",): 0, ("_none",): 1}


def test_a_team_that_is_folded_into_the_others_keeps_its_threshold() -> None:
    several = [
        experiment(idea_at=NOW - timedelta(days=20), team="early"),
        experiment(idea_at=NOW - timedelta(days=8), team="quick"),
        experiment(idea_at=NOW - timedelta(days=15), team="patient"),
        experiment(idea_at=NOW - timedelta(days=15), team="plain"),
    ]
    thresholds = {"quick": timedelta(days=7), "patient": timedelta(days=30)}
    assert overdue(*several, thresholds=thresholds, max_teams=1) == {("early",): 1, ("_other",): 2}


@pytest.mark.parametrize(
    ("idea_at", "after_23_hours"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00"),  # Europe
        ("2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00"),  # the US
    ],
)
def test_a_threshold_of_a_day_is_24_hours_on_the_day_the_clocks_go_forward(idea_at: str, after_23_hours: str) -> None:
    proposed = experiment(idea_at=datetime.fromisoformat(idea_at).astimezone(UTC))
    same_time_of_day = datetime.fromisoformat(after_23_hours).astimezone(UTC)
    a_day = {"search": timedelta(days=1)}
    assert overdue(proposed, thresholds=a_day, now=same_time_of_day) == {("search",): 0}
    assert overdue(proposed, thresholds=a_day, now=same_time_of_day + timedelta(hours=1, seconds=1)) == {("search",): 1}


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert overdue(experiment(idea_at=at(1), shared_at=at(21))) == {}


def test_a_threshold_beyond_the_calendar_is_never_passed() -> None:
    assert overdue(experiment(idea_at=at(1)), thresholds={"search": timedelta.max}) == {("search",): 0}


def test_a_team_that_turns_out_to_be_another_takes_the_loop_along() -> None:
    thresholds = {"research": timedelta(days=30)}
    assert overdue(experiment(idea_at=at(1), team="search"), thresholds=thresholds) == {("search",): 1}
    assert overdue(experiment(idea_at=at(1), team="research"), thresholds=thresholds) == {("research",): 0}


@pytest.mark.parametrize(
    ("idea_at", "after_24_hours"),
    [
        ("2026-10-24T12:00:00+02:00", "2026-10-25T11:00:00+01:00"),  # Europe
        ("2026-10-31T12:00:00-04:00", "2026-11-01T11:00:00-05:00"),  # the US
    ],
)
def test_a_threshold_of_a_day_is_24_hours_on_the_day_the_clocks_go_back(idea_at: str, after_24_hours: str) -> None:
    proposed = experiment(idea_at=datetime.fromisoformat(idea_at).astimezone(UTC))
    an_hour_early = datetime.fromisoformat(after_24_hours).astimezone(UTC)
    a_day = {"search": timedelta(days=1)}
    assert overdue(proposed, thresholds=a_day, now=an_hour_early) == {("search",): 0}
    assert overdue(proposed, thresholds=a_day, now=an_hour_early + A_MICROSECOND) == {("search",): 1}

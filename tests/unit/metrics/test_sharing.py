"""Metrics count shared learnings, and export the time at which a failure was last shared."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.sharing import last_failure_shared_timestamp_seconds, learnings_shared
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
DAY = 86400
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment of `at(1)`."""


def failed(
    shared_at: datetime | None,
    team: str = "search",
    idea_at: datetime = at(1),  # noqa: B008 - a time is immutable
    category: FailureCategory = FailureCategory.BASIC,
) -> Experiment:
    return experiment(
        idea_at=idea_at,
        team=team,
        concluded_at=idea_at + timedelta(days=1),
        outcome=Outcome.FAILED,
        failure_category=category,
        shared_at=shared_at,
    )


def last_shared(*experiments: Experiment) -> Rows:
    """The time at which a failure was last shared, by team."""
    return rows(last_failure_shared_timestamp_seconds, experiments, terms(), NOW)


def shared(*experiments: Experiment) -> Rows:
    """The number of shared learnings, by team and window."""
    return rows(learnings_shared, experiments, terms("7d", "30d"), NOW)


def test_the_last_shared_failure_is_the_failure_with_the_latest_sharing() -> None:
    several = [failed(at(3)), failed(at(9)), failed(at(5))]
    assert last_shared(*several) == {("search",): FIRST_OF_MARCH + 8 * DAY, ("_org",): FIRST_OF_MARCH + 8 * DAY}


def test_a_team_without_a_shared_failure_has_no_row_for_the_last_shared_failure() -> None:
    assert last_shared(failed(None)) == {}
    assert set(last_shared(failed(at(5), "ads"), failed(None, "search"))) == {("ads",), ("_org",)}


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAILED])
def test_a_shared_experiment_with_another_outcome_is_not_a_failure(outcome: Outcome) -> None:
    assert last_shared(experiment(idea_at=at(1), concluded_at=at(2), outcome=outcome, shared_at=at(3))) == {}


def test_a_shared_open_experiment_is_a_learning_and_not_a_failure() -> None:
    still_open = experiment(idea_at=at(1), shared_at=at(15))
    assert last_shared(still_open) == {}
    assert shared(still_open) == {("search", "7d"): 1, ("search", "30d"): 1}


@pytest.mark.parametrize("category", list(FailureCategory))
def test_a_shared_failure_of_any_category_counts(category: FailureCategory) -> None:
    assert last_shared(failed(at(3), category=category))["search",] == FIRST_OF_MARCH + 2 * DAY


def test_the_last_shared_failure_is_independent_of_windows_and_keeps_fractions_of_a_second() -> None:
    when = datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC)
    long_ago = failed(when, idea_at=datetime(2001, 9, 1, tzinfo=UTC))
    assert last_shared(long_ago) == {("search",): 1e9 + 0.25, ("_org",): 1e9 + 0.25}


def test_a_failure_shared_at_this_moment_counts() -> None:
    assert last_shared(failed(NOW))["search",] == FIRST_OF_MARCH + 19 * DAY


def test_a_team_without_shared_learnings_has_a_row_with_zero() -> None:
    assert shared(experiment(idea_at=at(1), concluded_at=at(15))) == {("search", "7d"): 0, ("search", "30d"): 0}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_time_of_sharing_decides_which_windows_contain_a_learning_whatever_the_outcome(outcome: Outcome) -> None:
    early = experiment(idea_at=at(1), concluded_at=at(2), outcome=outcome, shared_at=at(15))
    late = experiment(idea_at=at(1), concluded_at=at(15), outcome=outcome, shared_at=at(5))
    assert shared(early, late) == {("search", "7d"): 1, ("search", "30d"): 2}

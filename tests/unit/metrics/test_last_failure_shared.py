"""`loopgauge_last_failure_shared_timestamp_seconds`: when a failure was last shared."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.sharing import last_failure_shared_timestamp_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment that `at(1)` is."""
DAY = 86400


def failed(shared_at: datetime | None, team: str = "search", idea_at: datetime | None = None) -> Experiment:
    """A failure of the second of March, or of long ago."""
    idea = idea_at or at(1)
    return experiment(
        idea_at=idea,
        team=team,
        concluded_at=idea + timedelta(days=1),
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.BASIC,
        shared_at=shared_at,
    )


def last(*experiments: Experiment, max_teams: int = 200) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([failed(at(3))], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_last_failure_shared_timestamp_seconds", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search"}, {"team": "_org"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert last() == {}


def test_it_is_the_latest_time_at_which_a_failure_was_shared() -> None:
    several = [failed(at(3)), failed(at(9)), failed(at(5))]
    assert last(*several) == {("search",): FIRST_OF_MARCH + 8 * DAY, ("_org",): FIRST_OF_MARCH + 8 * DAY}


def test_a_failure_that_was_not_shared_has_no_row() -> None:
    assert last(failed(None)) == {}


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAILED])
def test_what_was_shared_of_another_outcome_is_no_failure(outcome: Outcome) -> None:
    assert last(experiment(idea_at=at(1), concluded_at=at(2), outcome=outcome, shared_at=at(3))) == {}


def test_what_was_shared_of_an_open_loop_is_no_failure() -> None:
    assert last(experiment(idea_at=at(1), shared_at=at(3))) == {}


@pytest.mark.parametrize("category", list(FailureCategory))
def test_a_failure_of_any_category_counts(category: FailureCategory) -> None:
    loop = experiment(
        idea_at=at(1), concluded_at=at(2), outcome=Outcome.FAILED, failure_category=category, shared_at=at(3)
    )
    assert last(loop)["search",] == FIRST_OF_MARCH + 2 * DAY


def test_it_knows_no_window() -> None:
    long_ago = failed(datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC), idea_at=datetime(2001, 9, 1, tzinfo=UTC))
    assert last(long_ago) == {("search",): 1e9 + 0.25, ("_org",): 1e9 + 0.25}


def test_a_failure_that_is_shared_this_very_moment_counts_and_one_that_will_be_does_not() -> None:
    assert last(failed(NOW))["search",] == FIRST_OF_MARCH + 19 * DAY
    assert last(failed(NOW + timedelta(microseconds=1))) == {}


def test_each_team_has_a_row_of_its_own_and_the_organisations_is_the_latest() -> None:
    several = [
        failed(at(5), "ads"),
        failed(at(7), "b"),
        failed(at(6), "c"),
        failed(at(3), ""),
    ]
    assert last(*several, max_teams=1) == {
        ("ads",): FIRST_OF_MARCH + 4 * DAY,
        ("_other",): FIRST_OF_MARCH + 6 * DAY,
        ("_none",): FIRST_OF_MARCH + 2 * DAY,
        ("_org",): FIRST_OF_MARCH + 6 * DAY,
    }


def test_a_team_that_never_shared_a_failure_has_no_row_beside_others() -> None:
    assert set(last(failed(at(5), "ads"), failed(None, "search"))) == {("ads",), ("_org",)}


def test_a_failure_that_turns_out_to_have_worked_leaves_the_one_before() -> None:
    corrected = experiment(idea_at=at(1), concluded_at=at(2), outcome=Outcome.WORKED, shared_at=at(9))
    assert last(failed(at(5)), failed(at(9)))["search",] == FIRST_OF_MARCH + 8 * DAY
    assert last(failed(at(5)), corrected)["search",] == FIRST_OF_MARCH + 4 * DAY


def test_a_sharing_that_is_taken_back_leaves_the_one_before() -> None:
    assert last(failed(at(5)), failed(at(9)))["search",] == FIRST_OF_MARCH + 8 * DAY
    assert last(failed(at(5)), failed(None))["search",] == FIRST_OF_MARCH + 4 * DAY


def test_a_team_that_is_renamed_takes_its_last_shared_failure_along() -> None:
    shared = FIRST_OF_MARCH + 4 * DAY
    assert last(failed(at(5), "search")) == {("search",): shared, ("_org",): shared}
    assert last(failed(at(5), "discovery")) == {("discovery",): shared, ("_org",): shared}

"""`loopgauge_last_answer_timestamp_seconds`: when there last was an answer."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.outcomes import last_answer_timestamp_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment that `at(1)` is."""
DAY = 86400


def ended(concluded_at: datetime, outcome: Outcome = Outcome.WORKED, team: str = "search") -> Experiment:
    return experiment(idea_at=concluded_at - timedelta(days=1), team=team, concluded_at=concluded_at, outcome=outcome)


def last(*experiments: Experiment, max_teams: int = 200) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([ended(at(3))], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_last_answer_timestamp_seconds", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search"}, {"team": "_org"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert last() == {}


def test_it_is_the_time_of_the_latest_answer() -> None:
    several = [ended(at(3)), ended(at(9)), ended(at(5))]
    assert last(*several) == {("search",): FIRST_OF_MARCH + 8 * DAY, ("_org",): FIRST_OF_MARCH + 8 * DAY}


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED])
def test_every_conclusion_but_giving_up_is_an_answer(outcome: Outcome) -> None:
    assert last(ended(at(3), outcome))["search",] == FIRST_OF_MARCH + 2 * DAY


def test_giving_up_is_no_answer() -> None:
    assert last(ended(at(3), Outcome.ABANDONED)) == {}
    assert last(ended(at(2)), ended(at(3), Outcome.ABANDONED))["search",] == FIRST_OF_MARCH + DAY


def test_an_open_loop_is_no_answer() -> None:
    assert last(experiment(idea_at=at(1), started_at=at(2), first_signal_at=at(3), shared_at=at(4))) == {}


def test_it_knows_no_window() -> None:
    long_ago = ended(datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC))
    assert last(long_ago) == {("search",): 1e9 + 0.25, ("_org",): 1e9 + 0.25}


def test_an_answer_of_this_very_moment_counts_and_one_of_the_next_does_not() -> None:
    assert last(ended(NOW))["search",] == FIRST_OF_MARCH + 19 * DAY
    assert last(ended(NOW + timedelta(microseconds=1))) == {}


def test_an_answer_before_its_idea_is_an_answer_all_the_same() -> None:
    assert last(experiment(idea_at=at(9), concluded_at=at(3)))["search",] == FIRST_OF_MARCH + 2 * DAY


def test_each_team_has_a_row_of_its_own_and_the_organisations_is_the_latest() -> None:
    several = [ended(at(5), team="ads"), ended(at(7), team="b"), ended(at(6), team="c"), ended(at(3), team="")]
    assert last(*several, max_teams=1) == {
        ("ads",): FIRST_OF_MARCH + 4 * DAY,
        ("_other",): FIRST_OF_MARCH + 6 * DAY,
        ("_none",): FIRST_OF_MARCH + 2 * DAY,
        ("_org",): FIRST_OF_MARCH + 6 * DAY,
    }


def test_a_team_without_an_answer_has_no_row_beside_others() -> None:
    several = [ended(at(5), team="ads"), experiment(idea_at=at(1), team="search")]
    assert set(last(*several)) == {("ads",), ("_org",)}


def test_a_loop_that_is_opened_again_leaves_the_answer_before() -> None:
    assert last(ended(at(5)), ended(at(9)))["search",] == FIRST_OF_MARCH + 8 * DAY
    assert last(ended(at(5)), experiment(idea_at=at(8)))["search",] == FIRST_OF_MARCH + 4 * DAY


def test_a_team_that_is_renamed_takes_its_last_answer_along() -> None:
    answered = FIRST_OF_MARCH + 4 * DAY
    assert last(ended(at(5), team="search")) == {("search",): answered, ("_org",): answered}
    assert last(ended(at(5), team="discovery")) == {("discovery",): answered, ("_org",): answered}

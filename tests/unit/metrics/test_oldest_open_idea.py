"""`loopgauge_oldest_open_idea_timestamp_seconds`: since when an idea has been open."""

from datetime import UTC, datetime, timedelta

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.open_loops import oldest_open_idea_timestamp_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment that `at(1)` is."""
DAY = 86400


def oldest(*experiments: Experiment, max_teams: int = 200) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([experiment(idea_at=at(1))], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_oldest_open_idea_timestamp_seconds", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "search"}, {"team": "_org"}]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert oldest() == {}


def test_it_is_the_time_of_the_earliest_idea_that_is_open() -> None:
    several = [
        experiment(idea_at=at(3)),
        experiment(idea_at=at(2), started_at=at(15)),
        experiment(idea_at=at(5)),
        experiment(idea_at=at(1), concluded_at=at(4)),
        experiment(idea_at=at(1), concluded_at=at(4), outcome=Outcome.ABANDONED),
    ]
    assert oldest(*several) == {("search",): FIRST_OF_MARCH + DAY, ("_org",): FIRST_OF_MARCH + DAY}


def test_a_team_without_an_open_loop_has_no_row_and_none_is_zero() -> None:
    several = [experiment(idea_at=at(1), team="ads", concluded_at=at(2)), experiment(idea_at=at(3), team="search")]
    assert oldest(*several) == {("search",): FIRST_OF_MARCH + 2 * DAY, ("_org",): FIRST_OF_MARCH + 2 * DAY}


def test_where_all_loops_are_concluded_there_is_no_row() -> None:
    assert oldest(experiment(idea_at=at(1), concluded_at=at(2), outcome=Outcome.ABANDONED)) == {}


def test_the_organisations_is_the_earliest_of_all_teams() -> None:
    several = [experiment(idea_at=at(2 + place), team=team) for place, team in enumerate(["ads", "b", "c"])]
    assert oldest(*several, experiment(idea_at=at(1), team=""), max_teams=1) == {
        ("_none",): FIRST_OF_MARCH,
        ("ads",): FIRST_OF_MARCH + DAY,
        ("_other",): FIRST_OF_MARCH + 2 * DAY,
        ("_org",): FIRST_OF_MARCH,
    }


def test_fractions_of_a_second_and_ideas_of_long_ago_are_kept() -> None:
    assert oldest(experiment(idea_at=datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC)))["search",] == 1e9 + 0.25


def test_an_hour_that_the_clocks_left_out_is_no_hour() -> None:
    before = datetime.fromisoformat("2026-03-08T01:59:59-05:00").astimezone(UTC)
    after = datetime.fromisoformat("2026-03-08T03:00:00-04:00").astimezone(UTC)
    assert oldest(experiment(idea_at=after))["_org",] - oldest(experiment(idea_at=before))["_org",] == 1


def test_an_experiment_with_an_instant_in_the_future_is_left_out() -> None:
    ahead = experiment(idea_at=at(1), started_at=NOW + timedelta(microseconds=1))
    assert oldest(ahead) == {}
    assert oldest(ahead, experiment(idea_at=at(2)))["search",] == FIRST_OF_MARCH + DAY


def test_a_loop_that_is_opened_again_is_as_old_as_its_idea() -> None:
    later = experiment(idea_at=at(5))
    closed, opened_again = experiment(idea_at=at(2), concluded_at=at(4)), experiment(idea_at=at(2))
    assert oldest(closed, later)["search",] == FIRST_OF_MARCH + 4 * DAY
    assert oldest(opened_again, later)["search",] == FIRST_OF_MARCH + DAY


def test_a_team_that_is_renamed_takes_its_oldest_idea_along() -> None:
    renamed = oldest(experiment(idea_at=at(1), team="discovery"))
    assert renamed == {("discovery",): FIRST_OF_MARCH, ("_org",): FIRST_OF_MARCH}

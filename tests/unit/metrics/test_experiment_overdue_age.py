"""`loopgauge_experiment_overdue_age_seconds`: the most overdue loops by name."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.metrics.open_loops import experiment_overdue_age_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
DAY = 86400
PAGE = "https://github.com/acme/app/issues/45"


def open_for(days: float, number: int = 45, team: str = "search", url: str = PAGE) -> Experiment:
    return experiment(f"github:acme/app#{number}", idea_at=NOW - timedelta(days=days), team=team, url=url)


def ages(
    *experiments: Experiment,
    thresholds: Mapping[str, timedelta] | None = None,
    max_teams: int = 200,
    now: datetime = NOW,
) -> Rows:
    """The figure by team, root reference and address."""
    return rows(families, experiments, terms("7d", thresholds=thresholds, max_teams=max_teams), now)


def roots(*experiments: Experiment, thresholds: Mapping[str, timedelta] | None = None) -> list[str]:
    """The numbers of the issues that are told, in their order."""
    return [root.removeprefix("github:acme/app#") for _, root, _ in ages(*experiments, thresholds=thresholds)]


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([open_for(15)], terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_experiment_overdue_age_seconds", "gauge")
    assert [sample.labels for sample in family.samples] == [
        {"team": "search", "experiment": "github:acme/app#45", "url": PAGE}
    ]
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert ages() == {}


def test_the_value_is_the_time_since_the_idea_and_not_since_the_threshold() -> None:
    assert ages(open_for(15)) == {("search", "github:acme/app#45", PAGE): 15 * DAY}


def test_an_open_loop_within_its_threshold_is_not_told() -> None:
    assert ages(open_for(14)) == {}


def test_a_concluded_loop_is_not_told() -> None:
    assert ages(experiment(idea_at=at(1), concluded_at=at(19))) == {}


def test_how_far_a_loop_is_over_its_teams_threshold_decides_and_not_its_age() -> None:
    older = open_for(40, 1, "patient")
    further_over = open_for(20, 2, "quick")
    thresholds = {"patient": timedelta(days=30), "quick": timedelta(days=7)}
    assert roots(older, further_over, thresholds=thresholds) == ["2", "1"]


def test_the_twenty_most_overdue_of_all_teams_are_told() -> None:
    several = [open_for(15 + number, number, f"team {number % 7}") for number in range(100, 125)]
    assert roots(*several) == [str(number) for number in range(124, 104, -1)]


def test_all_are_told_where_there_are_no_more_than_twenty() -> None:
    assert len(ages(*(open_for(15 + number, number) for number in range(20)))) == 20


def test_of_loops_that_are_as_much_overdue_the_first_by_root_are_told() -> None:
    same_day = [open_for(20, number, f"team {number % 3}") for number in range(131, 109, -1)]
    assert roots(*same_day) == [str(number) for number in range(110, 130)]


def test_loops_with_the_same_distance_to_different_thresholds_are_told_by_root() -> None:
    several = [open_for(24, 3, "search"), open_for(17, 1, "quick"), open_for(24, 2, "ads")]
    assert roots(*several, thresholds={"quick": timedelta(days=7)}) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com/1", "https://example.com/1"),
        ("http://example.com/1", "http://example.com/1"),
        ("HTTPS://EXAMPLE.COM/1", "HTTPS://EXAMPLE.COM/1"),
        ("javascript:alert(1)", ""),
        ("https://somebody:secret@example.com/1", ""),
        ("https://example.com/@1?at=a@b", "https://example.com/@1?at=a@b"),
        ("data:text/html,https://example.com", ""),
        (" https://example.com/1", ""),
        ("//example.com/1", ""),
        ("https:example.com", ""),
        ("", ""),
    ],
)
def test_an_address_that_is_no_web_address_is_left_out(url: str, told: str) -> None:
    assert ages(open_for(15, url=url)) == {("search", "github:acme/app#45", told): 15 * DAY}


def test_the_team_is_that_of_its_row_and_the_threshold_its_own() -> None:
    several = [open_for(30, 1, "early"), open_for(8, 2, "quick"), open_for(10, 3, "plain"), open_for(15, 4, "")]
    assert ages(*several, thresholds={"quick": timedelta(days=7)}, max_teams=1) == {
        ("early", "github:acme/app#1", PAGE): 30 * DAY,
        ("_other", "github:acme/app#2", PAGE): 8 * DAY,
        ("_none", "github:acme/app#4", PAGE): 15 * DAY,
    }


def test_a_loop_over_the_day_the_clocks_went_forward_has_its_real_age() -> None:
    proposed = experiment(idea_at=datetime.fromisoformat("2026-03-01T12:00:00+01:00").astimezone(UTC))
    four_weeks_later = datetime.fromisoformat("2026-03-29T12:00:00+02:00").astimezone(UTC)
    assert ages(proposed, now=four_weeks_later) == {("search", "github:acme/app#45", PAGE): 28 * DAY - 3600}


def test_an_experiment_with_an_instant_in_the_future_is_not_told() -> None:
    assert ages(experiment(idea_at=at(1), shared_at=at(21))) == {}


def test_a_loop_that_turns_out_to_be_another_teams_leaves_no_row_behind() -> None:
    assert list(ages(open_for(15, team="search"))) == [("search", "github:acme/app#45", PAGE)]
    assert list(ages(open_for(15, team="ads"))) == [("ads", "github:acme/app#45", PAGE)]

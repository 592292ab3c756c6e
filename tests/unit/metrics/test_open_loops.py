"""Metrics count the experiments that are open, overdue or forgotten, and measure the ages of open experiments."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.metrics.open_loops import (
    experiment_age_seconds,
    experiment_forgotten_idle_seconds,
    experiment_overdue_active_age_seconds,
    experiment_overdue_age_seconds,
    experiments_forgotten,
    experiments_in_flight,
    experiments_overdue,
    experiments_overdue_active,
    forgotten_after_seconds,
    oldest_open_idea_timestamp_seconds,
)
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, histogram_rows, rows

NOW = at(20)
HOUR, DAY = 3600, 86400
A_MICROSECOND = timedelta(microseconds=1)
THIRTY_DAYS = timedelta(days=30)
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment of `at(1)`."""
PAGE = "https://github.com/acme/app/issues/45"
# Each case lasts from noon to noon in local time, across a clock change in Europe or in the US.
CLOCK_CHANGES = pytest.mark.parametrize(
    ("noon", "next_noon", "hours"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00", 23),
        ("2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00", 23),
        ("2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00", 25),
        ("2026-10-31T12:00:00-04:00", "2026-11-01T12:00:00-05:00", 25),
    ],
)


def utc(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone(UTC)


def open_for(days: float, number: int = 45, team: str = "search", url: str = PAGE) -> Experiment:
    """An open experiment whose idea is the given number of days old."""
    return experiment(f"github:acme/app#{number}", idea_at=NOW - timedelta(days=days), team=team, url=url)


def in_flight(*experiments: Experiment) -> Rows:
    """The number of experiments in flight, by team and stage."""
    return rows(experiments_in_flight, experiments, terms(), NOW)


def ages(*experiments: Experiment, now: datetime = NOW) -> dict[str, Rows]:
    """The histogram of the ages of open experiments, by team."""
    return histogram_rows(experiment_age_seconds, experiments, terms(), now)


def overdue(
    *experiments: Experiment,
    thresholds: Mapping[str, timedelta] | None = None,
    max_teams: int = 200,
    now: datetime = NOW,
) -> Rows:
    """The number of overdue experiments, by team."""
    return rows(experiments_overdue, experiments, terms(thresholds=thresholds, max_teams=max_teams), now)


def forgotten(*experiments: Experiment, after: timedelta = THIRTY_DAYS, now: datetime = NOW) -> Rows:
    """The number of forgotten experiments, by team."""
    return rows(experiments_forgotten, experiments, terms(forgotten_after=after), now)


def overdue_ages(
    *experiments: Experiment, thresholds: Mapping[str, timedelta] | None = None, max_teams: int = 200
) -> Rows:
    """The ages of overdue experiments, by team, root reference and address."""
    on = terms(thresholds=thresholds, max_teams=max_teams)
    return rows(experiment_overdue_age_seconds, experiments, on, NOW)


def most_overdue(*experiments: Experiment, thresholds: Mapping[str, timedelta] | None = None) -> list[str]:
    """The issue numbers of the exported overdue experiments, in the order of the export."""
    return [root.removeprefix("github:acme/app#") for _, root, _ in overdue_ages(*experiments, thresholds=thresholds)]


def active(*experiments: Experiment, thresholds: Mapping[str, timedelta] | None = None) -> Rows:
    """The number of overdue experiments that are not forgotten, by team."""
    return rows(experiments_overdue_active, experiments, terms(thresholds=thresholds), NOW)


def listed(
    *experiments: Experiment, thresholds: Mapping[str, timedelta] | None = None, max_teams: int = 200
) -> list[tuple[str, str]]:
    """The team and the issue number of the overdue experiments that an alert lists, in the order of the export."""
    on = terms(thresholds=thresholds, max_teams=max_teams)
    return _teams_and_numbers(rows(experiment_overdue_active_age_seconds, experiments, on, NOW))


def listed_forgotten(*experiments: Experiment) -> list[tuple[str, str]]:
    """The team and the issue number of the forgotten experiments that an alert lists, in the order of the export."""
    return _teams_and_numbers(rows(experiment_forgotten_idle_seconds, experiments, terms(), NOW))


def _teams_and_numbers(exported: Rows) -> list[tuple[str, str]]:
    return [(team, root.removeprefix("github:acme/app#")) for team, root, _ in exported]


def silent_for(days: float, number: int = 45, team: str = "search") -> Experiment:
    """An open experiment, proposed 100 days ago, whose last activity is the given number of days old."""
    proposed = NOW - timedelta(days=100)
    return experiment(
        f"github:acme/app#{number}",
        idea_at=proposed,
        team=team,
        last_activity_at=NOW - timedelta(days=days),
        url=PAGE,
    )


def oldest(*experiments: Experiment) -> Rows:
    """The time of the oldest open idea, by team."""
    return rows(oldest_open_idea_timestamp_seconds, experiments, terms(), NOW)


def test_an_open_experiment_is_proposed_before_its_start_and_running_afterwards() -> None:
    assert in_flight(experiment(idea_at=at(1))) == {("search", "proposed"): 1, ("search", "running"): 0}
    started = experiment(idea_at=at(1), started_at=at(2))
    assert in_flight(started) == {("search", "proposed"): 0, ("search", "running"): 1}


@pytest.mark.parametrize("concluded_at", [at(3), NOW])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_concluded_experiment_is_not_open(concluded_at: datetime, outcome: Outcome) -> None:
    concluded = experiment(idea_at=at(1), started_at=at(2), concluded_at=concluded_at, outcome=outcome)
    assert in_flight(concluded) == {("search", "proposed"): 0, ("search", "running"): 0}
    assert not any(ages(concluded)["bucket"].values())
    assert (ages(concluded)["gcount"], ages(concluded)["gsum"]) == ({("search",): 0}, {("search",): 0})
    assert overdue(concluded, thresholds={"search": timedelta(days=1)}) == {("search",): 0}
    assert forgotten(concluded, after=timedelta(0)) == {("search",): 0}
    assert (overdue_ages(concluded), oldest(concluded)) == ({}, {})


def test_ages_are_counted_in_cumulative_buckets_with_an_exact_sum() -> None:
    several = [open_for(days) for days in (10, 0.5 / DAY, 2 / 24, 400, 1)]
    assert list(ages(*several)["bucket"].values()) == [1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]
    assert ages(*several)["gsum"] == {("search",): 411 * DAY + 2 * HOUR + 0.5}


def test_the_age_of_an_experiment_begins_with_its_idea() -> None:
    running = experiment(idea_at=at(10), started_at=at(19), first_signal_at=at(19), shared_at=at(19))
    assert ages(running)["gsum"] == {("search",): 10 * DAY}
    assert ages(experiment(idea_at=NOW))["bucket"]["search", "3600.0"] == 1


@CLOCK_CHANGES
def test_an_age_across_a_clock_change_is_in_elapsed_hours(noon: str, next_noon: str, hours: int) -> None:
    assert ages(experiment(idea_at=utc(noon)), now=utc(next_noon))["gsum"] == {("search",): hours * HOUR}


@pytest.mark.parametrize(
    ("age", "count"),
    [(timedelta(days=14), 0), (timedelta(days=14) + A_MICROSECOND, 1), (timedelta(0), 0), (timedelta(days=400), 1)],
)
def test_an_experiment_is_overdue_when_it_is_older_than_the_threshold(age: timedelta, count: int) -> None:
    assert overdue(experiment(idea_at=NOW - age)) == {("search",): count}


def test_activity_does_not_keep_an_experiment_from_being_overdue() -> None:
    active = experiment(idea_at=at(1), started_at=at(18), first_signal_at=at(19), last_activity_at=NOW)
    assert overdue(active) == {("search",): 1}


def test_each_team_has_its_own_threshold_or_the_default() -> None:
    several = [open_for(8), open_for(8, team="ads"), open_for(15, team="ads"), open_for(15, team="research")]
    thresholds = {"search": timedelta(days=7), "research": timedelta(days=30)}
    assert overdue(*several, open_for(15, team=""), thresholds=thresholds) == {
        ("search",): 1,
        ("ads",): 1,
        ("research",): 0,
        ("_none",): 1,
    }


def test_in_the_combined_row_of_other_teams_each_team_keeps_its_own_threshold() -> None:
    several = [
        open_for(20, team="early"),
        open_for(8, team="quick"),
        open_for(15, team="patient"),
        open_for(15, team="x"),
    ]
    thresholds = {"quick": timedelta(days=7), "patient": timedelta(days=30)}
    assert overdue(*several, thresholds=thresholds, max_teams=1) == {("early",): 1, ("_other",): 2}


def test_a_threshold_beyond_the_calendar_is_never_exceeded() -> None:
    assert overdue(experiment(idea_at=at(1)), thresholds={"search": timedelta.max}) == {("search",): 0}


@CLOCK_CHANGES
def test_a_threshold_across_a_clock_change_is_in_elapsed_hours(noon: str, next_noon: str, hours: int) -> None:
    proposed, just = experiment(idea_at=utc(noon)), {"search": timedelta(hours=hours)}
    assert overdue(proposed, thresholds=just, now=utc(next_noon)) == {("search",): 0}
    assert overdue(proposed, thresholds=just, now=utc(next_noon) + A_MICROSECOND) == {("search",): 1}


@pytest.mark.parametrize(
    ("inactive", "count"),
    [(THIRTY_DAYS - A_MICROSECOND, 0), (THIRTY_DAYS, 1), (timedelta(days=400), 1), (timedelta(0), 0)],
)
def test_an_experiment_is_forgotten_after_the_configured_time_without_activity(inactive: timedelta, count: int) -> None:
    old = experiment(idea_at=NOW - timedelta(days=500), last_activity_at=NOW - inactive)
    assert forgotten(old) == {("search",): count}


def test_the_operator_configures_the_time_after_which_an_experiment_is_forgotten() -> None:
    inactive = experiment(idea_at=at(1), last_activity_at=at(13))
    assert forgotten(inactive, after=timedelta(days=7)) == {("search",): 1}
    assert forgotten(inactive, after=timedelta(days=8)) == {("search",): 0}


def test_activity_dated_in_the_future_keeps_an_experiment_open_and_not_forgotten() -> None:
    dated_ahead = experiment(idea_at=at(1), last_activity_at=NOW + THIRTY_DAYS)
    assert forgotten(dated_ahead) == {("search",): 0}
    assert in_flight(dated_ahead)["search", "proposed"] == 1


@CLOCK_CHANGES
def test_the_time_without_activity_across_a_clock_change_is_in_elapsed_hours(
    noon: str, next_noon: str, hours: int
) -> None:
    inactive, just = experiment(idea_at=utc(noon)), timedelta(hours=hours)
    assert forgotten(inactive, after=just, now=utc(next_noon) - A_MICROSECOND) == {("search",): 0}
    assert forgotten(inactive, after=just, now=utc(next_noon)) == {("search",): 1}


def test_the_overdue_age_is_the_time_since_the_idea_and_not_since_the_threshold() -> None:
    assert overdue_ages(open_for(15)) == {("search", "github:acme/app#45", PAGE): 15 * DAY}


def test_an_experiment_within_its_threshold_has_no_overdue_age() -> None:
    assert overdue_ages(open_for(14)) == {}


def test_the_most_overdue_experiment_is_the_furthest_over_its_threshold_even_if_another_is_older() -> None:
    older, further_over = open_for(40, 1, "patient"), open_for(20, 2, "quick")
    thresholds = {"patient": timedelta(days=30), "quick": timedelta(days=7)}
    assert most_overdue(older, further_over, thresholds=thresholds) == ["2", "1"]


def test_the_twenty_most_overdue_experiments_of_all_teams_are_exported() -> None:
    several = [open_for(15 + number, number, f"team {number % 7}") for number in range(100, 125)]
    assert most_overdue(*several) == [str(number) for number in range(124, 104, -1)]
    assert len(most_overdue(*several[:20])) == 20


def test_the_root_reference_breaks_ties_among_the_most_overdue_experiments() -> None:
    same_day = [open_for(20, number, f"team {number % 3}") for number in range(131, 109, -1)]
    assert most_overdue(*same_day) == [str(number) for number in range(110, 130)]


def test_the_root_reference_breaks_ties_between_experiments_with_different_thresholds() -> None:
    several = [open_for(24, 3, "search"), open_for(17, 1, "quick"), open_for(24, 2, "ads")]
    assert most_overdue(*several, thresholds={"quick": timedelta(days=7)}) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("url", "exported"),
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
        ("https://example.com/\u202egpj", ""),
        ("https://example.com/\x9b31m", ""),
        ("", ""),
    ],
)
def test_an_address_that_is_not_a_web_address_or_contains_a_password_is_omitted(url: str, exported: str) -> None:
    assert overdue_ages(open_for(15, url=url)) == {("search", "github:acme/app#45", exported): 15 * DAY}


def test_the_name_of_an_experiment_does_not_act_on_the_terminal_that_prints_the_metrics() -> None:
    written = [replace(open_for(15), root=Ref(f"branch:acme/app@exp/{letter}x")) for letter in "\u202e\u202d\x9b\xe9"]
    named = [experiment for _, experiment, _ in overdue_ages(*written)]
    assert sorted(named) == [
        "branch:acme/app@exp/\\u009bx",
        "branch:acme/app@exp/\\u202dx",
        "branch:acme/app@exp/\\u202ex",
        "branch:acme/app@exp/\xe9x",
    ]


def test_in_the_combined_row_of_other_teams_an_overdue_experiment_keeps_the_threshold_of_its_own_team() -> None:
    several = [open_for(30, 1, "early"), open_for(8, 2, "quick"), open_for(10, 3, "plain"), open_for(15, 4, "")]
    assert overdue_ages(*several, thresholds={"quick": timedelta(days=7)}, max_teams=1) == {
        ("early", "github:acme/app#1", PAGE): 30 * DAY,
        ("_other", "github:acme/app#2", PAGE): 8 * DAY,
        ("_none", "github:acme/app#4", PAGE): 15 * DAY,
    }


def test_an_overdue_experiment_is_active_until_it_is_forgotten() -> None:
    several = [silent_for(29.9, 1), silent_for(30, 2), silent_for(31, 3), open_for(14, 4), open_for(15, 5, "ads")]
    assert active(*several) == {("search",): 1, ("ads",): 1}
    assert listed(*several) == [("ads", "5"), ("search", "1")]


def test_a_forgotten_experiment_within_its_threshold_is_neither_overdue_nor_active() -> None:
    patient = {"search": timedelta(days=200)}
    assert active(silent_for(40), thresholds=patient) == {("search",): 0}
    assert listed(silent_for(40), thresholds=patient) == []
    assert listed_forgotten(silent_for(40)) == [("search", "45")]


def test_the_five_most_overdue_active_experiments_of_each_team_are_exported() -> None:
    # Activity a day ago keeps each experiment from being forgotten.
    search = [replace(open_for(15 + number, number), last_activity_at=at(19)) for number in range(100, 107)]
    several = [*search, open_for(15, 1, "ads"), *(silent_for(60, number) for number in range(200, 210))]
    assert listed(*several) == [("ads", "1"), *(("search", str(number)) for number in (106, 105, 104, 103, 102))]
    assert active(*several) == {("ads",): 1, ("search",): 7}


def test_the_five_experiments_forgotten_for_longest_of_each_team_are_exported_with_their_idle_time() -> None:
    several = [silent_for(30 + number, number) for number in (3, 1, 4, 7, 5, 9, 2)]
    assert listed_forgotten(*several, silent_for(29, 8), silent_for(35, 6, "ads")) == [
        ("ads", "6"),
        *(("search", number) for number in ("9", "7", "5", "4", "3")),
    ]
    idle = rows(experiment_forgotten_idle_seconds, [silent_for(31)], terms(), NOW)
    assert idle == {("search", "github:acme/app#45", PAGE): 31 * DAY}


def test_the_root_reference_breaks_ties_among_the_listed_experiments() -> None:
    assert listed(*(open_for(20, number) for number in (13, 11, 12))) == [("search", n) for n in ("11", "12", "13")]
    several = [silent_for(40, number) for number in (13, 11, 12)]
    assert listed_forgotten(*several) == [("search", n) for n in ("11", "12", "13")]


def test_the_listed_experiments_of_other_teams_exceed_their_own_thresholds_by_the_most() -> None:
    several = [open_for(25, 1, "early"), open_for(20, 2, "quick"), open_for(22, 3, "plain")]
    thresholds = {"quick": timedelta(days=7)}
    assert listed(*several, thresholds=thresholds, max_teams=1) == [("_other", "2"), ("_other", "3"), ("early", "1")]


def test_the_time_after_which_an_experiment_is_forgotten_is_exported() -> None:
    assert rows(forgotten_after_seconds, [], terms(forgotten_after=timedelta(days=21)), NOW) == {(): 21 * DAY}


def test_the_oldest_open_idea_is_the_earliest_idea_of_an_open_experiment() -> None:
    several = [
        experiment(idea_at=at(3)),
        experiment(idea_at=at(2), started_at=at(15)),
        experiment(idea_at=at(1), concluded_at=at(4)),
        experiment(idea_at=at(1), concluded_at=at(4), outcome=Outcome.ABANDONED, team="ads"),
    ]
    assert oldest(*several) == {("search",): FIRST_OF_MARCH + DAY, ("_org",): FIRST_OF_MARCH + DAY}


def test_the_oldest_open_idea_keeps_fractions_of_a_second() -> None:
    assert oldest(experiment(idea_at=datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC)))["search",] == 1e9 + 0.25

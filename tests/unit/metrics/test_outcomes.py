"""Metrics count concluded experiments by outcome and failure category, and export the time of the last answer."""

from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.outcomes import (
    abandoned_ratio,
    experiments_concluded,
    failure_category_ratio,
    failures,
    last_answer_timestamp_seconds,
)
from tests.support.builders import at, experiment, terms
from tests.support.rows import MetricFunction, Rows, not_zero, rows

NOW, WEDNESDAY = at(20), at(18)
DAY = 86400
FIRST_OF_MARCH = 1772355600
"""2026-03-01 09:00:00 UTC, the moment of `at(1)`."""
NOT_FAILED = [outcome for outcome in Outcome if outcome is not Outcome.FAILED]
ANSWERS = [outcome for outcome in Outcome if outcome is not Outcome.ABANDONED]


def concluded(outcome: Outcome, concluded_at: datetime = WEDNESDAY, team: str = "search") -> Experiment:
    return experiment(idea_at=at(1), team=team, concluded_at=concluded_at, outcome=outcome)


def failed(category: FailureCategory, team: str = "search") -> Experiment:
    return experiment(
        idea_at=at(1), team=team, concluded_at=WEDNESDAY, outcome=Outcome.FAILED, failure_category=category
    )


ABANDONED, WORKED, BASIC = concluded(Outcome.ABANDONED), concluded(Outcome.WORKED), failed(FailureCategory.BASIC)


def values(metric: MetricFunction, *experiments: Experiment, max_teams: int = 200, min_sample: int = 5) -> Rows:
    return rows(metric, experiments, terms("7d", max_teams=max_teams, min_sample=min_sample), NOW)


def shares(*experiments: Experiment, team: str = "search") -> dict[str, float]:
    """The failure category ratios of a team, by category."""
    exported = values(failure_category_ratio, *experiments)
    return {category: share for (row, category, _), share in exported.items() if row == team}


def last_answer(*experiments: Experiment) -> Rows:
    """The time of the last answer, by team."""
    return rows(last_answer_timestamp_seconds, experiments, terms(), NOW)


def test_every_outcome_and_every_category_has_a_row_for_a_team_without_conclusions() -> None:
    idea = experiment(idea_at=at(1))
    outcomes = ("worked", "failed", "inconclusive", "abandoned", "undeclared")
    assert values(experiments_concluded, idea) == {("search", outcome, "7d"): 0 for outcome in outcomes}
    categories = ("intelligent", "basic", "complex", "unclassified")
    assert values(failures, idea) == {("search", category, "7d"): 0 for category in categories}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_conclusion_counts_only_under_its_own_outcome(outcome: Outcome) -> None:
    assert not_zero(values(experiments_concluded, concluded(outcome))) == {("search", outcome.value, "7d"): 1}


@pytest.mark.parametrize("category", list(FailureCategory))
def test_a_failure_counts_only_under_its_own_category(category: FailureCategory) -> None:
    assert not_zero(values(failures, failed(category))) == {("search", category.value, "7d"): 1}


@pytest.mark.parametrize("outcome", NOT_FAILED)
def test_a_conclusion_with_another_outcome_is_not_a_failure(outcome: Outcome) -> None:
    assert not_zero(values(failures, concluded(outcome))) == {}


@pytest.mark.parametrize(
    ("concluded_at", "now", "count"),
    [
        # This window of 7 times 24 hours begins at 11:00 and ends at 12:00 local time, because the clocks go forward.
        ("2026-03-26T11:00:00+01:00", "2026-04-02T12:00:00+02:00", 1),
        ("2026-03-26T10:59:59.999999+01:00", "2026-04-02T12:00:00+02:00", 0),
        # This window of 7 times 24 hours begins at 13:00 and ends at 12:00 local time, because the clocks go back.
        ("2026-10-22T13:00:00+02:00", "2026-10-29T12:00:00+01:00", 1),
        ("2026-10-22T12:59:59.999999+02:00", "2026-10-29T12:00:00+01:00", 0),
    ],
)
def test_a_window_across_a_clock_change_has_the_same_number_of_hours_as_any_other_window(
    concluded_at: str, now: str, count: int
) -> None:
    when, moment = (datetime.fromisoformat(time).astimezone(UTC) for time in (concluded_at, now))
    exported = rows(experiments_concluded, [concluded(Outcome.WORKED, when)], terms("7d"), moment)
    assert exported["search", "worked", "7d"] == count


def test_a_category_ratio_is_the_share_of_failures_of_one_category_among_all_answers() -> None:
    several = [
        *[failed(FailureCategory.INTELLIGENT)] * 3,
        *[BASIC] * 2,
        failed(FailureCategory.COMPLEX),
        failed(FailureCategory.UNCLASSIFIED),
        *(concluded(outcome) for outcome in (Outcome.WORKED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED)),
    ]
    expected = {"intelligent": 0.3, "basic": 0.2, "complex": 0.1, "unclassified": 0.1}
    assert shares(*several) == shares(*several, team="_org") == expected


@pytest.mark.parametrize(("answers", "basic"), [([WORKED] * 5, 0), ([BASIC] * 5, 1), ([BASIC, *[WORKED] * 4], 0.2)])
def test_a_category_ratio_may_be_zero_or_one(answers: list[Experiment], basic: float) -> None:
    assert shares(*answers) == {"intelligent": 0, "basic": basic, "complex": 0, "unclassified": 0}


@pytest.mark.parametrize(
    "unanswered", [ABANDONED, experiment(idea_at=at(1)), experiment(idea_at=at(1), started_at=at(2))]
)
def test_an_unanswered_experiment_is_not_in_the_sample_of_a_category_ratio(unanswered: Experiment) -> None:
    assert shares(*[BASIC] * 4, *[unanswered] * 6) == {}
    assert shares(*[BASIC] * 4, WORKED, *[unanswered] * 6)["basic"] == 0.8


def test_the_abandoned_ratio_is_the_share_of_abandoned_experiments_among_all_concluded_ones() -> None:
    assert values(abandoned_ratio, *(concluded(outcome) for outcome in Outcome)) == {
        ("search", "7d"): 0.2,
        ("_org", "7d"): 0.2,
    }


@pytest.mark.parametrize(("outcome", "share"), [(Outcome.WORKED, 0), (Outcome.ABANDONED, 1)])
def test_the_abandoned_ratio_may_be_zero_or_one(outcome: Outcome, share: float) -> None:
    exported = values(abandoned_ratio, *[concluded(outcome)] * 5)
    assert exported == {("search", "7d"): share, ("_org", "7d"): share}


def test_an_open_experiment_is_not_in_the_sample_of_the_abandoned_ratio() -> None:
    still_open = [experiment(idea_at=at(1))] * 10
    assert values(abandoned_ratio, *[ABANDONED] * 4, *still_open) == {}
    assert values(abandoned_ratio, *[ABANDONED] * 4, WORKED, *still_open)["search", "7d"] == 0.8


@pytest.mark.parametrize(("metric", "labels"), [(abandoned_ratio, ()), (failure_category_ratio, ("basic",))])
def test_the_ratio_of_the_organisation_is_not_the_mean_of_its_teams(
    metric: MetricFunction, labels: tuple[str, ...]
) -> None:
    # Each key is a team, and whether its experiments count in the numerator. If they do, they are abandoned or basic
    # failures, as the metric requires. Each value is the team's number of experiments.
    counts = {("ads", True): 2, ("b", False): 2, ("c", True): 2, ("", False): 4}
    several = [
        concluded(Outcome.ABANDONED, team=team)
        if counted and metric is abandoned_ratio
        else failed(FailureCategory.BASIC, team)
        if counted
        else concluded(Outcome.WORKED, team=team)
        for (team, counted), count in counts.items()
        for _ in range(count)
    ]
    exported = values(metric, *several, max_teams=1, min_sample=2)
    ratios = {row: exported[(row, *labels, "7d")] for row in ("ads", "_other", "_none", "_org")}
    assert ratios == {"ads": 1, "_other": 0.5, "_none": 0, "_org": 0.4}


@pytest.mark.parametrize("outcome", ANSWERS)
def test_the_last_answer_is_the_latest_conclusion_of_an_experiment_that_was_not_abandoned(outcome: Outcome) -> None:
    several = [concluded(outcome, at(3)), concluded(outcome, at(9)), concluded(Outcome.ABANDONED, at(10))]
    latest = FIRST_OF_MARCH + 8 * DAY
    assert last_answer(*several) == {("search",): latest, ("_org",): latest}


def test_an_abandoned_or_open_experiment_has_no_answer() -> None:
    still_open = experiment(idea_at=at(1), started_at=at(2), first_signal_at=at(3), shared_at=at(4))
    assert last_answer(ABANDONED, still_open) == {}


def test_a_team_without_an_answer_has_no_row_for_the_last_answer() -> None:
    several = [concluded(Outcome.WORKED, team="ads"), experiment(idea_at=at(1), team="search")]
    assert set(last_answer(*several)) == {("ads",), ("_org",)}


def test_the_last_answer_is_independent_of_windows_and_keeps_fractions_of_a_second() -> None:
    when = datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=UTC)
    long_ago = experiment(idea_at=when - timedelta(days=1), concluded_at=when)
    assert last_answer(long_ago) == {("search",): 1e9 + 0.25, ("_org",): 1e9 + 0.25}


def test_the_last_answer_may_be_at_this_moment_or_before_its_idea() -> None:
    assert last_answer(concluded(Outcome.WORKED, NOW))["search",] == FIRST_OF_MARCH + 19 * DAY
    assert last_answer(experiment(idea_at=at(9), concluded_at=at(3)))["search",] == FIRST_OF_MARCH + 2 * DAY

"""Metrics measure the durations of all stages, and compare the time from idea to answer with the threshold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import (
    answered_within_threshold_ratio,
    idea_to_answer_seconds,
    stage_quantile_seconds,
    stage_samples,
    threshold_seconds,
)
from service.metrics.terms import Terms
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, histogram_rows, not_zero, rows

NOW, YESTERDAY = at(20), at(19)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR, DAY = 3600, 86400
OWN = {"search": timedelta(days=7), "late": timedelta(hours=36)}
ANSWERS = [outcome for outcome in Outcome if outcome is not Outcome.ABANDONED]


def taking(hours: float, team: str = "search", answered_at: datetime = YESTERDAY) -> Experiment:
    """An experiment with an idea, an answer `hours` later, and no other instant."""
    return experiment(idea_at=answered_at - timedelta(hours=hours), team=team, concluded_at=answered_at)


def histogram(*experiments: Experiment, window: str = "7d") -> dict[str, Rows]:
    """The histogram of the time from idea to answer, by team and window."""
    return histogram_rows(idea_to_answer_seconds, experiments, terms(window), NOW)


def quantiles(*experiments: Experiment, on: Terms = WEEK) -> Rows:
    """The quantiles of stage durations, by team, stage, window and q."""
    return rows(stage_quantile_seconds, experiments, on, NOW)


def medians(*experiments: Experiment, on: Terms = ANY, window: str = "7d", team: str = "search") -> dict[str, float]:
    """The median duration of each stage. A stage without a median is missing."""
    exported = quantiles(*experiments, on=on)
    return {
        stage: value for (row, stage, over, q), value in exported.items() if (row, over, q) == (team, window, "0.5")
    }


def samples(*experiments: Experiment) -> Rows:
    """The sample sizes, by team, stage and window."""
    return rows(stage_samples, experiments, WEEK, NOW)


def within(
    *experiments: Experiment,
    days: float = 2,
    min_sample: int = 1,
    window: str = "7d",
    max_teams: int = 200,
    **own: float,
) -> dict[str, float]:
    """The share of answers within the threshold, by team. `days` is the threshold of each team that is not in `own`."""
    thresholds = {team: timedelta(days=threshold) for team, threshold in {"default": days, **own}.items()}
    on = terms(window, thresholds=thresholds, min_sample=min_sample, max_teams=max_teams)
    return {team: share for (team, _), share in rows(answered_within_threshold_ratio, experiments, on, NOW).items()}


def thresholds(*teams: str, own: Mapping[str, timedelta] = OWN, max_teams: int = 200) -> Rows:
    """The exported thresholds by team, if each of the given teams has one experiment."""
    several = [experiment(idea_at=at(1 + place), team=team) for place, team in enumerate(teams)]
    return rows(threshold_seconds, several, terms(thresholds=own, max_teams=max_teams), NOW)


def test_the_histogram_is_cumulative_with_an_exact_sum() -> None:
    several = [taking(hours) for hours in (0, 2, 2.25, 240, 9600)]
    assert list(histogram(*several)["bucket"].values()) == [1, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]
    assert histogram(*several)["gcount"] == {("search", "7d"): 5}
    assert histogram(*several)["gsum"] == {("search", "7d"): 4.25 * HOUR + 410 * DAY}


def test_a_team_without_an_answer_has_empty_buckets() -> None:
    still_open = histogram(experiment(idea_at=at(1)))
    assert set(still_open["bucket"].values()) == {0}
    assert (still_open["gcount"], still_open["gsum"]) == ({("search", "7d"): 0}, {("search", "7d"): 0})


@pytest.mark.parametrize("outcome", ANSWERS)
def test_every_conclusion_except_an_abandoned_one_is_an_answer(outcome: Outcome) -> None:
    answered = replace(taking(24), outcome=outcome)
    assert histogram(answered)["gsum"] == {("search", "7d"): DAY}
    assert samples(answered)["search", "idea_to_answer", "7d"] == 1
    assert within(answered) == {"search": 1, "_org": 1}


@pytest.mark.parametrize("concluded_at", [None, YESTERDAY])
def test_an_open_or_abandoned_experiment_has_no_answer(concluded_at: datetime | None) -> None:
    outcome = Outcome.ABANDONED if concluded_at else None
    unanswered = experiment(idea_at=at(14), started_at=at(15), concluded_at=concluded_at, outcome=outcome)
    assert histogram(unanswered)["gcount"] == {("search", "7d"): 0}
    assert quantiles(unanswered, on=ANY) == not_zero(samples(unanswered)) == {}
    assert within(unanswered) == {}


def test_an_answer_before_its_idea_has_no_duration() -> None:
    slipped = taking(-1)
    assert histogram(slipped, taking(1))["gcount"] == {("search", "7d"): 1}
    assert histogram(slipped, taking(1))["gsum"] == {("search", "7d"): HOUR}
    assert within(slipped, taking(72)) == {"search": 0, "_org": 0}
    assert within(slipped, *[taking(1)] * 4, min_sample=5) == {}


@pytest.mark.parametrize(
    ("idea_at", "answered_at", "hours"),
    [
        ("2025-03-29T12:00:00+01:00", "2025-03-30T12:00:00+02:00", 23),  # from noon to noon in Europe
        ("2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00", 23),  # from noon to noon in the US
        ("2025-10-25T12:00:00+02:00", "2025-10-26T12:00:00+01:00", 25),
        ("2025-11-01T12:00:00-04:00", "2025-11-02T12:00:00-05:00", 25),
    ],
)
def test_the_duration_of_an_answer_across_a_clock_change_is_in_elapsed_hours(
    idea_at: str, answered_at: str, hours: int
) -> None:
    noon, next_noon = (datetime.fromisoformat(when).astimezone(UTC) for when in (idea_at, answered_at))
    answered = experiment(idea_at=noon, concluded_at=next_noon)
    assert histogram(answered, window="730d")["gsum"] == {("search", "730d"): hours * HOUR}
    assert medians(answered, on=terms("730d", min_sample=1), window="730d") == {"idea_to_answer": hours * HOUR}
    assert within(answered, days=hours / 24, window="730d")["search"] == 1
    assert within(answered, days=hours / 24 - 1 / DAY, window="730d")["search"] == 0


def test_a_quantile_is_interpolated_between_the_two_nearest_values() -> None:
    expected = {"0.5": 3 * HOUR, "0.75": 4 * HOUR, "0.9": 7.6 * HOUR}
    assert quantiles(*(taking(hours) for hours in (10, 2, 4, 1, 3))) == pytest.approx(
        {(team, "idea_to_answer", "7d", q): value for team in ("search", "_org") for q, value in expected.items()}
    )


def test_each_stage_lasts_from_its_first_to_its_second_instant() -> None:
    answered = experiment(
        idea_at=at(15, "09:00:00"),
        started_at=at(15, "10:00:00"),
        first_signal_at=at(15, "12:00:00"),
        concluded_at=at(15, "16:00:00"),
        shared_at=at(16, "00:00:00"),
        shipped_at=at(15, "22:00:00"),
    )
    assert medians(answered) == {
        "idea_to_answer": 7 * HOUR,
        "idea_to_start": 1 * HOUR,
        "start_to_signal": 2 * HOUR,
        "signal_to_answer": 4 * HOUR,
        "answer_to_shared": 8 * HOUR,
        "signal_to_shipped": 10 * HOUR,
    }


def test_every_stage_has_a_row_for_a_team_without_answers() -> None:
    stages = ("idea_to_answer", "idea_to_start", "start_to_signal", "signal_to_answer")
    assert samples(experiment(idea_at=at(1))) == {
        ("search", stage, "7d"): 0 for stage in (*stages, "answer_to_shared", "signal_to_shipped")
    }


def test_the_sample_of_a_stage_contains_the_experiments_for_which_the_stage_is_known() -> None:
    answered = experiment(idea_at=at(1), concluded_at=at(15))
    started = replace(answered, started_at=at(2))
    signalled = replace(started, first_signal_at=at(3))
    shared = replace(signalled, shared_at=at(16))
    shipped = replace(shared, shipped_at=at(4))
    assert samples(answered, started, signalled, shared, shipped) == {
        ("search", "idea_to_answer", "7d"): 5,
        ("search", "idea_to_start", "7d"): 4,
        ("search", "start_to_signal", "7d"): 3,
        ("search", "signal_to_answer", "7d"): 3,
        ("search", "answer_to_shared", "7d"): 2,
        ("search", "signal_to_shipped", "7d"): 1,
    }


def test_each_stage_has_its_own_minimum_sample() -> None:
    started = [replace(taking(2), started_at=YESTERDAY - timedelta(hours=1)) for _ in range(4)]
    assert set(medians(*started, taking(2), on=WEEK)) == {"idea_to_answer"}
    assert set(medians(*started, started[0], on=WEEK)) == {"idea_to_answer", "idea_to_start"}


def test_a_negative_stage_does_not_count_and_the_other_stages_of_the_experiment_count() -> None:
    slipped = experiment(idea_at=at(16), started_at=at(14), first_signal_at=at(17), concluded_at=at(18))
    expected = {"idea_to_answer": 2 * DAY, "start_to_signal": 3 * DAY, "signal_to_answer": DAY}
    assert medians(slipped) == expected
    assert not_zero(samples(slipped)) == {("search", stage, "7d"): 1 for stage in expected}


def test_a_longer_window_contains_the_answers_of_a_shorter_one() -> None:
    several = (taking(1), taking(3), taking(8, answered_at=at(5)))
    on = terms("30d", "7d", min_sample=1)
    assert medians(*several, on=on, window="7d") == {"idea_to_answer": 2 * HOUR}
    assert medians(*several, on=on, window="30d") == {"idea_to_answer": 3 * HOUR}
    assert medians(*several, on=on, window="30d", team="_org") == {"idea_to_answer": 3 * HOUR}


def test_the_time_of_the_conclusion_and_not_of_the_idea_decides_which_windows_contain_an_answer() -> None:
    assert histogram(taking(9600))["gsum"] == {("search", "7d"): 400 * DAY}


@pytest.mark.parametrize(("microseconds", "share"), [(-1, 1), (0, 1), (1, 0)])
def test_an_answer_exactly_at_the_threshold_is_within_the_threshold(microseconds: int, share: float) -> None:
    taken = timedelta(days=2, microseconds=microseconds)
    assert within(experiment(idea_at=YESTERDAY - taken, concluded_at=YESTERDAY)) == {"search": share, "_org": share}


def test_the_share_within_the_threshold_is_a_share_of_all_answers() -> None:
    assert within(*(taking(24 * days) for days in (1, 1.5, 2, 3, 400))) == {"search": 0.6, "_org": 0.6}


def test_in_the_row_of_the_organisation_each_answer_has_the_threshold_of_its_own_team() -> None:
    several = [taking(24 * days, team) for team in ("ads", "search", "") for days in (1, 2, 3, 4)]
    assert within(*several, days=3, search=1) == {
        "ads": 0.75,
        "search": 0.25,
        "_none": 0.75,
        # Each of the three rows has 4 answers, of which 3, 1 and 3 are within the threshold of the row.
        "_org": 7 / 12,
    }


def test_in_the_combined_row_of_other_teams_each_answer_has_the_threshold_of_its_own_team() -> None:
    several = (taking(24 * 9, "ads"), taking(24 * 2, "beta"), taking(24 * 3, "gamma"))
    assert within(*several, days=3, beta=1, max_teams=1) == {"ads": 0, "_other": 0.5, "_org": 1 / 3}


def test_each_window_has_its_own_share() -> None:
    several = [taking(72), taking(24, answered_at=at(5))]
    on = terms("7d", "30d", thresholds={"default": timedelta(days=2)}, min_sample=1)
    exported = rows(answered_within_threshold_ratio, several, on, NOW)
    assert (exported["search", "7d"], exported["search", "30d"]) == (0, 0.5)


def test_the_threshold_of_the_organisation_is_the_default_if_there_are_no_experiments() -> None:
    assert thresholds() == {("_org",): 14 * DAY}


def test_each_row_has_its_own_threshold_or_the_default() -> None:
    assert thresholds("search", "ads", "") == {
        ("search",): 7 * DAY,
        ("ads",): 14 * DAY,
        ("_none",): 14 * DAY,
        ("_org",): 14 * DAY,
    }


def test_the_operator_configures_the_default_threshold() -> None:
    own = {**OWN, "default": timedelta(days=21)}
    assert thresholds("ads", own=own) == {("ads",): 21 * DAY, ("_org",): 21 * DAY}


def test_the_combined_row_of_other_teams_has_the_default_threshold() -> None:
    assert thresholds("search", "search", "late", max_teams=1) == {
        ("search",): 7 * DAY,
        ("_other",): 14 * DAY,
        ("_org",): 14 * DAY,
    }


def test_a_team_with_a_concluded_experiment_has_a_threshold_and_a_team_with_only_a_future_experiment_has_none() -> None:
    concluded = experiment(idea_at=at(1), team="late", concluded_at=at(2))
    ahead = experiment(idea_at=at(21), team="search")
    assert rows(threshold_seconds, [concluded, ahead], terms(thresholds=OWN), NOW) == {
        ("late",): 1.5 * DAY,
        ("_org",): 14 * DAY,
    }

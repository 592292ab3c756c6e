"""Kaplan-Meier estimates of the time from idea to answer treat open and abandoned experiments as censored."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.survival import idea_to_answer_survival_quantile_seconds, survival_answered_by_threshold_ratio
from service.metrics.terms import Terms
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW, IDEA = at(20), at(13)
WEEK = terms("7d")
ANY = terms("7d", min_sample=1)
HOUR, DAY = 3600, 86400
QUANTILES = ("0.5", "0.75", "0.9")


def quantiles(*experiments: Experiment, on: Terms = WEEK) -> Rows:
    """The survival quantiles, by team, window and q."""
    return rows(idea_to_answer_survival_quantile_seconds, experiments, on, NOW)


def of_search(*experiments: Experiment, on: Terms = ANY) -> dict[str, float]:
    """The survival quantiles of the team `search` in the window of 7 days, by q."""
    exported = quantiles(*experiments, on=on)
    return {q: value for (team, window, q), value in exported.items() if (team, window) == ("search", "7d")}


def ratios(
    *experiments: Experiment,
    threshold: timedelta = timedelta(days=3),
    own: Mapping[str, timedelta] | None = None,
    max_teams: int = 200,
    min_sample: int = 1,
) -> dict[str, float]:
    """For each team, the estimated share of experiments that are answered within the threshold."""
    thresholds = {"default": threshold, **(own or {})}
    on = terms("7d", thresholds=thresholds, min_sample=min_sample, max_teams=max_teams)
    exported = rows(survival_answered_by_threshold_ratio, experiments, on, NOW)
    return {team: share for (team, _), share in exported.items()}


def answered(days: float, team: str = "search", idea_at: datetime = IDEA) -> Experiment:
    return experiment(idea_at=idea_at, team=team, concluded_at=idea_at + timedelta(days=days))


def abandoned(days: float) -> Experiment:
    return replace(answered(days), outcome=Outcome.ABANDONED)


def still_open(days: float) -> Experiment:
    """An open experiment whose idea is the given number of days old."""
    return experiment(idea_at=NOW - timedelta(days=days))


# After one day, 1 of 6 experiments is answered, and the curve falls to 5/6. After two days, 2 of the other 5 are
# answered, and the curve falls to 1/2. Then 1 of the other 3 is abandoned. After four days, 1 of the last 2 is
# answered, and the curve falls to 1/4.
PORTFOLIO = (answered(1), answered(2), answered(2), abandoned(2), answered(4), still_open(6))


def test_open_and_abandoned_experiments_are_censored_and_a_quantile_that_the_curve_does_not_reach_is_absent() -> None:
    assert quantiles(*PORTFOLIO) == {
        ("search", "7d", "0.5"): 2 * DAY,
        ("search", "7d", "0.75"): 4 * DAY,
        ("_org", "7d", "0.5"): 2 * DAY,
        ("_org", "7d", "0.75"): 4 * DAY,
    }


def test_a_quantile_without_censoring_is_the_shortest_time_within_which_its_share_is_answered() -> None:
    several = [answered(days / 2) for days in range(1, 11)]
    assert of_search(*several) == {"0.5": 2.5 * DAY, "0.75": 4 * DAY, "0.9": 4.5 * DAY}


def test_no_quantile_exists_and_the_share_is_zero_if_no_experiment_is_answered() -> None:
    for unanswered in (still_open, abandoned):
        several = [unanswered(days) for days in range(1, 7)]
        assert quantiles(*several, on=ANY) == {}
        assert ratios(*several) == {"search": 0, "_org": 0}


def test_another_open_experiment_may_make_the_median_absent() -> None:
    assert of_search(answered(1), still_open(6)) == {"0.5": DAY}
    assert of_search(answered(1), still_open(6), still_open(6)) == {}


def test_an_experiment_that_is_open_for_less_time_than_any_answer_took_changes_no_quantile() -> None:
    expected = dict.fromkeys(QUANTILES, 2 * DAY)
    assert of_search(answered(2), still_open(1)) == of_search(answered(2)) == expected


def test_the_sample_includes_unanswered_experiments() -> None:
    several = (answered(1), answered(1), answered(1), still_open(6))
    assert quantiles(*several) == {}
    assert ratios(*several, min_sample=5) == {}
    assert of_search(*several, abandoned(6), on=WEEK) == {"0.5": DAY}
    assert ratios(*several, abandoned(6), min_sample=5) == pytest.approx({"search": 0.6, "_org": 0.6})


def test_an_experiment_that_concludes_before_its_idea_is_not_in_the_sample() -> None:
    slipped = (answered(-1), answered(-1), abandoned(-1), abandoned(-1))
    assert quantiles(*slipped, *[answered(1)] * 3) == {}
    assert ratios(*slipped, *[answered(1)] * 3, min_sample=5) == {}
    assert of_search(*slipped, answered(3)) == of_search(answered(3))


def test_the_time_of_the_idea_and_not_of_the_answer_decides_which_windows_contain_an_experiment() -> None:
    old = answered(10, idea_at=at(9))
    assert quantiles(old, on=terms("7d", "30d", min_sample=1)) == {
        (team, "30d", q): 10 * DAY for team in ("search", "_org") for q in QUANTILES
    }


def test_each_row_has_its_own_survival_curve() -> None:
    several = (answered(1, "ads"), answered(2, "beta"), answered(4, "gamma"), answered(5, ""))
    exported = quantiles(*several, on=terms("7d", min_sample=1, max_teams=1))
    assert {row: value for (row, _, q), value in exported.items() if q == "0.75"} == {
        "ads": DAY,
        "_other": 4 * DAY,
        "_none": 5 * DAY,
        "_org": 4 * DAY,
    }


@pytest.mark.parametrize(
    ("threshold", "share"),
    [
        (timedelta(hours=23), 0),
        (timedelta(days=1), 1 / 6),
        (timedelta(days=2, microseconds=-1), 1 / 6),
        (timedelta(days=2), 1 / 2),
        (timedelta(days=3), 1 / 2),
        (timedelta(days=4), 3 / 4),
        (timedelta(days=14), 3 / 4),
    ],
)
def test_an_answer_at_the_threshold_counts_as_answered_by_the_threshold(threshold: timedelta, share: float) -> None:
    assert ratios(*PORTFOLIO, threshold=threshold) == pytest.approx({"search": share, "_org": share})


def test_the_share_exists_even_if_the_curve_does_not_reach_the_median() -> None:
    assert ratios(answered(1), *[still_open(6)] * 3)["_org"] == 0.25


def test_the_share_is_one_if_all_experiments_are_answered_by_the_threshold() -> None:
    assert ratios(*(answered(days) for days in (1, 2, 3)))["_org"] == 1


def test_the_share_for_a_threshold_beyond_the_last_answer_is_the_share_at_the_last_answer() -> None:
    several = (answered(1), answered(5), still_open(6), still_open(6))
    assert ratios(*several, threshold=timedelta(days=5))["_org"] == 0.5
    assert ratios(*several, threshold=timedelta(days=14))["_org"] == 0.5


def test_each_team_has_its_own_threshold_and_the_organisation_has_the_default() -> None:
    several = [answered(days, team) for team in ("ads", "search", "") for days in (1, 2, 3, 4)]
    assert ratios(*several, own={"search": timedelta(days=1)}) == pytest.approx(
        {"ads": 0.75, "search": 0.25, "_none": 0.75, "_org": 0.75}
    )


def test_the_combined_row_of_other_teams_has_the_default_threshold() -> None:
    several = (answered(1, "ads"), answered(2, "beta"), answered(4, "gamma"))
    assert ratios(*several, own={"beta": timedelta(days=1)}, max_teams=1)["_other"] == 0.5


def test_the_duration_of_an_experiment_across_a_clock_change_is_in_elapsed_hours() -> None:
    noon = datetime.fromisoformat("2026-03-07T12:00:00-05:00").astimezone(UTC)
    next_noon = datetime.fromisoformat("2026-03-08T12:00:00-04:00").astimezone(UTC)
    across, just = experiment(idea_at=noon, concluded_at=next_noon), timedelta(hours=23)
    assert quantiles(across, on=terms("30d", min_sample=1))["search", "30d", "0.5"] == 23 * HOUR
    for threshold, share in ((just, 1), (just - timedelta(microseconds=1), 0)):
        on = terms("30d", thresholds={"default": threshold}, min_sample=1)
        assert rows(survival_answered_by_threshold_ratio, [across], on, NOW)["search", "30d"] == share

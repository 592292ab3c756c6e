"""`loopgauge_idea_to_answer_seconds`: a gauge histogram of the time from idea to answer."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

import pytest
from prometheus_client.samples import Sample

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import idea_to_answer_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW, YESTERDAY = at(20), at(19)
WEEK = "7d"
YEARS = "730d"
HOUR, DAY = 3600, 86400
BOUNDS = [HOUR, 4 * HOUR, DAY, *(DAY * days for days in (3, 7, 14, 30, 60, 90, 180, 365)), inf]


def taking(seconds: float, answered_at: datetime = YESTERDAY, team: str = "search") -> Experiment:
    """An experiment that was answered so long after its idea."""
    return experiment(idea_at=answered_at - timedelta(seconds=seconds), team=team, concluded_at=answered_at)


def samples(*experiments: Experiment, windows: Sequence[str] = (WEEK,)) -> list[Sample]:
    (family,) = families(View.of(experiments, terms(*windows), NOW))
    return list(family.samples)


def buckets(*experiments: Experiment) -> list[tuple[float, float]]:
    """The cumulative count below each bound, for the team and window that are the only ones."""
    return [
        (float(sample.labels["le"]), sample.value)
        for sample in samples(*experiments)
        if sample.name == "loopgauge_idea_to_answer_seconds_bucket"
    ]


def total(name: str, *experiments: Experiment) -> list[float]:
    """The values of `gsum` or `gcount`."""
    return [
        sample.value for sample in samples(*experiments) if sample.name == f"loopgauge_idea_to_answer_seconds_{name}"
    ]


def test_it_is_a_gauge_histogram_with_a_description() -> None:
    (family,) = families(View.of((), terms(WEEK), NOW))
    assert (family.name, family.type) == ("loopgauge_idea_to_answer_seconds", "gaugehistogram")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert samples() == []


def test_a_team_without_an_answer_has_empty_buckets() -> None:
    still_open = experiment(idea_at=at(1))
    assert buckets(still_open) == [(bound, 0) for bound in BOUNDS]
    assert total("gcount", still_open) == [0]
    assert total("gsum", still_open) == [0]


@pytest.mark.parametrize("bound", BOUNDS[:-1])
def test_a_duration_of_just_the_bound_is_in_its_bucket(bound: float) -> None:
    assert buckets(taking(bound)) == [(other, int(other >= bound)) for other in BOUNDS]


@pytest.mark.parametrize(("bound", "next_bound"), list(pairwise(BOUNDS)))
def test_a_duration_beyond_the_bound_is_in_the_next_bucket(bound: float, next_bound: float) -> None:
    assert buckets(taking(bound + 0.001)) == [(other, int(other >= next_bound)) for other in BOUNDS]


def test_an_answer_at_the_moment_of_the_idea_took_no_time() -> None:
    assert buckets(taking(0)) == [(bound, 1) for bound in BOUNDS]
    assert total("gsum", taking(0)) == [0]


def test_buckets_are_cumulative_and_the_sum_and_the_count_are_exact() -> None:
    several = [taking(60), taking(2 * HOUR), taking(2 * HOUR + 1), taking(10 * DAY), taking(400 * DAY)]
    assert [count for _, count in buckets(*several)] == [1, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]
    assert total("gcount", *several) == [5]
    assert total("gsum", *several) == [60 + 2 * HOUR + 2 * HOUR + 1 + 410 * DAY]


def test_fractions_of_a_second_are_kept() -> None:
    assert total("gsum", taking(0.25), taking(0.5)) == [0.75]


def test_an_answer_before_its_idea_is_left_out() -> None:
    assert buckets(taking(-1)) == [(bound, 0) for bound in BOUNDS]
    assert total("gcount", taking(-1), taking(60)) == [1]
    assert total("gsum", taking(-1), taking(60)) == [60]


def test_an_abandoned_experiment_is_no_answer() -> None:
    abandoned = experiment(idea_at=at(18), concluded_at=at(19), outcome=Outcome.ABANDONED)
    assert total("gcount", abandoned) == [0]


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.UNDECLARED])
def test_every_other_conclusion_is_an_answer(outcome: Outcome) -> None:
    answered = experiment(idea_at=at(18), concluded_at=at(19), outcome=outcome)
    assert total("gcount", answered) == [1]
    assert total("gsum", answered) == [DAY]


@pytest.mark.parametrize(
    ("answered_at", "count"), [(at(13, "08:59:59"), 0), (at(13), 1), (at(19, "23:59:59"), 1), (NOW, 0)]
)
def test_an_answer_counts_from_the_beginning_of_the_window_to_before_its_end(answered_at: datetime, count: int) -> None:
    assert total("gcount", taking(60, answered_at)) == [count]


def test_an_answer_counts_in_the_window_of_its_answer_not_of_its_idea() -> None:
    assert total("gsum", taking(400 * DAY)) == [400 * DAY]


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert samples(taking(60, at(21))) == []
    assert samples(experiment(idea_at=at(1), concluded_at=at(15), shared_at=at(21))) == []


def test_each_team_and_window_has_a_histogram_of_its_own() -> None:
    several = (taking(60, team="ads"), taking(HOUR, at(2), team="ads"), taking(30, team=""))
    counts = {
        (sample.labels["team"], sample.labels["window"]): sample.value
        for sample in samples(*several, windows=(WEEK, YEARS))
        if sample.name == "loopgauge_idea_to_answer_seconds_gcount"
    }
    assert counts == {("ads", "7d"): 1, ("ads", "730d"): 2, ("_none", "7d"): 1, ("_none", "730d"): 1}


@pytest.mark.parametrize(
    ("idea_at", "answered_at", "hours"),
    [
        ("2025-03-29T12:00:00+01:00", "2025-03-30T12:00:00+02:00", 23),  # Europe, noon to noon
        ("2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00", 23),  # the US
        ("2025-10-25T12:00:00+02:00", "2025-10-26T12:00:00+01:00", 25),
        ("2025-11-01T12:00:00-04:00", "2025-11-02T12:00:00-05:00", 25),
    ],
)
def test_a_loop_over_a_change_of_the_clocks_takes_its_real_hours(idea_at: str, answered_at: str, hours: int) -> None:
    noon, next_noon = (datetime.fromisoformat(when).astimezone(UTC) for when in (idea_at, answered_at))
    taken = samples(experiment(idea_at=noon, concluded_at=next_noon), windows=[YEARS])
    assert [sample.value for sample in taken if sample.name.endswith("_gsum")] == [hours * HOUR]
    within_a_day = [sample.value for sample in taken if sample.labels.get("le") == "86400.0"]
    assert within_a_day == [int(hours <= 24)]


def test_an_idea_that_turns_out_to_be_older_makes_the_loop_longer() -> None:
    assert total("gsum", taking(DAY)) == [DAY]
    assert total("gsum", taking(3 * DAY)) == [3 * DAY]


def test_an_answer_that_turns_out_to_be_older_leaves_the_window() -> None:
    assert total("gcount", taking(60, at(13))) == [1]
    assert total("gcount", taking(60, at(12))) == [0]


def test_an_answer_that_turns_out_to_be_none_leaves_nothing_behind() -> None:
    abandoned = experiment(idea_at=at(18), concluded_at=YESTERDAY, outcome=Outcome.ABANDONED)
    opened_again = experiment(idea_at=at(18), last_activity_at=YESTERDAY)
    assert total("gsum", taking(DAY), taking(60)) == [DAY + 60]
    assert total("gsum", abandoned, taking(60)) == [60]
    assert total("gsum", opened_again, taking(60)) == [60]


def test_a_team_that_is_renamed_takes_its_answers_along() -> None:
    renamed = samples(taking(60, team="discovery"))
    assert {sample.labels["team"] for sample in renamed} == {"discovery"}
    assert total("gsum", taking(60, team="discovery")) == [60]

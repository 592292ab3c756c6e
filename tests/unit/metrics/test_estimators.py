"""Quantiles, histograms and survival estimates equal values computed by hand or published in the literature."""

import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.metrics.estimators import BUCKETS, QUANTILES, Survival, histogram, kaplan_meier, quantile

TEN_YEARS = 10 * 365 * 86400
seconds = st.one_of(
    st.integers(0, 5).map(float), st.integers(0, TEN_YEARS * 1_000_000).map(lambda microseconds: microseconds / 1e6)
)
samples = st.lists(seconds, min_size=1, max_size=40)


# The durations of remissions under 6-mercaptopurine in weeks, from Freireich and others, Blood 21 (1963).
REMISSIONS_ENDED = (6, 6, 6, 7, 10, 13, 16, 22, 23)
REMISSIONS_CENSORED = (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)


def test_every_quantile_of_a_single_value_is_the_value() -> None:
    assert [quantile([7.5], q) for q in (0, 0.5, 0.9, 1)] == [7.5, 7.5, 7.5, 7.5]


@pytest.mark.parametrize(
    ("ordered", "q", "expected"),
    [
        ([1, 2, 3, 4], 0, 1),
        ([1, 2, 3, 4], 0.25, 1.75),
        ([1, 2, 3, 4], 0.5, 2.5),
        ([1, 2, 3, 4], 0.75, 3.25),
        ([1, 2, 3, 4], 0.9, 3.7),
        ([1, 2, 3, 4], 1, 4),
        ([1, 2, 30], 0.5, 2),
        ([0, 0, 0, 10], 0.5, 0),
        ([0, 0, 0, 10], 0.75, 2.5),
        ([0, 10], 0.9, 9),
    ],
)
def test_a_quantile_equals_a_value_or_is_interpolated_between_the_two_nearest_values(
    ordered: Sequence[float], q: float, expected: float
) -> None:
    assert quantile(ordered, q) == pytest.approx(expected)


@given(st.lists(seconds, min_size=2, max_size=40))
def test_quantiles_equal_the_quantiles_of_the_standard_library(values: list[float]) -> None:
    twentieths = statistics.quantiles(values, n=20, method="inclusive")
    quantiles = [quantile(sorted(values), twentieth / 20) for twentieth in range(1, 20)]
    assert quantiles == pytest.approx(twentieths, rel=1e-9, abs=1e-9)


@given(samples)
def test_quantiles_rise_from_the_smallest_value_to_the_largest(values: list[float]) -> None:
    rising = [quantile(sorted(values), q) for q in (0, *QUANTILES, 1)]
    assert rising == sorted(rising)
    assert (rising[0], rising[-1]) == (min(values), max(values))


def test_a_bucket_of_a_histogram_counts_the_values_up_to_and_including_its_bound() -> None:
    taken = histogram([0, 3600, 3600.000001, 86400, 31536000, 31536001])
    assert taken.buckets == [
        ("3600.0", 2),
        ("14400.0", 3),
        ("86400.0", 4),
        *((str(days * 86400.0), 4) for days in (3, 7, 14, 30, 60, 90, 180)),
        ("31536000.0", 5),
        ("+Inf", 6),
    ]
    assert taken.total == 63165601.000001


def test_a_histogram_of_an_empty_sample_has_empty_buckets() -> None:
    assert [count for _, count in histogram([]).buckets] == [0] * 12
    assert histogram([]).total == 0


@given(samples)
def test_the_last_bucket_of_a_histogram_counts_all_values(values: list[float]) -> None:
    counts = [count for _, count in histogram(sorted(values)).buckets]
    assert counts == [sum(value <= bound for value in values) for bound in BUCKETS] + [len(values)]


def test_the_survival_estimate_equals_the_example_that_kaplan_and_meier_published() -> None:
    curve = kaplan_meier(answered=(0.8, 3.1, 5.4, 9.2), censored=(1.0, 2.7, 7.0, 12.1))
    assert curve.times == [0.8, 3.1, 5.4, 9.2]
    assert curve.shares == pytest.approx([0.875, 0.7, 0.525, 0.2625])
    assert [curve.quantile(q) for q in (0.25, 0.5, 0.75)] == [3.1, 9.2, None]


def test_an_experiment_censored_at_the_time_of_an_answer_is_still_counted_as_waiting() -> None:
    curve = kaplan_meier(REMISSIONS_ENDED, REMISSIONS_CENSORED)
    printed = {5.9: 1, 6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448, 40: 0.448}
    assert {time: curve.after(time) for time in printed} == pytest.approx(printed, abs=0.0005)
    assert [curve.quantile(q) for q in QUANTILES] == [23, None, None]


def test_answers_at_the_same_time_lower_the_survival_curve_in_one_step() -> None:
    curve = kaplan_meier([3, 3, 3, 8], [3, 5])
    assert [curve.after(time) for time in (2.9, 3, 7.9, 8)] == pytest.approx([1, 0.5, 0.5, 0])
    assert [curve.quantile(q) for q in QUANTILES] == [3, 8, 8]


def test_the_survival_curve_stays_at_one_when_all_experiments_are_censored() -> None:
    curve = kaplan_meier([], [1, 2, 3])
    assert curve.after(TEN_YEARS) == 1
    assert [curve.quantile(q) for q in QUANTILES] == [None, None, None]


def test_the_survival_curve_stays_at_one_for_an_empty_sample() -> None:
    assert kaplan_meier([], []) == Survival([], [])
    assert kaplan_meier([], []).after(0) == 1


def test_a_single_answer_lowers_the_survival_curve_to_zero() -> None:
    curve = kaplan_meier([5], [])
    assert [curve.after(time) for time in (0, 4.999999, 5, 6)] == [1, 1, 0, 0]
    assert [curve.quantile(q) for q in QUANTILES] == [5, 5, 5]


def test_an_answer_at_the_moment_of_the_idea_lowers_the_survival_curve_from_the_beginning() -> None:
    assert kaplan_meier([0, 4], []).after(0) == 0.5


def test_a_survival_quantile_exists_if_its_share_is_reached_exactly() -> None:
    three_of_four = kaplan_meier([1, 2, 3], [9])
    assert three_of_four.quantile(0.75) == 3
    assert three_of_four.quantile(0.750001) is None


@pytest.mark.parametrize("q", QUANTILES)
@pytest.mark.parametrize("experiments", [20, 60, 140, 1000, 100_000])
def test_a_survival_quantile_exists_if_its_share_is_reached_exactly_despite_rounding_errors(
    experiments: int, q: float
) -> None:
    enough = round(experiments * q)
    assert kaplan_meier(range(1, enough + 1), [experiments] * (experiments - enough)).quantile(q) == enough
    assert kaplan_meier(range(1, enough), [experiments] * (experiments - enough + 1)).quantile(q) is None


@given(samples)
def test_the_survival_curve_without_censoring_is_the_share_of_longer_durations(answered: list[float]) -> None:
    curve = kaplan_meier(answered, [])
    for time in answered:
        assert curve.after(time) == pytest.approx(sum(other > time for other in answered) / len(answered), abs=1e-9)


@given(samples, samples)
def test_the_survival_curve_falls_from_one_towards_zero(answered: list[float], censored: list[float]) -> None:
    curve = kaplan_meier(answered, censored)
    levels = [1.0, *(curve.after(time) for time in sorted(answered))]
    assert all(later <= earlier for earlier, later in pairwise(levels))
    assert 0 <= levels[-1] < 1


@given(samples, samples)
def test_a_survival_quantile_is_the_first_time_at_which_the_curve_has_fallen_to_one_minus_the_quantile(
    answered: list[float], censored: list[float]
) -> None:
    curve = kaplan_meier(answered, censored)
    for q in QUANTILES:
        low = [time for time in answered if curve.after(time) <= 1 - q + 1e-9]
        assert curve.quantile(q) == min(low, default=None)


@given(samples, st.lists(seconds, max_size=40), seconds)
def test_another_censored_experiment_never_raises_the_share_of_answers(
    answered: list[float], censored: list[float], watched: float
) -> None:
    curve, more = kaplan_meier(answered, censored), kaplan_meier(answered, [*censored, watched])
    assert all(more.after(time) >= curve.after(time) - 1e-9 for time in answered)


@given(samples, samples)
def test_the_order_of_the_sample_does_not_matter(answered: list[float], censored: list[float]) -> None:
    assert kaplan_meier(answered, censored) == kaplan_meier(sorted(answered), sorted(censored, reverse=True))

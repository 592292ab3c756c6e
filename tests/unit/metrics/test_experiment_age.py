"""`loopgauge_experiment_age_seconds`: a gauge histogram of the ages of open loops."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

import pytest
from prometheus_client.samples import Sample

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.open_loops import experiment_age_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)
HOUR, DAY = 3600, 86400
BOUNDS = [HOUR, 4 * HOUR, DAY, *(DAY * days for days in (3, 7, 14, 30, 60, 90, 180, 365)), inf]


def aged(seconds: float, team: str = "search") -> Experiment:
    """An open experiment whose idea was so long ago."""
    return experiment(idea_at=NOW - timedelta(seconds=seconds), team=team)


def samples(*experiments: Experiment, now: datetime = NOW, max_teams: int = 200) -> list[Sample]:
    (family,) = families(View.of(experiments, terms("7d", max_teams=max_teams), now))
    return list(family.samples)


def buckets(*experiments: Experiment) -> list[tuple[float, float]]:
    """The cumulative count below each bound, for the team that is the only one."""
    return [
        (float(sample.labels["le"]), sample.value)
        for sample in samples(*experiments)
        if sample.name == "loopgauge_experiment_age_seconds_bucket"
    ]


def by_team(name: str, several: list[Sample]) -> dict[str, float]:
    """The values of `gsum` or `gcount`."""
    return {
        sample.labels["team"]: sample.value
        for sample in several
        if sample.name == f"loopgauge_experiment_age_seconds_{name}"
    }


def test_it_is_a_gauge_histogram_with_a_description() -> None:
    (family,) = families(View.of((), terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_experiment_age_seconds", "gaugehistogram")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert samples() == []


@pytest.mark.parametrize("outcome", [Outcome.WORKED, Outcome.ABANDONED])
def test_a_team_without_an_open_loop_has_empty_buckets(outcome: Outcome) -> None:
    concluded = experiment(idea_at=at(1), concluded_at=at(2), outcome=outcome)
    assert buckets(concluded) == [(bound, 0) for bound in BOUNDS]
    assert by_team("gcount", samples(concluded)) == {"search": 0}
    assert by_team("gsum", samples(concluded)) == {"search": 0}


@pytest.mark.parametrize("bound", BOUNDS[:-1])
def test_an_age_of_just_the_bound_is_in_its_bucket(bound: float) -> None:
    assert buckets(aged(bound)) == [(other, int(other >= bound)) for other in BOUNDS]


@pytest.mark.parametrize(("bound", "next_bound"), list(pairwise(BOUNDS)))
def test_an_age_beyond_the_bound_is_in_the_next_bucket(bound: float, next_bound: float) -> None:
    assert buckets(aged(bound + 0.001)) == [(other, int(other >= next_bound)) for other in BOUNDS]


def test_an_idea_of_this_very_moment_has_no_age() -> None:
    assert buckets(aged(0)) == [(bound, 1) for bound in BOUNDS]


def test_buckets_are_cumulative_and_the_sum_is_exact_whatever_the_order() -> None:
    several = [aged(10 * DAY), aged(0.5), aged(2 * HOUR), aged(400 * DAY), aged(DAY)]
    assert [count for _, count in buckets(*several)] == [1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]
    assert by_team("gsum", samples(*several)) == {"search": 411 * DAY + 2 * HOUR + 0.5}


def test_running_loops_are_as_open_as_proposed_ones_and_their_age_begins_with_the_idea() -> None:
    running = experiment(idea_at=at(10), started_at=at(19), first_signal_at=at(19), shared_at=at(19))
    assert by_team("gsum", samples(running)) == {"search": 10 * DAY}


@pytest.mark.parametrize(
    ("idea_at", "now"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00"),  # Europe, noon to noon
        ("2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00"),  # the US
    ],
)
def test_a_day_on_which_the_clocks_went_forward_has_23_hours(idea_at: str, now: str) -> None:
    proposed = experiment(idea_at=datetime.fromisoformat(idea_at).astimezone(UTC))
    several = samples(proposed, now=datetime.fromisoformat(now).astimezone(UTC))
    assert by_team("gsum", several) == {"search": 23 * HOUR}


def test_each_team_has_a_histogram_of_its_own_and_the_organisation_has_none() -> None:
    several = samples(aged(60, "ads"), aged(60, "ads"), aged(30, ""), aged(10, "late"), max_teams=1)
    assert by_team("gcount", several) == {"ads": 2, "_none": 1, "_other": 1}
    assert by_team("gsum", several) == {"ads": 120, "_none": 30, "_other": 10}


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert samples(aged(-1)) == []
    assert samples(experiment(idea_at=at(1), concluded_at=at(21))) == []


def test_a_loop_that_was_opened_again_has_the_age_of_its_idea() -> None:
    closed = experiment(idea_at=at(10), concluded_at=at(15))
    opened_again = experiment(idea_at=at(10))
    assert by_team("gsum", samples(closed)) == {"search": 0}
    assert by_team("gsum", samples(opened_again)) == {"search": 10 * DAY}


@pytest.mark.parametrize(
    ("idea_at", "now"),
    [
        ("2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00"),  # Europe, noon to noon
        ("2026-10-31T12:00:00-04:00", "2026-11-01T12:00:00-05:00"),  # the US
    ],
)
def test_a_day_on_which_the_clocks_went_back_has_25_hours(idea_at: str, now: str) -> None:
    proposed = experiment(idea_at=datetime.fromisoformat(idea_at).astimezone(UTC))
    several = samples(proposed, now=datetime.fromisoformat(now).astimezone(UTC))
    assert by_team("gsum", several) == {"search": 25 * HOUR}


def test_a_team_that_is_renamed_takes_its_ages_along() -> None:
    assert by_team("gsum", samples(aged(60, "search"), aged(30, "search"))) == {"search": 90}
    assert by_team("gsum", samples(aged(60, "discovery"), aged(30, "discovery"))) == {"discovery": 90}


def test_an_idea_that_turns_out_to_be_older_makes_the_loop_older() -> None:
    assert by_team("gsum", samples(aged(2 * DAY))) == {"search": 2 * DAY}
    assert by_team("gsum", samples(aged(9 * DAY))) == {"search": 9 * DAY}

"""`loopgauge_stage_samples`: on how many experiments the quantiles of stages rest."""

from dataclasses import replace
from datetime import datetime

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import stage_samples as families
from service.metrics.terms import Terms
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)
WEEK = terms("7d")


def samples(*experiments: Experiment, on: Terms = WEEK) -> dict[tuple[str, str, str], float]:
    """The figure by team, stage and window."""
    (family,) = families(View.of(experiments, on, NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_stage_samples"}
    return {
        (sample.labels["team"], sample.labels["stage"], sample.labels["window"]): sample.value
        for sample in family.samples
    }


def known(*experiments: Experiment, on: Terms = WEEK) -> dict[tuple[str, str, str], float]:
    """The figure where it is not zero."""
    return {row: count for row, count in samples(*experiments, on=on).items() if count}


def answered(day: int = 15, time: str = "09:00:00", team: str = "search") -> Experiment:
    """An experiment that knows no stage but that from idea to answer."""
    return experiment(idea_at=at(1), team=team, concluded_at=at(day, time))


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), WEEK, NOW))
    assert (family.name, family.type) == ("loopgauge_stage_samples", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert samples() == {}


def test_every_stage_has_a_row_for_a_team_without_answers_and_none_for_the_organisation() -> None:
    assert samples(experiment(idea_at=at(1))) == {
        ("search", "idea_to_answer", "7d"): 0,
        ("search", "idea_to_start", "7d"): 0,
        ("search", "start_to_signal", "7d"): 0,
        ("search", "signal_to_answer", "7d"): 0,
        ("search", "answer_to_shared", "7d"): 0,
        ("search", "signal_to_shipped", "7d"): 0,
    }


def test_each_stage_counts_the_loops_that_know_it() -> None:
    started = replace(answered(), started_at=at(2))
    signalled = replace(started, first_signal_at=at(3))
    shared = replace(signalled, shared_at=at(16))
    shipped = replace(shared, shipped_at=at(4))
    assert known(answered(), started, signalled, shared, shipped) == {
        ("search", "idea_to_answer", "7d"): 5,
        ("search", "idea_to_start", "7d"): 4,
        ("search", "start_to_signal", "7d"): 3,
        ("search", "signal_to_answer", "7d"): 3,
        ("search", "answer_to_shared", "7d"): 2,
        ("search", "signal_to_shipped", "7d"): 1,
    }


def test_a_negative_stage_is_not_counted() -> None:
    slipped = experiment(idea_at=at(16), started_at=at(14), concluded_at=at(18))
    assert known(slipped) == {("search", "idea_to_answer", "7d"): 1}


def test_what_is_open_or_abandoned_is_not_counted() -> None:
    still_open = experiment(idea_at=at(14), started_at=at(15))
    given_up = experiment(idea_at=at(14), started_at=at(15), concluded_at=at(16), outcome=Outcome.ABANDONED)
    assert known(still_open, given_up) == {}


@pytest.mark.parametrize(
    ("day", "time", "count"), [(13, "08:59:59", 0), (13, "09:00:00", 1), (20, "08:59:59", 1), (20, "09:00:00", 0)]
)
def test_an_answer_counts_from_the_beginning_of_the_window_to_before_its_end(day: int, time: str, count: int) -> None:
    assert samples(answered(day, time))["search", "idea_to_answer", "7d"] == count


def test_an_answer_counts_in_each_window_that_holds_it() -> None:
    assert known(answered(5), answered(15), on=terms("7d", "30d")) == {
        ("search", "idea_to_answer", "7d"): 1,
        ("search", "idea_to_answer", "30d"): 2,
    }


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert samples(replace(answered(), shared_at=at(21))) == {}


def test_loops_are_counted_by_team() -> None:
    several = (answered(team="ads"), answered(team="ads"), answered(team=""), answered(team="search"))
    assert known(*several, on=terms("7d", max_teams=1)) == {
        ("ads", "idea_to_answer", "7d"): 2,
        ("_none", "idea_to_answer", "7d"): 1,
        ("_other", "idea_to_answer", "7d"): 1,
    }


@pytest.mark.parametrize(("reopened", "count"), [(False, 1), (True, 0)])
def test_a_loop_that_is_opened_again_is_not_counted(count: int, *, reopened: bool) -> None:
    concluded_at: datetime | None = None if reopened else at(15)
    loop = experiment(idea_at=at(1), concluded_at=concluded_at)
    assert samples(loop)["search", "idea_to_answer", "7d"] == count


def test_a_team_that_is_renamed_takes_its_count_along() -> None:
    assert known(answered(team="search")) == {("search", "idea_to_answer", "7d"): 1}
    assert known(answered(team="discovery")) == {("discovery", "idea_to_answer", "7d"): 1}

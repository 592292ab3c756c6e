"""`loopgauge_experiments_concluded`: loops closed in each window, by outcome."""

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.experiments_concluded import families
from service.metrics.view import View
from tests.builders import at, experiment, terms

NOW = at(20)
WEEK, MONTH = "7d", "30d"


def concluded(*experiments: Experiment, windows: tuple[str, ...] = (WEEK,)) -> dict[tuple[str, str, str], float]:
    """The figure by team, outcome and window."""
    (family,) = families(View.of(experiments, terms(*windows)), NOW)
    assert {sample.name for sample in family.samples} <= {"loopgauge_experiments_concluded"}
    return {
        (sample.labels["team"], sample.labels["outcome"], sample.labels["window"]): sample.value
        for sample in family.samples
    }


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(WEEK)), NOW)
    assert (family.name, family.type) == ("loopgauge_experiments_concluded", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert concluded() == {}


def test_every_outcome_has_a_row_for_a_team_that_concluded_nothing() -> None:
    assert concluded(experiment(idea_at=at(1))) == {
        ("search", "worked", "7d"): 0,
        ("search", "failed", "7d"): 0,
        ("search", "inconclusive", "7d"): 0,
        ("search", "abandoned", "7d"): 0,
        ("search", "undeclared", "7d"): 0,
    }


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_conclusion_counts_under_its_outcome_alone(outcome: Outcome) -> None:
    figure = concluded(experiment(idea_at=at(1), concluded_at=at(15), outcome=outcome))
    assert {row for row, count in figure.items() if count} == {("search", outcome.value, "7d")}
    assert sum(figure.values()) == 1


def test_a_conclusion_counts_in_each_window_that_holds_it() -> None:
    figure = concluded(
        experiment(idea_at=at(1), concluded_at=at(15), outcome=Outcome.WORKED),
        experiment(idea_at=at(1), concluded_at=at(5), outcome=Outcome.WORKED),
        windows=(WEEK, MONTH),
    )
    assert figure["search", "worked", "7d"] == 1
    assert figure["search", "worked", "30d"] == 2


def test_a_conclusion_counts_from_the_beginning_of_the_window_to_before_its_end() -> None:
    figure = concluded(
        experiment(idea_at=at(1), concluded_at=at(13, "08:59:59"), outcome=Outcome.FAILED),
        experiment(idea_at=at(1), concluded_at=at(13), outcome=Outcome.WORKED),
        experiment(idea_at=at(1), concluded_at=NOW, outcome=Outcome.INCONCLUSIVE),
    )
    assert {row for row, count in figure.items() if count} == {("search", "worked", "7d")}


def test_conclusions_are_counted_by_team() -> None:
    figure = concluded(
        experiment(idea_at=at(1), team="ads", concluded_at=at(15)),
        experiment(idea_at=at(1), team="ads", concluded_at=at(16)),
        experiment(idea_at=at(1), team="", concluded_at=at(16)),
        experiment(idea_at=at(1), team="search"),
    )
    assert [figure[team, "undeclared", "7d"] for team in ("ads", "_none", "search")] == [2, 1, 0]
    assert len(figure) == 15


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert concluded(experiment(idea_at=at(1), concluded_at=at(15), shared_at=at(21))) == {}

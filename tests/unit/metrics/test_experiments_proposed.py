"""`loopgauge_experiments_proposed`: ideas in each window, by risk."""

from datetime import datetime, timedelta

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome, Risk
from service.metrics.risk import experiments_proposed as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)


def proposed(*experiments: Experiment, windows: tuple[str, ...] = ("7d",), max_teams: int = 200) -> Rows:
    """The figure by team, risk and window."""
    return rows(families, experiments, terms(*windows, max_teams=max_teams), NOW)


def counted(figure: Rows) -> Rows:
    """The rows that are not zero."""
    return {row: count for row, count in figure.items() if count}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([experiment(idea_at=at(1))], terms("7d"), NOW))
    assert (family.name, family.type) == ("loopgauge_experiments_proposed", "gauge")
    assert family.samples[0].labels == {"team": "search", "risk": "bold", "window": "7d"}
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert proposed() == {}


def test_every_risk_has_a_row_for_a_team_without_an_idea_in_the_window() -> None:
    assert proposed(experiment(idea_at=at(1))) == {
        ("search", "bold", "7d"): 0,
        ("search", "safe", "7d"): 0,
        ("search", "undeclared", "7d"): 0,
    }


@pytest.mark.parametrize(("risk", "label"), [(Risk.BOLD, "bold"), (Risk.SAFE, "safe"), (None, "undeclared")])
def test_an_idea_counts_under_its_risk_alone(risk: Risk | None, label: str) -> None:
    assert counted(proposed(experiment(idea_at=at(15), risk=risk))) == {("search", label, "7d"): 1}


@pytest.mark.parametrize(
    ("idea_at", "count"), [(at(13) - A_MICROSECOND, 0), (at(13), 1), (NOW - A_MICROSECOND, 1), (NOW, 0)]
)
def test_an_idea_counts_from_the_beginning_of_the_window_to_before_its_end(idea_at: datetime, count: int) -> None:
    assert proposed(experiment(idea_at=idea_at, risk=Risk.SAFE))["search", "safe", "7d"] == count


def test_an_idea_counts_in_each_window_that_holds_it() -> None:
    several = [experiment(idea_at=at(15), risk=Risk.BOLD), experiment(idea_at=at(5), risk=Risk.BOLD)]
    assert counted(proposed(*several, windows=("7d", "30d"))) == {
        ("search", "bold", "7d"): 1,
        ("search", "bold", "30d"): 2,
    }


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_an_idea_counts_whatever_came_of_it(outcome: Outcome | None) -> None:
    concluded_at = at(16) if outcome else None
    idea = experiment(idea_at=at(15), risk=Risk.BOLD, concluded_at=concluded_at, outcome=outcome)
    assert counted(proposed(idea)) == {("search", "bold", "7d"): 1}


def test_a_conclusion_in_the_window_does_not_bring_an_older_idea_into_it() -> None:
    assert counted(proposed(experiment(idea_at=at(1), concluded_at=at(15)))) == {}


def test_ideas_are_counted_by_team_and_not_for_the_organisation() -> None:
    several = [
        experiment(idea_at=at(14), team="ads", risk=Risk.BOLD),
        experiment(idea_at=at(15), team="ads", risk=Risk.SAFE),
        experiment(idea_at=at(15), team="b", risk=Risk.BOLD),
        experiment(idea_at=at(15), team="c", risk=Risk.BOLD),
        experiment(idea_at=at(15), team=""),
    ]
    assert counted(proposed(*several, max_teams=1)) == {
        ("ads", "bold", "7d"): 1,
        ("ads", "safe", "7d"): 1,
        ("_other", "bold", "7d"): 2,
        ("_none", "undeclared", "7d"): 1,
    }


def test_an_experiment_with_an_instant_in_the_future_is_not_counted() -> None:
    assert proposed(experiment(idea_at=at(15), started_at=at(21))) == {}


def test_a_risk_that_is_declared_later_leaves_nothing_undeclared() -> None:
    assert counted(proposed(experiment(idea_at=at(15)))) == {("search", "undeclared", "7d"): 1}
    assert counted(proposed(experiment(idea_at=at(15), risk=Risk.BOLD))) == {("search", "bold", "7d"): 1}


def test_an_idea_that_turns_out_to_be_older_leaves_the_window() -> None:
    assert counted(proposed(experiment(idea_at=at(13)))) == {("search", "undeclared", "7d"): 1}
    assert counted(proposed(experiment(idea_at=at(12)))) == {}


def test_a_team_that_is_renamed_takes_its_ideas_along() -> None:
    renamed = proposed(experiment(idea_at=at(15), team="discovery"))
    assert renamed == {
        ("discovery", "bold", "7d"): 0,
        ("discovery", "safe", "7d"): 0,
        ("discovery", "undeclared", "7d"): 1,
    }

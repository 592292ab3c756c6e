"""`loopgauge_experiments_in_flight`: open loops by how far they have come."""

from service.lifecycle.experiment import Experiment
from service.metrics.open_loops import experiments_in_flight as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)


def in_flight(*experiments: Experiment) -> dict[tuple[str, str], float]:
    """The figure by team and stage."""
    (family,) = families(View.of(experiments, terms(), NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_experiments_in_flight"}
    return {(sample.labels["team"], sample.labels["stage"]): sample.value for sample in family.samples}


def counted(*experiments: Experiment) -> dict[tuple[str, str], float]:
    """The rows that are not zero."""
    return {row: count for row, count in in_flight(*experiments).items() if count}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_experiments_in_flight", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert in_flight() == {}


def test_an_idea_without_a_start_is_proposed() -> None:
    assert in_flight(experiment(idea_at=at(1))) == {("search", "proposed"): 1, ("search", "running"): 0}


def test_a_loop_that_was_started_is_running() -> None:
    assert in_flight(experiment(idea_at=at(1), started_at=at(2))) == {
        ("search", "proposed"): 0,
        ("search", "running"): 1,
    }


def test_a_concluded_loop_leaves_zeros_behind() -> None:
    assert in_flight(experiment(idea_at=at(1), started_at=at(2), concluded_at=at(3))) == {
        ("search", "proposed"): 0,
        ("search", "running"): 0,
    }


def test_a_loop_that_is_concluded_at_this_very_moment_is_no_longer_in_flight() -> None:
    assert in_flight(experiment(idea_at=at(1), started_at=at(2), concluded_at=NOW))["search", "running"] == 0


def test_each_team_has_its_own_rows_and_so_have_those_without_one() -> None:
    figure = in_flight(
        experiment(idea_at=at(1), team="ads"),
        experiment(idea_at=at(1), team="ads"),
        experiment(idea_at=at(1), team="search", started_at=at(2)),
        experiment(idea_at=at(1), team=""),
    )
    assert figure == {
        ("_none", "proposed"): 1,
        ("_none", "running"): 0,
        ("ads", "proposed"): 2,
        ("ads", "running"): 0,
        ("search", "proposed"): 0,
        ("search", "running"): 1,
    }


def test_a_loop_with_an_instant_in_the_future_is_not_counted() -> None:
    assert in_flight(
        experiment(idea_at=at(1)), experiment(idea_at=at(21)), experiment(idea_at=at(1), shared_at=at(21))
    ) == {
        ("search", "proposed"): 1,
        ("search", "running"): 0,
    }


def test_a_start_that_is_heard_of_later_moves_the_loop_from_proposed_to_running() -> None:
    assert counted(experiment(idea_at=at(1))) == {("search", "proposed"): 1}
    assert counted(experiment(idea_at=at(1), started_at=at(2))) == {("search", "running"): 1}


def test_a_loop_that_is_opened_again_is_in_flight_as_far_as_it_had_come() -> None:
    assert counted(experiment(idea_at=at(1), started_at=at(2), concluded_at=at(3))) == {}
    assert counted(experiment(idea_at=at(1), started_at=at(2), last_activity_at=at(4))) == {("search", "running"): 1}
    assert counted(experiment(idea_at=at(1), last_activity_at=at(4))) == {("search", "proposed"): 1}


def test_a_team_that_is_renamed_takes_its_open_loops_along() -> None:
    assert in_flight(experiment(idea_at=at(1), team="discovery")) == {
        ("discovery", "proposed"): 1,
        ("discovery", "running"): 0,
    }

"""`loopgauge_experiments_concluded`: loops closed in each window, by outcome."""

from datetime import UTC, datetime

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.outcomes import experiments_concluded as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)
WEEK, MONTH = "7d", "30d"


def concluded(
    *experiments: Experiment, windows: tuple[str, ...] = (WEEK,), now: datetime = NOW
) -> dict[tuple[str, str, str], float]:
    """The figure by team, outcome and window."""
    (family,) = families(View.of(experiments, terms(*windows), now))
    assert {sample.name for sample in family.samples} <= {"loopgauge_experiments_concluded"}
    return {
        (sample.labels["team"], sample.labels["outcome"], sample.labels["window"]): sample.value
        for sample in family.samples
    }


def counted(*experiments: Experiment) -> dict[tuple[str, str, str], float]:
    """The rows that are not zero."""
    return {row: count for row, count in concluded(*experiments).items() if count}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(WEEK), NOW))
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


@pytest.mark.parametrize(
    ("concluded_at", "now", "count"),
    [
        # Noon after the clocks went forward is seven days of 24 hours after eleven.
        ("2026-03-26T11:00:00+01:00", "2026-04-02T12:00:00+02:00", 1),
        ("2026-03-26T10:59:59.999999+01:00", "2026-04-02T12:00:00+02:00", 0),
        # Noon after they went back is as long after one.
        ("2026-10-22T13:00:00+02:00", "2026-10-29T12:00:00+01:00", 1),
        ("2026-10-22T12:59:59.999999+02:00", "2026-10-29T12:00:00+01:00", 0),
    ],
)
def test_a_window_over_a_change_of_the_clocks_has_as_many_hours_as_any(concluded_at: str, now: str, count: int) -> None:
    when = datetime.fromisoformat(concluded_at).astimezone(UTC)
    loop = experiment(idea_at=at(1), concluded_at=when, outcome=Outcome.WORKED)
    figure = concluded(loop, now=datetime.fromisoformat(now).astimezone(UTC))
    assert figure["search", "worked", "7d"] == count


def test_an_outcome_that_is_corrected_leaves_nothing_of_the_one_before() -> None:
    assert counted(experiment(idea_at=at(1), concluded_at=at(15))) == {("search", "undeclared", "7d"): 1}
    corrected = experiment(idea_at=at(1), concluded_at=at(15), outcome=Outcome.FAILED)
    assert counted(corrected) == {("search", "failed", "7d"): 1}


def test_a_loop_that_is_opened_again_leaves_zeros_behind() -> None:
    assert counted(experiment(idea_at=at(1), concluded_at=at(15))) == {("search", "undeclared", "7d"): 1}
    opened_again = concluded(experiment(idea_at=at(1), last_activity_at=at(16)))
    assert len(opened_again) == len(Outcome)
    assert set(opened_again.values()) == {0}


def test_a_conclusion_that_turns_out_to_be_older_leaves_the_window() -> None:
    assert counted(experiment(idea_at=at(1), concluded_at=at(13))) == {("search", "undeclared", "7d"): 1}
    assert counted(experiment(idea_at=at(1), concluded_at=at(12))) == {}


def test_a_team_that_is_renamed_takes_its_conclusions_along() -> None:
    renamed = concluded(experiment(idea_at=at(1), concluded_at=at(15), team="discovery"))
    assert {team for team, _, _ in renamed} == {"discovery"}
    assert renamed["discovery", "undeclared", "7d"] == 1

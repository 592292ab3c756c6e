"""`loopgauge_failures`: failed experiments in each window, by Edmondson's category."""

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.outcomes import failures as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)
WEEK, MONTH = "7d", "30d"


def failures(*experiments: Experiment, windows: tuple[str, ...] = (WEEK,)) -> dict[tuple[str, str, str], float]:
    """The figure by team, category and window."""
    (family,) = families(View.of(experiments, terms(*windows), NOW))
    assert {sample.name for sample in family.samples} <= {"loopgauge_failures"}
    return {
        (sample.labels["team"], sample.labels["category"], sample.labels["window"]): sample.value
        for sample in family.samples
    }


def failed(category: FailureCategory, day: int = 15, time: str = "09:00:00", team: str = "search") -> Experiment:
    return experiment(
        idea_at=at(1), team=team, concluded_at=at(day, time), outcome=Outcome.FAILED, failure_category=category
    )


def counted(*experiments: Experiment) -> dict[tuple[str, str, str], float]:
    """The rows that are not zero."""
    return {row: count for row, count in failures(*experiments).items() if count}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(WEEK), NOW))
    assert (family.name, family.type) == ("loopgauge_failures", "gauge")
    assert family.documentation


def test_without_experiments_there_is_no_row() -> None:
    assert failures() == {}


def test_every_category_has_a_row_for_a_team_without_failures() -> None:
    assert failures(experiment(idea_at=at(1))) == {
        ("search", "intelligent", "7d"): 0,
        ("search", "basic", "7d"): 0,
        ("search", "complex", "7d"): 0,
        ("search", "unclassified", "7d"): 0,
    }


@pytest.mark.parametrize("category", list(FailureCategory))
def test_a_failure_counts_under_its_category_alone(category: FailureCategory) -> None:
    figure = failures(failed(category))
    assert {row for row, count in figure.items() if count} == {("search", category.value, "7d")}
    assert sum(figure.values()) == 1


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAILED])
def test_a_conclusion_of_another_outcome_is_no_failure(outcome: Outcome) -> None:
    figure = failures(experiment(idea_at=at(1), concluded_at=at(15), outcome=outcome))
    assert set(figure.values()) == {0}


def test_a_failure_counts_in_each_window_that_holds_it() -> None:
    figure = failures(failed(FailureCategory.BASIC, 15), failed(FailureCategory.BASIC, 5), windows=(WEEK, MONTH))
    assert figure["search", "basic", "7d"] == 1
    assert figure["search", "basic", "30d"] == 2


def test_a_failure_counts_from_the_beginning_of_the_window_to_before_its_end() -> None:
    figure = failures(
        failed(FailureCategory.BASIC, 13, "08:59:59"),
        failed(FailureCategory.COMPLEX, 13),
        failed(FailureCategory.INTELLIGENT, 20),
    )
    assert {row for row, count in figure.items() if count} == {("search", "complex", "7d")}


def test_failures_are_counted_by_team() -> None:
    figure = failures(
        failed(FailureCategory.BASIC, team="ads"),
        failed(FailureCategory.BASIC, team="ads"),
        failed(FailureCategory.BASIC, team=""),
        experiment(idea_at=at(1), team="search"),
    )
    assert [figure[team, "basic", "7d"] for team in ("ads", "_none", "search")] == [2, 1, 0]
    assert len(figure) == 12


def test_a_failure_with_an_instant_in_the_future_is_not_counted() -> None:
    assert failures(failed(FailureCategory.BASIC, 21)) == {}


def test_a_failure_that_is_classified_later_leaves_nothing_unclassified() -> None:
    assert counted(failed(FailureCategory.UNCLASSIFIED)) == {("search", "unclassified", "7d"): 1}
    assert counted(failed(FailureCategory.INTELLIGENT)) == {("search", "intelligent", "7d"): 1}


def test_a_failure_that_turns_out_to_have_worked_leaves_nothing_behind() -> None:
    assert counted(failed(FailureCategory.BASIC)) == {("search", "basic", "7d"): 1}
    assert counted(experiment(idea_at=at(1), concluded_at=at(15), outcome=Outcome.WORKED)) == {}


def test_a_failure_that_is_opened_again_leaves_nothing_behind() -> None:
    assert counted(failed(FailureCategory.BASIC)) == {("search", "basic", "7d"): 1}
    assert counted(experiment(idea_at=at(1), last_activity_at=at(16))) == {}


def test_a_team_that_is_renamed_takes_its_failures_along() -> None:
    renamed = failures(failed(FailureCategory.BASIC, team="discovery"))
    assert {team for team, _, _ in renamed} == {"discovery"}
    assert renamed["discovery", "basic", "7d"] == 1

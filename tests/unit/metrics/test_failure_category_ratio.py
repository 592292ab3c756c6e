"""`loopgauge_failure_category_ratio`: failures of each of Edmondson's categories over the loops answered."""

from datetime import datetime

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.outcomes import failure_category_ratio as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW, WEDNESDAY = at(20), at(18)


def ended(outcome: Outcome, concluded_at: datetime = WEDNESDAY, team: str = "search") -> Experiment:
    return experiment(idea_at=at(1), team=team, concluded_at=concluded_at, outcome=outcome)


def failed(category: FailureCategory, concluded_at: datetime = WEDNESDAY, team: str = "search") -> Experiment:
    return experiment(
        idea_at=at(1), team=team, concluded_at=concluded_at, outcome=Outcome.FAILED, failure_category=category
    )


WORKED, BASIC = ended(Outcome.WORKED), failed(FailureCategory.BASIC)


def ratio(
    *experiments: Experiment, windows: tuple[str, ...] = ("7d",), min_sample: int = 5, max_teams: int = 200
) -> Rows:
    """The figure by team, category and window."""
    return rows(families, experiments, terms(*windows, min_sample=min_sample, max_teams=max_teams), NOW)


def of_team(team: str, figure: Rows) -> dict[str, float]:
    """A team's figure by category in the window of a week."""
    return {category: share for (row, category, window), share in figure.items() if (row, window) == (team, "7d")}


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([BASIC], terms("7d", min_sample=1), NOW))
    assert (family.name, family.type) == ("loopgauge_failure_category_ratio", "gauge")
    assert family.samples[0].labels == {"team": "search", "category": "intelligent", "window": "7d"}
    assert family.documentation


def test_without_experiments_there_is_no_row_even_where_one_would_be_enough() -> None:
    assert ratio(min_sample=1) == {}


def test_it_is_the_share_of_those_answered_that_failed_in_each_way() -> None:
    several = [
        *[failed(FailureCategory.INTELLIGENT)] * 3,
        *[BASIC] * 2,
        failed(FailureCategory.COMPLEX),
        failed(FailureCategory.UNCLASSIFIED),
        WORKED,
        ended(Outcome.INCONCLUSIVE),
        ended(Outcome.UNDECLARED),
    ]
    shares = {"intelligent": 0.3, "basic": 0.2, "complex": 0.1, "unclassified": 0.1}
    assert of_team("search", ratio(*several)) == shares
    assert of_team("_org", ratio(*several)) == shares


def test_where_nothing_failed_every_category_is_zero() -> None:
    assert of_team("search", ratio(*[WORKED] * 5)) == {"intelligent": 0, "basic": 0, "complex": 0, "unclassified": 0}


def test_where_all_failed_in_one_way_that_category_is_one() -> None:
    assert of_team("search", ratio(*[BASIC] * 5)) == {"intelligent": 0, "basic": 1, "complex": 0, "unclassified": 0}


@pytest.mark.parametrize(("answered", "told"), [(4, False), (5, True)])
def test_it_is_told_from_the_minimum_sample_of_answers_on(answered: int, *, told: bool) -> None:
    assert bool(ratio(*[BASIC] * answered)) is told


def test_the_sample_is_those_answered_however_few_of_them_failed() -> None:
    assert of_team("search", ratio(BASIC, *[WORKED] * 4))["basic"] == 0.2


@pytest.mark.parametrize(
    "unanswered", [ended(Outcome.ABANDONED), experiment(idea_at=at(1)), experiment(idea_at=at(1), started_at=at(2))]
)
def test_abandoned_and_open_loops_count_neither_in_the_sample_nor_in_the_share(unanswered: Experiment) -> None:
    assert ratio(*[BASIC] * 4, *[unanswered] * 6) == {}
    assert of_team("search", ratio(*[BASIC] * 4, WORKED, *[unanswered] * 6))["basic"] == 0.8


def test_the_organisation_may_have_enough_where_its_teams_have_not() -> None:
    several = [failed(FailureCategory.BASIC, team=team) for team in ("ads", "ads", "")]
    figure = ratio(*several, *[WORKED] * 2)
    assert {team for team, _, _ in figure} == {"_org"}
    assert of_team("_org", figure)["basic"] == 0.6


def test_each_team_has_rows_of_its_own_and_the_organisations_is_no_mean_of_them() -> None:
    several = [failed(FailureCategory.BASIC, team="ads")] * 2 + [ended(Outcome.WORKED, team="b")] * 2
    folded = [failed(FailureCategory.BASIC, team="c")] * 2 + [ended(Outcome.WORKED, team="")] * 4
    figure = ratio(*several, *folded, min_sample=2, max_teams=1)
    basic = {team: share for (team, category, _), share in figure.items() if category == "basic"}
    assert basic == {"ads": 1, "_other": 0.5, "_none": 0, "_org": 0.4}


def test_an_answer_counts_from_the_beginning_of_the_window_to_before_its_end() -> None:
    several = [
        failed(FailureCategory.BASIC, at(13, "08:59:59")),
        failed(FailureCategory.COMPLEX, at(13)),
        failed(FailureCategory.INTELLIGENT, at(19, "23:59:59")),
        failed(FailureCategory.BASIC, NOW),
    ]
    shares = {"intelligent": 0.5, "basic": 0, "complex": 0.5, "unclassified": 0}
    assert of_team("search", ratio(*several, min_sample=2)) == shares
    assert ratio(*several, min_sample=3) == {}


def test_each_window_has_a_sample_of_its_own() -> None:
    several = [*[BASIC] * 2, *[ended(Outcome.WORKED, at(2))] * 3]
    figure = ratio(*several, windows=("7d", "30d"))
    assert {window for _, _, window in figure} == {"30d"}
    assert figure["search", "basic", "30d"] == 0.4


def test_an_experiment_with_an_instant_in_the_future_is_in_neither_number() -> None:
    ahead = failed(FailureCategory.BASIC, at(21))
    assert ratio(ahead, *[WORKED] * 4) == {}
    assert of_team("search", ratio(ahead, *[WORKED] * 5))["basic"] == 0


def test_a_failure_that_is_classified_later_moves_from_unclassified_to_its_category() -> None:
    others = [WORKED] * 4
    assert of_team("search", ratio(failed(FailureCategory.UNCLASSIFIED), *others)) == {
        "intelligent": 0,
        "basic": 0,
        "complex": 0,
        "unclassified": 0.2,
    }
    assert of_team("search", ratio(failed(FailureCategory.COMPLEX), *others)) == {
        "intelligent": 0,
        "basic": 0,
        "complex": 0.2,
        "unclassified": 0,
    }


def test_a_failure_that_turns_out_to_be_abandoned_takes_the_sample_below_the_minimum() -> None:
    assert of_team("search", ratio(BASIC, *[WORKED] * 4))["basic"] == 0.2
    assert ratio(ended(Outcome.ABANDONED), *[WORKED] * 4) == {}


def test_a_team_that_is_renamed_takes_its_shares_along() -> None:
    renamed = ratio(failed(FailureCategory.BASIC, team="discovery"), *[ended(Outcome.WORKED, team="discovery")] * 4)
    assert {team for team, _, _ in renamed} == {"discovery", "_org"}
    assert of_team("discovery", renamed) == of_team("search", ratio(BASIC, *[WORKED] * 4))
    assert of_team("discovery", renamed)["basic"] == 0.2

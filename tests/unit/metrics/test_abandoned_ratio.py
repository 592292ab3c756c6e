"""`loopgauge_abandoned_ratio`: abandoned loops over those concluded."""

from datetime import datetime

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.outcomes import abandoned_ratio as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW, WEDNESDAY = at(20), at(18)


def ended(outcome: Outcome, concluded_at: datetime = WEDNESDAY, team: str = "search") -> Experiment:
    return experiment(idea_at=at(1), team=team, concluded_at=concluded_at, outcome=outcome)


ABANDONED, WORKED = ended(Outcome.ABANDONED), ended(Outcome.WORKED)


def ratio(
    *experiments: Experiment, windows: tuple[str, ...] = ("7d",), min_sample: int = 5, max_teams: int = 200
) -> Rows:
    """The figure by team and window."""
    return rows(families, experiments, terms(*windows, min_sample=min_sample, max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of([ABANDONED], terms("7d", min_sample=1), NOW))
    assert (family.name, family.type) == ("loopgauge_abandoned_ratio", "gauge")
    assert [sample.labels for sample in family.samples] == [
        {"team": "search", "window": "7d"},
        {"team": "_org", "window": "7d"},
    ]
    assert family.documentation


def test_without_experiments_there_is_no_row_even_where_one_would_be_enough() -> None:
    assert ratio(min_sample=1) == {}


def test_it_is_the_share_of_those_concluded_that_were_abandoned() -> None:
    several = [ABANDONED, WORKED, ended(Outcome.FAILED), ended(Outcome.INCONCLUSIVE), ended(Outcome.UNDECLARED)]
    assert ratio(*several) == {("search", "7d"): 0.2, ("_org", "7d"): 0.2}


def test_where_nothing_was_abandoned_it_is_zero() -> None:
    assert ratio(*[WORKED] * 5) == {("search", "7d"): 0, ("_org", "7d"): 0}


def test_where_all_was_abandoned_it_is_one() -> None:
    assert ratio(*[ABANDONED] * 5) == {("search", "7d"): 1, ("_org", "7d"): 1}


@pytest.mark.parametrize(("concluded", "told"), [(4, False), (5, True)])
def test_it_is_told_from_the_minimum_sample_on(concluded: int, *, told: bool) -> None:
    assert bool(ratio(*[ABANDONED] * concluded)) is told


def test_open_loops_do_not_count_towards_the_sample_or_the_share() -> None:
    still_open = [experiment(idea_at=at(1), team="search")] * 10
    assert ratio(*[ABANDONED] * 4, *still_open) == {}
    assert ratio(*[ABANDONED] * 4, WORKED, *still_open)["search", "7d"] == 0.8


def test_the_organisation_may_have_enough_where_its_teams_have_not() -> None:
    several = [ended(Outcome.ABANDONED, team=team) for team in ("ads", "ads", "")]
    assert ratio(*several, *[WORKED] * 2) == {("_org", "7d"): 0.6}


def test_the_organisations_is_of_all_loops_and_no_mean_of_the_teams() -> None:
    several = [ended(Outcome.ABANDONED, team="ads")] * 2 + [ended(Outcome.WORKED, team="b")] * 2
    folded = [ended(Outcome.ABANDONED, team="c")] * 2 + [ended(Outcome.WORKED, team="")] * 4
    assert ratio(*several, *folded, min_sample=2, max_teams=1) == {
        ("ads", "7d"): 1,
        ("_other", "7d"): 0.5,
        ("_none", "7d"): 0,
        ("_org", "7d"): 0.4,
    }


def test_a_conclusion_counts_from_the_beginning_of_the_window_to_before_its_end() -> None:
    several = [
        ended(Outcome.WORKED, at(13, "08:59:59")),
        ended(Outcome.ABANDONED, at(13)),
        ended(Outcome.WORKED, at(19, "23:59:59")),
        ended(Outcome.WORKED, NOW),
    ]
    assert ratio(*several, min_sample=2) == {("search", "7d"): 0.5, ("_org", "7d"): 0.5}
    assert ratio(*several, min_sample=3) == {}


def test_each_window_has_a_sample_of_its_own() -> None:
    several = [*[ABANDONED] * 2, *[ended(Outcome.WORKED, at(2))] * 3]
    assert ratio(*several, windows=("7d", "30d")) == {("search", "30d"): 0.4, ("_org", "30d"): 0.4}


def test_an_experiment_with_an_instant_in_the_future_is_in_neither_number() -> None:
    ahead = experiment(idea_at=at(1), concluded_at=at(15), outcome=Outcome.ABANDONED, shared_at=at(21))
    assert ratio(ahead, *[WORKED] * 4) == {}
    assert ratio(ahead, *[WORKED] * 5)["search", "7d"] == 0


def test_an_outcome_that_is_corrected_leaves_nothing_of_the_one_before() -> None:
    assert ratio(ABANDONED, *[WORKED] * 4)["search", "7d"] == 0.2
    assert ratio(ended(Outcome.FAILED), *[WORKED] * 4)["search", "7d"] == 0


def test_a_team_that_is_renamed_takes_its_share_along() -> None:
    before = [ended(Outcome.ABANDONED), *[ended(Outcome.WORKED)] * 4]
    assert ratio(*before) == {("search", "7d"): 0.2, ("_org", "7d"): 0.2}
    after = [ended(Outcome.ABANDONED, team="discovery"), *[ended(Outcome.WORKED, team="discovery")] * 4]
    assert ratio(*after) == {("discovery", "7d"): 0.2, ("_org", "7d"): 0.2}

"""`loopgauge_threshold_seconds`: how long a loop may take, by team."""

from collections.abc import Mapping
from datetime import timedelta

from service.lifecycle.experiment import Experiment
from service.metrics.latency import threshold_seconds as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, rows

NOW = at(20)
DAY = 86400
OWN = {"search": timedelta(days=7), "late": timedelta(hours=36)}


def thresholds(*experiments: Experiment, own: Mapping[str, timedelta] | None = None, max_teams: int = 200) -> Rows:
    """The figure by team."""
    return rows(families, experiments, terms("7d", thresholds=own, max_teams=max_teams), NOW)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_threshold_seconds", "gauge")
    assert [sample.labels for sample in family.samples] == [{"team": "_org"}]
    assert family.documentation


def test_without_experiments_there_is_the_default_alone() -> None:
    assert thresholds(own=OWN) == {("_org",): 14 * DAY}


def test_each_team_has_its_own_threshold_or_the_default() -> None:
    several = [experiment(idea_at=at(1), team=team) for team in ("search", "ads", "")]
    assert thresholds(*several, own=OWN) == {
        ("search",): 7 * DAY,
        ("ads",): 14 * DAY,
        ("_none",): 14 * DAY,
        ("_org",): 14 * DAY,
    }


def test_the_default_is_the_operators_to_say() -> None:
    figure = thresholds(experiment(idea_at=at(1), team="ads"), own={**OWN, "default": timedelta(days=21)})
    assert figure == {("ads",): 21 * DAY, ("_org",): 21 * DAY}


def test_teams_that_are_folded_together_show_the_default() -> None:
    several = [experiment(idea_at=at(1), team="search"), experiment(idea_at=at(2), team="late")]
    assert thresholds(*several, own=OWN, max_teams=1) == {
        ("search",): 7 * DAY,
        ("_other",): 14 * DAY,
        ("_org",): 14 * DAY,
    }


def test_a_team_has_its_threshold_also_where_nothing_of_it_is_open() -> None:
    concluded = experiment(idea_at=at(1), team="late", concluded_at=at(2))
    assert thresholds(concluded, own=OWN)["late",] == 1.5 * DAY


def test_a_team_whose_only_experiment_lies_in_the_future_has_no_row_yet() -> None:
    assert thresholds(experiment(idea_at=at(21), team="search"), own=OWN) == {("_org",): 14 * DAY}


def test_a_team_that_is_renamed_has_the_threshold_of_its_new_name() -> None:
    assert thresholds(experiment(idea_at=at(1), team="search"), own=OWN) == {("search",): 7 * DAY, ("_org",): 14 * DAY}
    assert thresholds(experiment(idea_at=at(1), team="late"), own=OWN) == {("late",): 1.5 * DAY, ("_org",): 14 * DAY}
    renamed = experiment(idea_at=at(1), team="discovery")
    assert thresholds(renamed, own=OWN) == {("discovery",): 14 * DAY, ("_org",): 14 * DAY}

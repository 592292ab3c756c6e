"""Every metric follows the same rules for its name, labels, rows, windows and minimum sample."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics import METRICS
from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, OTHER_TEAMS, View
from tests.support.builders import at, experiment, terms
from tests.support.drawn import portfolios
from tests.support.experiments import INSTANTS, with_instant

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)
Samples = dict[frozenset[tuple[str, str]], float]


@dataclass(frozen=True, slots=True)
class Shape:
    """The expected type, labels and rows of a metric.

    Attributes:
        labels: the names of the labels, separated by spaces.
        organisation: whether the metric has a row for `_org`. It needs one if the values of teams cannot be summed.
        absent: whether a row without experiments is absent instead of zero.
        listing: whether a row contains only some of the row's experiments, so that rows cannot be summed.
        gated: whether a row with fewer experiments than the minimum sample is absent.
    """

    labels: str
    organisation: bool = False
    absent: bool = False
    listing: bool = False
    gated: bool = False
    kind: str = "gauge"


SHAPES: Mapping[str, Shape] = {
    "experiments_in_flight": Shape("team stage"),
    "experiment_age_seconds": Shape("team", kind="gaugehistogram"),
    "experiments_overdue": Shape("team"),
    "experiments_forgotten": Shape("team"),
    "experiments_overdue_active": Shape("team"),
    "experiment_overdue_age_seconds": Shape("team experiment url", absent=True),
    "experiment_overdue_active_age_seconds": Shape("team experiment url", absent=True, listing=True),
    "experiment_forgotten_idle_seconds": Shape("team experiment url", absent=True, listing=True),
    "oldest_open_idea_timestamp_seconds": Shape("team", organisation=True, absent=True),
    "experiments_concluded": Shape("team outcome window"),
    "experiments_proposed": Shape("team risk window"),
    "failures": Shape("team category window"),
    "failure_category_ratio": Shape("team category window", organisation=True, absent=True, gated=True),
    "idea_to_answer_seconds": Shape("team window", kind="gaugehistogram"),
    "stage_quantile_seconds": Shape("team stage window q", organisation=True, absent=True, gated=True),
    "stage_samples": Shape("team stage window"),
    "idea_to_answer_survival_quantile_seconds": Shape("team window q", organisation=True, absent=True, gated=True),
    "survival_answered_by_threshold_ratio": Shape("team window", organisation=True, absent=True, gated=True),
    "answered_within_threshold_ratio": Shape("team window", organisation=True, absent=True, gated=True),
    "abandoned_ratio": Shape("team window", organisation=True, absent=True, gated=True),
    "pickup_quantile_seconds": Shape("team risk window q", organisation=True, absent=True, gated=True),
    "last_failure_shared_timestamp_seconds": Shape("team", organisation=True, absent=True),
    "last_answer_timestamp_seconds": Shape("team", organisation=True, absent=True),
    "learnings_shared": Shape("team window"),
    "repeated_experiments": Shape("team window"),
    "threshold_seconds": Shape("team", organisation=True),
    "forgotten_after_seconds": Shape(""),
    "minimum_sample": Shape(""),
    "excluded": Shape("reason window"),
}
BY_NAME = {metric.__name__: metric for metric in METRICS}
EACH = pytest.mark.parametrize("name", SHAPES)
GATED = pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.gated])
WINDOWED = pytest.mark.parametrize(
    "name", [name for name, shape in SHAPES.items() if "window" in shape.labels and "team" in shape.labels]
)


def samples(name: str, experiments: Iterable[Experiment], on: Terms) -> Samples:
    """Map the labels and the name of each sample of a metric to its value."""
    return samples_of(name, View.of(experiments, on, NOW))


def samples_of(name: str, view: View) -> Samples:
    (family,) = BY_NAME[name](view)
    exported = {
        frozenset({"": sample.name.removeprefix("loopgauge_"), **sample.labels}.items()): sample.value
        for sample in family.samples
    }
    assert len(exported) == len(family.samples), "two samples with the same labels"
    return exported


def of_row(team: str, exported: Samples) -> Samples:
    """Select the samples of one team, and remove their label `team`."""
    return {labels - {("team", team)}: value for labels, value in exported.items() if ("team", team) in labels}


def over_rows(exported: Samples) -> Samples:
    """Sum the samples that differ only in their team."""
    sums: defaultdict[frozenset[tuple[str, str]], float] = defaultdict(float)
    for labels, value in exported.items():
        sums[frozenset(label for label in labels if label[0] != "team")] += value
    return sums


def finished(when: datetime, number: int = 0, team: str = "search") -> Experiment:
    """An experiment whose instants are all at one moment."""
    return experiment(
        f"key:{team}-{number}-{when.isoformat()}",
        idea_at=when,
        team=team,
        risk=Risk.BOLD,
        started_at=when,
        first_signal_at=when,
        concluded_at=when,
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.BASIC,
        shared_at=when,
        shipped_at=when,
    )


PAST, SOON = finished(at(15), 9), NOW + A_MICROSECOND


def in_every_metric(team: str) -> list[Experiment]:
    """Experiments of one team that give every metric a value."""
    overdue = experiment(f"key:{team}-open", idea_at=at(1), team=team, last_activity_at=at(19))
    forgotten = experiment(f"key:{team}-forgotten", idea_at=at(1) - timedelta(days=40), team=team)
    return [*(finished(at(15), number, team) for number in range(5)), overdue, forgotten]


def renamed(experiments: Iterable[Experiment], rename: Callable[[str], str]) -> list[Experiment]:
    return [replace(one, team=rename(one.team)) for one in experiments]


def test_a_finished_experiment_has_every_instant() -> None:
    assert [name for name in INSTANTS if getattr(PAST, name) is None] == []


def test_the_table_of_shapes_lists_every_metric() -> None:
    assert list(SHAPES) == list(BY_NAME)


@EACH
def test_each_metric_function_returns_a_metric_with_its_name_and_type_and_a_description(name: str) -> None:
    (family,) = BY_NAME[name](View.of((), terms("7d"), NOW))
    assert (family.name, family.type) == (f"loopgauge_{name}", SHAPES[name].kind)
    assert family.documentation.endswith(".")


@EACH
def test_every_sample_has_the_labels_of_its_metric(name: str) -> None:
    exported = samples(name, in_every_metric("search"), terms("7d"))
    assert exported
    for labels in exported:
        assert {label for label, _ in labels} - {"", "le"} == set(SHAPES[name].labels.split())


@EACH
def test_no_team_has_a_row_if_there_are_no_experiments(name: str) -> None:
    exported = samples(name, [], terms("7d", min_sample=1))
    teams = {value for labels in exported for label, value in labels if label == "team"}
    assert teams == ({ORGANISATION} if name == "threshold_seconds" else set())


@EACH
def test_the_row_of_a_team_is_zero_or_absent_if_no_experiment_of_the_team_counts(name: str) -> None:
    # The idea is at the end of every window, and windows do not include their ends.
    values = of_row("search", samples(name, [experiment(idea_at=NOW)], terms("7d", min_sample=1))).values()
    if name in {"threshold_seconds", "oldest_open_idea_timestamp_seconds"} or "team" not in SHAPES[name].labels:
        return
    assert bool(values) is not SHAPES[name].absent
    if name not in {"experiments_in_flight", "experiment_age_seconds"}:
        assert not any(values)


@EACH
def test_there_is_a_row_for_each_team_a_row_for_experiments_without_a_team_and_a_row_for_other_teams(name: str) -> None:
    if "team" not in SHAPES[name].labels:
        return
    several = [one for team in ("ads", "b", "c", "") for one in in_every_metric(team)]
    exported = samples(name, several, terms("7d", max_teams=1, forgotten_after=timedelta(days=5)))
    rows = {"ads", OTHER_TEAMS, "_none"} | ({ORGANISATION} if SHAPES[name].organisation else set())
    assert {value for labels in exported for label, value in labels if label == "team"} == rows


@settings(max_examples=50)
@given(portfolios(), st.sampled_from([1, 3]))
def test_a_row_of_several_teams_equals_the_row_of_one_team_with_all_their_experiments(
    experiments: list[Experiment], min_sample: int
) -> None:
    on = terms("2d", "7d", min_sample=min_sample, forgotten_after=timedelta(days=3))
    capped = View.of(experiments, replace(on, max_teams=1), NOW)
    named = View.of(renamed(experiments, lambda team: team if not team or team in capped.teams else "other"), on, NOW)
    alone = View.of(renamed(experiments, lambda _: "all"), on, NOW)
    for name, shape in SHAPES.items():
        exported, expected = samples_of(name, capped), samples_of(name, alone)
        if "team" not in shape.labels:
            assert exported == expected, name
            continue
        assert of_row(OTHER_TEAMS, exported) == of_row("other", samples_of(name, named)), name
        if shape.organisation:
            assert of_row(ORGANISATION, exported) == of_row(ORGANISATION, expected), name
        elif not shape.listing:
            assert over_rows(exported) == pytest.approx(over_rows(expected)), name


@settings(max_examples=50)
@given(portfolios(), st.randoms())
def test_values_depend_neither_on_the_order_of_experiments_nor_on_the_names_of_teams(
    experiments: list[Experiment], random: Random
) -> None:
    on = terms("2d", "7d", min_sample=1, forgotten_after=timedelta(days=3))
    view, shuffled = View.of(experiments, on, NOW), renamed(experiments, lambda team: f"z{team}" if team else "")
    random.shuffle(shuffled)
    other = View.of(shuffled, on, NOW)
    for name in SHAPES:
        expected = {
            frozenset(
                (label, f"z{value}" if label == "team" and not value.startswith("_") else value)
                for label, value in labels
            ): sample
            for labels, sample in samples_of(name, view).items()
        }
        assert samples_of(name, other) == expected, name


@EACH
@pytest.mark.parametrize("instant", ["idea_at", *INSTANTS])
def test_an_experiment_with_an_instant_in_the_future_counts_only_in_the_metric_of_exclusions(
    name: str, instant: str
) -> None:
    present, on = in_every_metric("search"), terms("7d", min_sample=1)
    ahead = with_instant(PAST, instant, SOON)
    added = samples(name, [*present, ahead], on)
    if name == "excluded":
        future = frozenset({("", "excluded"), ("reason", "future"), ("window", "7d")})
        assert added == {**samples(name, present, on), future: 1}
    else:
        assert added == samples(name, present, on)


def is_counted(name: str, when: datetime, window: str = "7d") -> bool:
    """Whether the metric counts an experiment in `window` if all instants of the experiment are at `when`."""
    # An earlier experiment with the same title, outside every window, makes the tested experiment a repetition.
    before = finished(NOW - timedelta(days=60))
    exported = samples(name, [before, finished(when)], terms("7d", "30d", min_sample=1))
    values = [value for labels, value in exported.items() if ("window", window) in labels]
    return bool(values) if SHAPES[name].absent else any(values)


@WINDOWED
@pytest.mark.parametrize(
    ("when", "counted"),
    [(at(13) - A_MICROSECOND, False), (at(13), True), (NOW - A_MICROSECOND, True), (NOW, False)],
)
def test_a_window_includes_its_start_and_excludes_its_end(name: str, when: datetime, *, counted: bool) -> None:
    assert is_counted(name, when) is counted


@WINDOWED
def test_each_window_counts_the_experiments_that_it_contains(name: str) -> None:
    assert (is_counted(name, at(5), "7d"), is_counted(name, at(5), "30d")) == (False, True)
    assert (is_counted(name, at(15), "7d"), is_counted(name, at(15), "30d")) == (True, True)


@GATED
@pytest.mark.parametrize(("size", "published"), [(4, False), (5, True)])
def test_a_ratio_or_quantile_is_absent_below_the_minimum_sample(name: str, size: int, *, published: bool) -> None:
    exported = samples(name, [finished(at(15), number) for number in range(size)], terms("7d", min_sample=5))
    assert bool(exported) is published


@GATED
def test_the_organisation_may_reach_the_minimum_sample_when_none_of_its_teams_does(name: str) -> None:
    ads = [finished(at(15), number, "ads") for number in range(3)]
    search = [finished(at(15), number, "search") for number in range(2)]
    exported = samples(name, [*ads, *search], terms("7d", min_sample=5))
    assert {value for labels in exported for label, value in labels if label == "team"} == {ORGANISATION}


@GATED
def test_the_minimum_sample_applies_to_each_window_separately(name: str) -> None:
    several = [finished(at(15) if number < 3 else at(5), number) for number in range(5)]
    exported = samples(name, several, terms("7d", "30d", min_sample=5))
    assert {value for labels in exported for label, value in labels if label == "window"} == {"30d"}

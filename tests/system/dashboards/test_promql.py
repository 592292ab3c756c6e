"""What the vocabulary of queries means, as promtool computes it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dashboards import readings
from dashboards.links import TO_TEAM
from dashboards.promql import (
    NEVER,
    NOT_REACHED,
    TOO_FEW,
    WINDOW,
    listed,
    never,
    not_reached,
    per_team,
    row,
    share,
    spread,
    through_time,
    too_few,
    total,
    total_per_team,
)
from dashboards.words import DURATIONS, OVER, WITHIN
from tests.support.panel_queries import queries
from tests.support.prometheus import promtool

_FAILURES = total("failures", "category", window=WINDOW)
_OF_SEARCH = '{team="search", window="90d"}'
_IDEA_TO_ANSWER = 'stage="idea_to_answer"'
_THRESHOLDS = {
    'loopgauge_threshold_seconds{team="_org"}': "14",
    'loopgauge_threshold_seconds{team="search"}': "7",
    'loopgauge_threshold_seconds{team="checkout"}': "14",
}
_SERIES = {
    **_THRESHOLDS,
    'loopgauge_failures{team="search", category="basic", window="90d"}': "2",
    'loopgauge_failures{team="search", category="complex", window="90d"}': "1",
    'loopgauge_failures{team="checkout", category="basic", window="90d"}': "4",
    'loopgauge_failures{team="checkout", category="basic", window="30d"}': "3",
}


@pytest.fixture
def values(tmp_path: Path) -> "Values":
    return Values(tmp_path)


class Values:
    """What an expression comes to a minute after series began."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(
        self,
        expression: str,
        series: Mapping[str, str],
        expected: Mapping[str, float],
        *,
        team: str = "_org",
        namespace: str = "",
        replicas: Sequence[str] = ("a",),
    ) -> None:
        """Hold what the expression comes to against what is expected, by labels.

        Args:
            replicas: the instances that export every series.
        """
        filled = expression.replace("$team", team).replace("$window", "90d").replace("$namespace", namespace)
        self.all_of({filled: expected}, series, replicas)

    def all_of(
        self,
        expressions: Mapping[str, Mapping[str, float]],
        series: Mapping[str, str],
        replicas: Sequence[str] = ("a",),
    ) -> None:
        """Hold what each expression comes to against what is expected."""
        given = [
            {"series": f'{name[:-1]}, instance="{replica}", pod="{replica}", job="loopgauge"}}', "values": f"{value}x4"}
            for name, value in series.items()
            for replica in replicas
        ]
        asked = [
            {
                "expr": expression,
                "eval_time": "1m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
            for expression, expected in expressions.items()
        ]
        test = {"interval": "15s", "input_series": given, "promql_expr_test": asked}
        document = self._directory / "test.yml"
        document.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}))
        ended = promtool("test", "rules", str(document))
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_count_of_the_organisation_is_the_sum_of_its_teams(values: Values) -> None:
    values.of(_FAILURES, _SERIES, {'{job="loopgauge"}': 7})


def test_a_count_of_a_team_is_its_own(values: Values) -> None:
    values.of(_FAILURES, _SERIES, {'{job="loopgauge"}': 3}, team="search")


def test_a_count_keeps_the_labels_over_which_it_is_not_summed(values: Values) -> None:
    expected = {'{category="basic", job="loopgauge"}': 6.0, '{category="complex", job="loopgauge"}': 1.0}
    values.of(total("failures", window=WINDOW), _SERIES, expected)


@pytest.mark.parametrize("team", ["_org", "search"])
def test_two_replicas_do_not_double_a_count(values: Values, team: str) -> None:
    expected = {'{job="loopgauge"}': {"_org": 7.0, "search": 3.0}[team]}
    values.of(_FAILURES, _SERIES, expected, team=team, replicas=("a", "b"))


def test_two_replicas_do_not_double_a_teams_count(values: Values) -> None:
    expected = {'{team="search"}': 3.0, '{team="checkout"}': 4.0}
    values.of(total_per_team("failures", window=WINDOW), _SERIES, expected, replicas=("a", "b"))


def test_two_replicas_have_one_figure_of_a_row(values: Values) -> None:
    values.of(row("threshold_seconds"), _SERIES, {'{job="loopgauge"}': 14}, replicas=("a", "b"))


def test_a_table_of_teams_leaves_the_organisation_out(values: Values) -> None:
    expected = {'{team="search"}': 7.0, '{team="checkout"}': 14.0}
    values.of(per_team("threshold_seconds"), _SERIES, expected)


@pytest.mark.parametrize(
    ("team", "expected"), [("_org", {"1.0": 3.0, "+Inf": 5.0}), ("search", {"1.0": 1.0, "+Inf": 1.0})]
)
def test_a_histogram_of_the_organisation_is_that_of_all_teams(
    values: Values, team: str, expected: Mapping[str, float]
) -> None:
    series = {
        **_THRESHOLDS,
        'loopgauge_experiment_age_seconds_bucket{team="search", le="1.0"}': "1",
        'loopgauge_experiment_age_seconds_bucket{team="search", le="+Inf"}': "1",
        'loopgauge_experiment_age_seconds_bucket{team="checkout", le="1.0"}': "2",
        'loopgauge_experiment_age_seconds_bucket{team="checkout", le="+Inf"}': "4",
    }
    by_bound = {f'{{le="{bound}"}}': count for bound, count in expected.items()}
    values.of(spread("experiment_age_seconds"), series, by_bound, team=team, replicas=("a", "b"))


def test_a_list_is_of_the_chosen_team(values: Values) -> None:
    series = {
        **_THRESHOLDS,
        'loopgauge_experiment_overdue_age_seconds{team="search", experiment="one", url=""}': "20",
        'loopgauge_experiment_overdue_age_seconds{team="checkout", experiment="two", url=""}': "30",
    }
    asked = listed("experiment_overdue_age_seconds", "team", "experiment")
    values.of(asked, series, {'{team="search", experiment="one"}': 20}, team="search")
    both = {'{team="search", experiment="one"}': 20.0, '{team="checkout", experiment="two"}': 30.0}
    values.of(asked, series, both)


@pytest.mark.parametrize(("median", "colour"), [(6, WITHIN), (7, WITHIN), (8, OVER)])
def test_the_word_for_a_time_is_green_up_to_the_teams_threshold(values: Values, median: float, colour: str) -> None:
    series = {
        **_THRESHOLDS,
        f'loopgauge_stage_quantile_seconds{_OF_SEARCH[:-1]}, {_IDEA_TO_ANSWER}, q="0.5"}}': str(median),
    }
    for figure in readings.speed(TO_TEAM):
        if figure.words is DURATIONS:
            expected = {'{job="loopgauge"}': median} if figure.colour == colour else {}
            values.of(figure.expression, series, expected, team="search")


def test_a_figure_that_is_withheld_says_that_there_are_too_few(values: Values) -> None:
    samples = f"loopgauge_stage_samples{_OF_SEARCH[:-1]}, {_IDEA_TO_ANSWER}}}"
    asked = too_few(readings.TIMED, readings.MEDIAN)
    values.of(asked, {**_THRESHOLDS, samples: "4"}, {'{job="loopgauge"}': TOO_FEW}, team="search")
    values.of(asked, {**_THRESHOLDS, samples: "0"}, {'{job="loopgauge"}': TOO_FEW}, team="search")


def test_a_survival_that_does_not_come_down_to_half_says_not_reached(values: Values) -> None:
    share = {f"loopgauge_survival_answered_by_threshold_ratio{_OF_SEARCH}": "0.3"}
    median = {f'loopgauge_idea_to_answer_survival_quantile_seconds{_OF_SEARCH[:-1]}, q="0.5"}}': "9"}
    asked = not_reached(readings.ANSWERED_BY_THRESHOLD, readings.SURVIVAL_MEDIAN)
    values.of(asked, share, {'{job="loopgauge"}': NOT_REACHED}, team="search")
    values.of(asked, {**share, **median}, {}, team="search")


def test_what_never_happened_says_so_while_there_are_figures(values: Values) -> None:
    shared = {'loopgauge_last_failure_shared_timestamp_seconds{team="search"}': "3"}
    values.of(never(readings.LAST_SHARED), _THRESHOLDS, {'{job="loopgauge"}': NEVER}, team="search")
    values.of(never(readings.LAST_SHARED), {**_THRESHOLDS, **shared}, {}, team="search")


def test_the_biggest_group_is_told_by_name(values: Values) -> None:
    told = {figure.says: figure.expression for figure in readings.biggest_group(TO_TEAM)}
    values.of(told["basic"], _SERIES, {'{job="loopgauge"}': 6})
    values.of(told["complex"], _SERIES, {})
    values.of(told["no experiment failed"], _SERIES, {})


def test_groups_that_are_as_big_are_both_told(values: Values) -> None:
    series = {
        **_THRESHOLDS,
        'loopgauge_failures{team="search", category="basic", window="90d"}': "2",
        'loopgauge_failures{team="search", category="complex", window="90d"}': "2",
    }
    told = {figure.says: figure.expression for figure in readings.biggest_group(TO_TEAM)}
    for group in ("basic", "complex"):
        values.of(told[group], series, {'{job="loopgauge"}': 2})


def test_without_a_failure_no_group_is_the_biggest(values: Values) -> None:
    series = {**_THRESHOLDS, 'loopgauge_failures{team="search", category="basic", window="90d"}': "0"}
    told = {figure.says: figure.expression for figure in readings.biggest_group(TO_TEAM)}
    values.of(told["basic"], series, {})
    values.of(told["no experiment failed"], series, {'{job="loopgauge"}': 0})


@pytest.mark.parametrize(
    ("sample", "bold", "expected"),
    [("5", "1", {'{job="loopgauge"}': 0.2}), ("5", "0", {}), ("6", "1", {}), ("6", "4", {'{job="loopgauge"}': 0.5})],
)
def test_a_share_of_fewer_than_the_minimum_sample_is_withheld(
    values: Values, sample: str, bold: str, expected: Mapping[str, float]
) -> None:
    series = {
        # A label that there is on every other series of these tests.
        'loopgauge_minimum_sample{namespace=""}': sample,
        'loopgauge_experiments_proposed{team="search", risk="bold", window="90d"}': bold,
        'loopgauge_experiments_proposed{team="search", risk="safe", window="90d"}': "4",
    }
    part, rest = (total("experiments_proposed", risk=risk, window=WINDOW) for risk in ("bold", "safe"))
    values.of(share(part, rest), series, expected, team="search")


def test_figures_are_those_of_the_chosen_installation(values: Values) -> None:
    other = {f'{name[:-1]}, namespace="other"}}': f"{value}00" for name, value in _SERIES.items()}
    both = {**_SERIES, **other}
    chosen = {"": 1, "other": 100}
    for namespace, factor in chosen.items():
        labels = f'{{job="loopgauge", namespace="{namespace}"}}' if namespace else '{job="loopgauge"}'
        values.of(_FAILURES, both, {labels: 7 * factor}, namespace=namespace)
        values.of(row("threshold_seconds"), both, {labels: 14 * factor}, namespace=namespace)
        values.of(_FAILURES, both, {labels: 3 * factor}, namespace=namespace, team="search")
        per = {'{team="search"}': 7.0 * factor, '{team="checkout"}': 14.0 * factor}
        values.of(per_team("threshold_seconds"), both, per, namespace=namespace)


def test_a_sample_that_is_a_day_from_the_next_is_found() -> None:
    assert (
        through_time('max without (pod) (loopgauge_failures{team="search"})')
        == 'max without (pod) (last_over_time(loopgauge_failures{team="search"}[$__rate_interval]))'
    )


def test_what_has_its_own_stretch_of_time_keeps_it() -> None:
    asked = "sum by (kind) (rate(loopgauge_lifecycle_events_recorded_total{}[$__rate_interval]))"
    assert through_time(asked) == asked


def test_without_an_exporter_every_panel_is_empty(values: Values) -> None:
    values.all_of({query.expression: {} for query in queries()}, {})

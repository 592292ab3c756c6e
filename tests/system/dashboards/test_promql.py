"""The values of the dashboards' PromQL expressions, as promtool computes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dashboards import shared_queries
from dashboards.links import TO_TEAM
from dashboards.promql import (
    NEVER,
    NOT_REACHED,
    TOO_FEW,
    WINDOW,
    bridge_gaps,
    compute_share,
    list_series,
    mark_never,
    mark_not_reached,
    mark_too_few,
    select_each_team,
    select_team_row,
    sum_buckets,
    sum_counts,
    sum_each_team,
)
from dashboards.words import OVER, WITHIN
from tests.support.panel_queries import queries
from tests.support.prometheus import promtool

_FAILURES = sum_counts("failures", "category", window=WINDOW)
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
    """Evaluates expressions one minute after the series begin."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def expect(
        self,
        expression: str,
        series: Mapping[str, str],
        expected: Mapping[str, float],
        *,
        team: str = "_org",
        namespace: str = "",
        replicas: Sequence[str] = ("a",),
    ) -> None:
        """Compare the value of an expression with the expected samples, by labels.

        Args:
            replicas: the names of the instances, each of which exports all the series.
        """
        filled = expression.replace("$team", team).replace("$window", "90d").replace("$namespace", namespace)
        self.expect_all({filled: expected}, series, replicas)

    def expect_all(
        self,
        expressions: Mapping[str, Mapping[str, float]],
        series: Mapping[str, str],
        replicas: Sequence[str] = ("a",),
    ) -> None:
        """Compare the value of each expression with the expected samples."""
        given = [
            {"series": f'{name[:-1]}, instance="{replica}", pod="{replica}", job="loopgauge"}}', "values": f"{value}x4"}
            for name, value in series.items()
            for replica in replicas
        ]
        evaluations = [
            {
                "expr": expression,
                "eval_time": "1m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
            for expression, expected in expressions.items()
        ]
        test = {"interval": "15s", "input_series": given, "promql_expr_test": evaluations}
        document = self._directory / "test.yml"
        document.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}))
        ended = promtool("test", "rules", str(document))
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_count_for_all_teams_is_the_sum_of_the_teams(values: Values) -> None:
    values.expect(_FAILURES, _SERIES, {'{job="loopgauge"}': 7})


def test_a_count_for_a_team_counts_only_that_team(values: Values) -> None:
    values.expect(_FAILURES, _SERIES, {'{job="loopgauge"}': 3}, team="search")


def test_a_count_keeps_the_labels_that_it_does_not_sum(values: Values) -> None:
    expected = {'{category="basic", job="loopgauge"}': 6.0, '{category="complex", job="loopgauge"}': 1.0}
    values.expect(sum_counts("failures", window=WINDOW), _SERIES, expected)


@pytest.mark.parametrize("team", ["_org", "search"])
def test_two_replicas_do_not_double_a_count_for_the_chosen_team(values: Values, team: str) -> None:
    expected = {'{job="loopgauge"}': {"_org": 7.0, "search": 3.0}[team]}
    values.expect(_FAILURES, _SERIES, expected, team=team, replicas=("a", "b"))


def test_two_replicas_do_not_double_the_counts_in_a_table_of_teams(values: Values) -> None:
    expected = {'{team="search"}': 3.0, '{team="checkout"}': 4.0}
    values.expect(sum_each_team("failures", window=WINDOW), _SERIES, expected, replicas=("a", "b"))


def test_two_replicas_give_one_value_of_a_team(values: Values) -> None:
    values.expect(select_team_row("threshold_seconds"), _SERIES, {'{job="loopgauge"}': 14}, replicas=("a", "b"))


def test_a_table_of_teams_omits_the_row_for_all_teams(values: Values) -> None:
    expected = {'{team="search"}': 7.0, '{team="checkout"}': 14.0}
    values.expect(select_each_team("threshold_seconds"), _SERIES, expected)


@pytest.mark.parametrize(
    ("team", "expected"), [("_org", {"1.0": 3.0, "+Inf": 5.0}), ("search", {"1.0": 1.0, "+Inf": 1.0})]
)
def test_a_histogram_for_all_teams_is_the_sum_of_the_teams(
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
    values.expect(sum_buckets("experiment_age_seconds"), series, by_bound, team=team, replicas=("a", "b"))


def test_a_list_contains_the_chosen_team_only(values: Values) -> None:
    series = {
        **_THRESHOLDS,
        'loopgauge_experiment_overdue_age_seconds{team="search", experiment="one", url=""}': "20",
        'loopgauge_experiment_overdue_age_seconds{team="checkout", experiment="two", url=""}': "30",
    }
    expression = list_series("experiment_overdue_age_seconds", "team", "experiment")
    values.expect(expression, series, {'{team="search", experiment="one"}': 20}, team="search")
    both = {'{team="search", experiment="one"}': 20.0, '{team="checkout", experiment="two"}': 30.0}
    values.expect(expression, series, both)


def test_the_table_of_overdue_experiments_lists_those_of_a_team_even_if_other_teams_have_the_worst(
    values: Values,
) -> None:
    worst = 'loopgauge_experiment_overdue_age_seconds{team="checkout", experiment="one", url=""}'
    active = 'loopgauge_experiment_overdue_active_age_seconds{team="search", experiment="two", url=""}'
    both = 'loopgauge_experiment_overdue_active_age_seconds{team="checkout", experiment="one", url=""}'
    series = {**_THRESHOLDS, worst: "2592000", active: "1728000", both: "2592000"}
    [overdue] = [query for query in queries("search") if query.owner == "Overdue"]
    values.expect(overdue.expression, series, {'{team="search", experiment="two"}': 20})
    [overdue] = [query for query in queries("_org") if query.owner == "Overdue"]
    expected = {'{team="search", experiment="two"}': 20.0, '{team="checkout", experiment="one"}': 30.0}
    values.expect(overdue.expression, series, expected)


@pytest.mark.parametrize(("median", "colour"), [(6, WITHIN), (7, WITHIN), (8, OVER)])
def test_a_duration_is_green_up_to_the_teams_threshold(values: Values, median: float, colour: str) -> None:
    series = {
        **_THRESHOLDS,
        f'loopgauge_stage_quantile_seconds{_OF_SEARCH[:-1]}, {_IDEA_TO_ANSWER}, q="0.5"}}': str(median),
    }
    for query in shared_queries.query_speed(TO_TEAM):
        if query.colour in (WITHIN, OVER):
            expected = {'{job="loopgauge"}': median} if query.colour == colour else {}
            values.expect(query.expression, series, expected, team="search")


def test_a_panel_says_too_few_in_place_of_a_withheld_value(values: Values) -> None:
    samples = f"loopgauge_stage_samples{_OF_SEARCH[:-1]}, {_IDEA_TO_ANSWER}}}"
    expression = mark_too_few(shared_queries.TIMED, shared_queries.MEDIAN)
    values.expect(expression, {**_THRESHOLDS, samples: "4"}, {'{job="loopgauge"}': TOO_FEW}, team="search")
    values.expect(expression, {**_THRESHOLDS, samples: "0"}, {'{job="loopgauge"}': TOO_FEW}, team="search")


def test_a_survival_median_that_does_not_exist_says_not_reached(values: Values) -> None:
    ratio = {f"loopgauge_survival_answered_by_threshold_ratio{_OF_SEARCH}": "0.3"}
    median = {f'loopgauge_idea_to_answer_survival_quantile_seconds{_OF_SEARCH[:-1]}, q="0.5"}}': "9"}
    expression = mark_not_reached(shared_queries.ANSWERED_BY_THRESHOLD, shared_queries.SURVIVAL_MEDIAN)
    values.expect(expression, ratio, {'{job="loopgauge"}': NOT_REACHED}, team="search")
    values.expect(expression, {**ratio, **median}, {}, team="search")


def test_a_panel_says_that_an_event_never_happened_while_metrics_are_exported(values: Values) -> None:
    last_shared = {'loopgauge_last_failure_shared_timestamp_seconds{team="search"}': "3"}
    values.expect(mark_never(shared_queries.LAST_SHARED), _THRESHOLDS, {'{job="loopgauge"}': NEVER}, team="search")
    values.expect(mark_never(shared_queries.LAST_SHARED), {**_THRESHOLDS, **last_shared}, {}, team="search")


def test_the_biggest_group_is_shown_by_name(values: Values) -> None:
    groups = {query.name: query.expression for query in shared_queries.query_biggest_group(TO_TEAM)}
    values.expect(groups["basic"], _SERIES, {'{job="loopgauge"}': 6})
    values.expect(groups["complex"], _SERIES, {})
    values.expect(groups["no failed experiment"], _SERIES, {})


def test_groups_that_tie_are_all_shown(values: Values) -> None:
    series = {
        **_THRESHOLDS,
        'loopgauge_failures{team="search", category="basic", window="90d"}': "2",
        'loopgauge_failures{team="search", category="complex", window="90d"}': "2",
    }
    groups = {query.name: query.expression for query in shared_queries.query_biggest_group(TO_TEAM)}
    for group in ("basic", "complex"):
        values.expect(groups[group], series, {'{job="loopgauge"}': 2})


def test_without_a_failure_no_group_is_the_biggest(values: Values) -> None:
    series = {**_THRESHOLDS, 'loopgauge_failures{team="search", category="basic", window="90d"}': "0"}
    groups = {query.name: query.expression for query in shared_queries.query_biggest_group(TO_TEAM)}
    values.expect(groups["basic"], series, {})
    values.expect(groups["no failed experiment"], series, {'{job="loopgauge"}': 0})


@pytest.mark.parametrize(
    ("sample", "bold", "expected"),
    [("5", "1", {'{job="loopgauge"}': 0.2}), ("5", "0", {}), ("6", "1", {}), ("6", "4", {'{job="loopgauge"}': 0.5})],
)
def test_a_share_of_fewer_than_the_minimum_sample_is_withheld(
    values: Values, sample: str, bold: str, expected: Mapping[str, float]
) -> None:
    series = {
        # `expect_all` appends further labels after a comma, so this series needs a label of its own. Prometheus treats
        # a label with an empty value as missing.
        'loopgauge_minimum_sample{namespace=""}': sample,
        'loopgauge_experiments_proposed{team="search", risk="bold", window="90d"}': bold,
        'loopgauge_experiments_proposed{team="search", risk="safe", window="90d"}': "4",
    }
    part, rest = (sum_counts("experiments_proposed", risk=risk, window=WINDOW) for risk in ("bold", "safe"))
    values.expect(compute_share(part, rest), series, expected, team="search")


def test_values_come_from_the_chosen_installation_only(values: Values) -> None:
    other = {f'{name[:-1]}, namespace="other"}}': f"{value}00" for name, value in _SERIES.items()}
    both = {**_SERIES, **other}
    chosen = {"": 1, "other": 100}
    for namespace, factor in chosen.items():
        labels = f'{{job="loopgauge", namespace="{namespace}"}}' if namespace else '{job="loopgauge"}'
        values.expect(_FAILURES, both, {labels: 7 * factor}, namespace=namespace)
        values.expect(select_team_row("threshold_seconds"), both, {labels: 14 * factor}, namespace=namespace)
        values.expect(_FAILURES, both, {labels: 3 * factor}, namespace=namespace, team="search")
        per = {'{team="search"}': 7.0 * factor, '{team="checkout"}': 14.0 * factor}
        values.expect(select_each_team("threshold_seconds"), both, per, namespace=namespace)


def test_each_point_of_a_trend_uses_the_last_sample_since_the_previous_point() -> None:
    assert (
        bridge_gaps('max without (pod) (loopgauge_failures{team="search"})')
        == 'max without (pod) (last_over_time(loopgauge_failures{team="search"}[$__rate_interval]))'
    )


def test_an_expression_with_a_range_stays_as_it_is() -> None:
    expression = "sum by (kind) (rate(loopgauge_lifecycle_events_recorded_total{}[$__rate_interval]))"
    assert bridge_gaps(expression) == expression


def test_without_an_exporter_every_panel_is_empty(values: Values) -> None:
    values.expect_all({query.expression: {} for query in queries()}, {})

"""The queries of panels are valid PromQL and select metrics that the service exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support import catalogue
from tests.support.panel_queries import queries
from tests.support.prometheus import promtool

_QUERIES = queries()
_NAME = re.compile(r"\b(?:loopgauge|process)_\w+")
_SELECTOR = re.compile(r"(?P<name>\b(?:loopgauge|process)_\w+)\{(?P<matchers>[^}]*)\}")
_MATCHER = re.compile(r'(?P<label>\w+)(?P<operator>=~|!~|!=|=)"(?P<value>[^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_ADDED = {"instance", "job", "namespace", "pod"}
_LABELS = catalogue.labels()
_VALUES = catalogue.values()


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": "panel", "expr": query.expression} for query in _QUERIES]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", str(tmp_path / "rules.yml"))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(_QUERIES)} rules found" in checked.stdout


def test_every_variable_is_filled_in() -> None:
    assert not [query for query in _QUERIES if "$" in query.expression]


def test_every_query_selects_exported_metrics() -> None:
    assert all(_NAME.search(query.expression) for query in _QUERIES)
    assert _selected_names() <= set(_LABELS)


def test_queries_select_series_by_existing_labels() -> None:
    unknown = [(name, label) for name, label, _ in _matchers() if label not in _LABELS[name] | _ADDED]
    assert unknown == []


def test_queries_select_series_by_existing_label_values() -> None:
    unknown = [
        (name, label, value)
        for name, label, value in _matchers()
        if label not in {"namespace", "team"} and value not in _VALUES[name, label]
    ]
    assert unknown == []


def test_every_query_selects_the_chosen_installation() -> None:
    for query in _QUERIES:
        if query.owner != "namespace":
            selected = list(_SELECTOR.finditer(query.written))
            assert len(selected) == len(_NAME.findall(query.written)), query
            assert all('namespace="$namespace"' in selector["matchers"] for selector in selected), query


def test_queries_group_by_existing_labels() -> None:
    for query in _QUERIES:
        grouped = {label for group in _GROUPING.findall(query.expression) for label in re.findall(r"\w+", group)}
        known = {label for name in _NAME.findall(query.expression) for label in _LABELS[name]}
        assert grouped <= known | _ADDED, query


def test_queries_use_only_the_growth_of_counters() -> None:
    counters = re.compile(r"(\w*\()?(?:loopgauge|process)_\w+_total\b")
    functions = {match[1] for query in _QUERIES for match in counters.finditer(query.expression)}
    assert functions == {"rate(", "increase("}


def test_queries_merge_the_shared_metrics_of_replicas() -> None:
    for query in _QUERIES:
        for name in _NAME.finditer(query.expression):
            if not catalogue.is_of_one_process(name.group()):
                enclosing = _enclosing(query.expression[: name.start()])
                assert {"max", "count"} & enclosing, query


def test_a_trend_uses_the_last_sample_of_each_step() -> None:
    expressions = [query.written for query in _QUERIES if query.owner == "From idea to answer, over time"]
    assert len(expressions) == 8
    assert all("last_over_time(" in expression and "[$__rate_interval]" in expression for expression in expressions)


def test_no_query_averages() -> None:
    assert not [query for query in _QUERIES if re.search(r"\bavg\b|_sum\b|_gsum\b", query.expression)]


def test_no_query_compares_with_the_past() -> None:
    assert not [query for query in _QUERIES if "offset" in query.expression]


def test_every_metric_has_a_panel_or_a_reason_for_having_none() -> None:
    shown = {family for family, names in catalogue.families().items() if names & _selected_names()}
    assert set(catalogue.families()) - shown == set(catalogue.UNUSED)


def _selected_names() -> set[str]:
    return {name for query in _QUERIES for name in _NAME.findall(query.expression)}


def _matchers() -> Iterator[tuple[str, str, str]]:
    """Yield each label matcher of the queries: the name of the metric, the label and the value."""
    for query in _QUERIES:
        for selector in _SELECTOR.finditer(query.expression):
            for matcher in _MATCHER.finditer(selector["matchers"]):
                yield selector["name"], matcher["label"], matcher["value"]


def _enclosing(before: str) -> set[str]:
    """The functions and aggregations whose parentheses are still open at the end of a text."""
    without_grouping = re.sub(r"\b(?:by|without) \([^)]*\) \(", "(", before)
    calls: list[str] = []
    for bracket in re.finditer(r"(\w*) ?\(|\)", without_grouping):
        if bracket.group() == ")":
            calls.pop()
        else:
            calls.append(bracket[1])
    return set(calls)

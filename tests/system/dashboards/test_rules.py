"""The rules pass the checks of Prometheus' own tools, and select metrics that the service exports."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from service.lifecycle.durations import parse_duration
from service.lifecycle.taxonomy import Outcome
from service.metrics import METRICS
from service.metrics.view import View
from service.pipeline.snapshot import ExportedSnapshot, Snapshot
from service.settings import Settings
from service.telemetry import Telemetry
from service.telemetry.backlog import Backlog
from tests.support.alertmanager import amtool
from tests.support.builders import experiment, terms
from tests.support.documents import example
from tests.support.experiments import experiments_of_all_kinds
from tests.support.paths import DASHBOARDS, RULE_FILES
from tests.support.prometheus import promtool

_UNIT_TESTS = sorted((DASHBOARDS / "rules" / "tests").glob("*.yaml"))
_PROMETHEUS = DASHBOARDS / "prometheus.yml"
_ALERTMANAGER = DASHBOARDS / "alertmanager.yml"
_RUNBOOK = DASHBOARDS / "RUNBOOK.md"
_RUNBOOK_URL = "https://loopgauge.example.com/RUNBOOK.md"
_GRAFANA_URL = "https://grafana.example.com"
_NOW = datetime(2026, 3, 20, tzinfo=UTC)

_SELECTOR = re.compile(r"(?<![:\w])(loopgauge_\w+)(?:\{([^}]*)\})?")
_RECORDED = re.compile(r"\w+:loopgauge_\w+:\w+")
_MATCHER = re.compile(r'(\w+)(?:=|!=)"([^"]*)"')


def _rules(kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield every rule of a kind, `alert` or `record`."""
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if kind in rule)


ALERTS = {rule["alert"]: rule for rule in _rules("alert")}
# The PromQL queries of series in the texts of alerts. There, single quotation marks replace PromQL's double ones.
_TEXT_QUERIES = [
    query.replace("'", '"')
    for alert in ALERTS.values()
    for text in ("summary", "description")
    for query in re.findall(r'printf "([^"]*)"', alert["annotations"][text])
    if "loopgauge_" in query
]
_WITHOUT_VALUE = {"LoopgaugeNobodyReceives", "LoopgaugeProcessDown", "LoopgaugeSourceNeverHeard"}
# Alerts that fire for any value above zero.
_WITHOUT_THRESHOLD = {
    "LoopgaugeDeliveriesFailing",
    "LoopgaugeDeliveriesNotRead",
    "LoopgaugeInboxUnseen",
    "LoopgaugeSpoolInUse",
}
_RECORDS = [rule["record"] for rule in _rules("record")]
_EXPRESSIONS = [rule["expr"] for kind in ("alert", "record") for rule in _rules(kind)]


def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("file", _UNIT_TESTS, ids=lambda file: file.stem)
def test_the_rules_pass_their_unit_tests(file: Path) -> None:
    tested = promtool("test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_promtool_accepts_the_example_of_a_scrape_and_finds_all_rules() -> None:
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", str(_PROMETHEUS))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(RULE_FILES)} rule files found" in checked.stdout


def test_amtool_accepts_the_example_of_an_alertmanager() -> None:
    checked = amtool("check-config", str(_ALERTMANAGER))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["about=loops", "team=search", "severity=warning"], "team-search"),
        (["about=loops", "team=ads", "severity=info"], "all-teams"),
        (["about=loops", "team=_org"], "all-teams"),
        (["about=service", "source=github"], "operators"),
        (["about=service"], "operators"),
        (["severity=page"], "all-teams"),
    ],
)
def test_an_alert_goes_to_its_receiver(labels: Sequence[str], receiver: str) -> None:
    routed = amtool("config", "routes", "test", f"--config.file={_ALERTMANAGER}", *labels)
    assert (routed.returncode, routed.stdout.strip()) == (0, receiver)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_its_labels_its_texts_and_a_section_of_the_runbook(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"].keys() == {"severity", "about"}
    assert alert["labels"]["severity"] in {"info", "warning"}
    assert alert["labels"]["about"] in {"loops", "service"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"{_RUNBOOK_URL}#{name.lower()}"


@pytest.mark.parametrize("name", ALERTS)
def test_a_description_ends_with_a_link_to_a_dashboard(name: str) -> None:
    description = ALERTS[name]["annotations"]["description"]
    # This alert may concern no installation: Grafana then chooses one.
    optional = "{{ with $labels.namespace }}?var-namespace={{ . | urlquery }}{{ end }}"
    always = "?var-namespace={{ $labels.namespace | urlquery }}"
    linked = re.search(
        rf"{_GRAFANA_URL}/d/([\w-]+)"
        rf"{re.escape(optional if name == 'LoopgaugeNoLeader' else always)}"
        r"(&var-team=\{\{ \$labels\.team \| urlquery \}\}&var-window=\d+d)?$",
        description,
    )
    assert linked is not None
    assert (linked[2] is not None) is (ALERTS[name]["labels"]["about"] == "loops")
    dashboard = json.loads((DASHBOARDS / "json" / f"{linked[1]}.json").read_text())
    assert {"namespace", "team", "window"} <= {variable["name"] for variable in dashboard["templating"]["list"]}


@pytest.mark.parametrize("name", ALERTS)
def test_a_description_gives_the_value_if_there_is_one(name: str) -> None:
    assert bool(re.search(r"\{\{[^}]*\b[vV]alue\b", ALERTS[name]["annotations"]["description"])) is (
        name not in _WITHOUT_VALUE
    )


@pytest.mark.parametrize("name", ALERTS)
def test_a_summary_names_the_team_and_gives_the_value_and_the_threshold(name: str) -> None:
    summary, labels = ALERTS[name]["annotations"]["summary"], ALERTS[name]["labels"]
    assert (labels["about"] == "loops") is ("Team {{ $labels.team }}" in summary)
    has_value = bool(re.search(r"\{\{[^}]*\b[vV]alue\b", summary))
    if has_value and name not in _WITHOUT_THRESHOLD:
        assert re.search("threshold|objective|longer|in the last", summary)
    assert has_value is (name not in _WITHOUT_VALUE | {"LoopgaugeNoLeader"})


def test_no_text_of_an_alert_gives_a_duration_as_programs_write_it() -> None:
    assert not [name for name, alert in ALERTS.items() if "humanizeDuration" in str(alert["annotations"])]


def test_a_text_queries_its_own_installation() -> None:
    assert len(_TEXT_QUERIES) >= 15
    assert not [query for query in _TEXT_QUERIES if "namespace=%q" not in query]


def test_one_documented_command_replaces_all_placeholders_in_links() -> None:
    [command] = re.findall(r"sed -i '([^']*https://grafana[^']*)'", example("links"))
    script = command.replace("<your Grafana>", "https://ours").replace("<your runbook>", "https://ours/runbook")
    for file in RULE_FILES:
        put = subprocess.run(["sed", script, str(file)], capture_output=True, text=True, timeout=60, check=True)
        assert "example.com" not in put.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_pending_for_at_least_two_scrapes(name: str) -> None:
    scrape_interval = parse_duration(yaml.safe_load(_PROMETHEUS.read_text())["global"]["scrape_interval"])
    pending = parse_duration(ALERTS[name]["for"])
    assert isinstance(scrape_interval, timedelta)
    assert isinstance(pending, timedelta)
    assert pending >= 2 * max(scrape_interval, timedelta(minutes=1))


def test_the_runbook_has_a_section_for_each_alert_and_no_other_section() -> None:
    sections = re.findall(r"^### (.+)$", _RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)


def test_the_links_inside_the_runbook_lead_to_sections() -> None:
    text = _RUNBOOK.read_text()
    anchors = {title.lower() for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    linked = re.findall(r"\]\(#([^)]+)\)", text)
    assert linked
    assert set(linked) <= anchors


def test_no_unit_test_expects_the_text_of_an_error() -> None:
    assert not [file.name for file in _UNIT_TESTS if "error expanding" in file.read_text()]


def _expectations(name: str) -> list[int]:
    """Return how many alerts each unit test of this alert expects."""
    cases = (case for file in _UNIT_TESTS for case in yaml.safe_load(file.read_text())["tests"])
    checks = (check for case in cases for check in case.get("alert_rule_test", ()))
    return [len(check.get("exp_alerts", ())) for check in checks if check["alertname"] == name]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_unit_test_that_fires_it_and_another_test_that_does_not(name: str) -> None:
    expected = _expectations(name)
    assert 0 in expected
    assert any(expected)


def _families() -> Iterator[Metric]:
    """Yield every metric that a leader exports, with every label value that a rule selects."""
    shared = experiment(
        idea_at=_NOW - timedelta(days=9),
        concluded_at=_NOW - timedelta(days=2),
        outcome=Outcome.FAILED,
        shared_at=_NOW - timedelta(days=1),
    )
    view = View.of([*experiments_of_all_kinds(_NOW), shared], terms("30d", "90d", "365d"), _NOW)
    for make in METRICS:
        yield from make(view)
    telemetry = Telemetry(["github"])
    telemetry.record_last_delivery("github", _NOW)
    telemetry.set_backlog(Backlog(0, 0.0, 0, 0))
    telemetry.requests.observe("POST", "/webhooks/{source}", 202, 0.01)
    yield from telemetry.registry.collect()


def _catalogue() -> Mapping[str, list[Mapping[str, str]]]:
    """The label sets of the exported series, by the name of the metric."""
    catalogue: dict[str, list[Mapping[str, str]]] = {}
    for family in _families():
        for sample in family.samples:
            catalogue.setdefault(sample.name, []).append(sample.labels)
    about = ExportedSnapshot.of(Snapshot(_NOW, b"", b""), timedelta(0)).text.plain(b"").decode()
    return catalogue | {name: [{}] for name in re.findall(r"^(loopgauge_\w+) ", about, re.MULTILINE)}


def _selected(expressions: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the metric, label and value of each matcher. For a metric without matchers, label and value are empty."""
    for expression in expressions:
        for name, matchers in _SELECTOR.findall(_RECORDED.sub("", expression)):
            pairs = _MATCHER.findall(matchers)
            yield from ((name, label, value) for label, value in pairs or [("", "")])


def test_every_series_that_a_rule_selects_is_exported() -> None:
    catalogue = _catalogue()
    selected = set(_selected([*_EXPRESSIONS, *_TEXT_QUERIES]))
    assert len(selected) > 20
    for name, label, value in selected:
        assert name in catalogue
        assert not label or any(labels.get(label) == value for labels in catalogue[name]), (name, label, value)


def test_every_series_that_the_runbook_names_is_exported() -> None:
    named = set(re.findall(r"loopgauge_\w+", _RUNBOOK.read_text()))
    assert len(named) > 20
    assert named <= _catalogue().keys()


def test_rules_use_exactly_the_recorded_series() -> None:
    alerting = [
        *(alert["expr"] for alert in ALERTS.values()),
        *(str(alert["annotations"]) for alert in ALERTS.values()),
    ]
    used = {name for text in (*_EXPRESSIONS, *alerting) for name in _RECORDED.findall(text)}
    assert used == set(_RECORDS)


def test_the_default_windows_include_every_window_that_alerts_use() -> None:
    windows = {window for expression in _EXPRESSIONS for window in re.findall(r'window="(\w+)"', expression)}
    assert windows == {"30d", "90d", "365d"}
    assert {parse_duration(window) for window in windows} <= set(Settings.model_fields["windows"].default)


def test_no_rule_replaces_missing_values() -> None:
    assert not [expression for expression in _EXPRESSIONS if "vector(" in expression]

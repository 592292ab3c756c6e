"""Prometheus and Grafana get the files of `dashboards/`, and Prometheus scrapes every pod once."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from tests.support.paths import REPOSITORY
from tests.system.helm.chart import CHART, Manifest, minimal, of_kind, pods, rendered, run, scenario

_PACKAGED = {"dashboards": "json/*.json", "rules": "rules/*.yaml"}


@pytest.mark.parametrize(("folder", "origin"), _PACKAGED.items())
def test_the_chart_packages_the_same_files_as_the_dashboards_folder(folder: str, origin: str) -> None:
    """If the files differ, run `make chart`."""
    packaged = {path.name: path.read_bytes() for path in (CHART / "files" / folder).iterdir()}
    assert packaged == {path.name: path.read_bytes() for path in (REPOSITORY / "dashboards").glob(origin)}
    assert packaged


def test_dashboards_are_installed_unchanged() -> None:
    config = of_kind(scenario("everything"), "ConfigMap")
    installed = {
        name: text
        for manifest in config
        if manifest["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in manifest["data"].items()
    }
    files = (REPOSITORY / "dashboards/json").glob("*.json")
    assert installed == {path.name: path.read_text(encoding="utf-8").rstrip("\n") for path in files}


def _groups() -> list[Manifest]:
    files = sorted((REPOSITORY / "dashboards/rules").glob("*.yaml"))
    return [group for path in files for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]


def test_rules_are_installed_unchanged() -> None:
    [manifest] = of_kind(minimal("prometheusRule.enabled=true"), "PrometheusRule")
    assert manifest["spec"]["groups"] == _groups()


def test_links_use_the_addresses_of_the_runbook_and_of_grafana() -> None:
    [manifest] = of_kind(scenario("everything"), "PrometheusRule")
    groups = _groups()
    # The chart must change only two addresses in the rules: that of the runbook and that of Grafana.
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        annotations = rule["annotations"]
        section = annotations["runbook_url"].partition("#")[2]
        annotations["runbook_url"] = f"https://runbooks.example.com/loopgauge#{section}"
        description = annotations["description"]
        annotations["description"] = description.replace("https://grafana.example.com", "https://grafana.example.org")
    assert manifest["spec"]["groups"] == groups
    assert "https://grafana.example.org/d/" in str(groups)


def _matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", [])
        if expression["operator"] == "In"
    )


def _targets(objects: Sequence[Manifest]) -> list[tuple[str, str]]:
    """Return the `job` and the pod of every scrape.

    For each endpoint of a monitor, each pod that the monitor selects is scraped once.
    """
    scrapes = []
    labelled = [(name, pod["metadata"]["labels"], pod["spec"]) for name, pod in pods(objects)]
    with_port = [(name, labels) for name, labels, spec in labelled if "ports" in spec["containers"][0]]
    for monitor in of_kind(objects, "PodMonitor"):
        for name, labels in with_port:
            if _matches(monitor["spec"]["selector"], labels):
                job = labels[monitor["spec"]["jobLabel"]]
                scrapes += [(job, name)] * len(monitor["spec"]["podMetricsEndpoints"])
    for monitor in of_kind(objects, "ServiceMonitor"):
        for service in of_kind(objects, "Service"):
            if _matches(monitor["spec"]["selector"], service["metadata"]["labels"]):
                job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
                behind = [name for name, labels in with_port if service["spec"]["selector"].items() <= labels.items()]
                scrapes += [(job, name) for name in behind for _ in monitor["spec"]["endpoints"]]
    return sorted(scrapes)


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_prometheus_scrapes_the_pods_of_both_roles_once_under_one_job(kind: str) -> None:
    objects = minimal("monitor.enabled=true", f"monitor.kind={kind}")
    assert _targets(objects) == [
        ("loopgauge", "Deployment/acme-loopgauge-api"),
        ("loopgauge", "Deployment/acme-loopgauge-worker"),
    ]


@pytest.mark.parametrize(
    ("kind", "endpoints"), [("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")]
)
def test_prometheus_gets_the_token_for_the_metrics(kind: str, endpoints: str) -> None:
    token = ("metricsToken.existingSecret=loopgauge", "metricsToken.key=metrics")
    [monitor] = of_kind(minimal("monitor.enabled=true", f"monitor.kind={kind}", *token), kind)
    [endpoint] = monitor["spec"][endpoints]
    assert endpoint["authorization"] == {"credentials": {"name": "loopgauge", "key": "metrics"}}


def test_monitors_and_rules_have_the_labels_of_the_operators_selectors() -> None:
    for kind in ("ServiceMonitor", "PrometheusRule"):
        [manifest] = of_kind(scenario("everything"), kind)
        assert manifest["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_a_release_fits_into_a_secret(tmp_path: Path) -> None:
    # Helm stores the chart and its manifests, compressed, in one Secret of at most a mebibyte; base64 adds a third.
    packaged = run("helm", "package", str(CHART), "--destination", str(tmp_path))
    assert packaged.returncode == 0, packaged.stderr
    texts = [path.read_text(encoding="utf-8") for path in CHART.rglob("*") if path.is_file()]
    kept = json.dumps([rendered("--values", str(CHART / "ci/everything-values.yaml")), *texts])
    assert len(base64.b64encode(gzip.compress(kept.encode()))) < 2**20 / 2

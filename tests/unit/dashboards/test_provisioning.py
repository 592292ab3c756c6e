"""Grafana reads the provisioning files to find its data source and its dashboards."""

from pathlib import Path
from typing import Any

import yaml

import dashboards
from service.demo.guide import guide
from tests.support.documents import read_page

_DASHBOARDS = Path(dashboards.__file__).parent


def test_prometheus_is_the_only_data_source_and_the_default() -> None:
    sources = _read("datasources/prometheus.yaml")["datasources"]
    assert [(source["type"], source["isDefault"]) for source in sources] == [("prometheus", True)]


def test_an_environment_variable_sets_the_address_of_prometheus() -> None:
    [source] = _read("datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "${PROMETHEUS_URL}"
    page = read_page("dashboards-and-alerts.md")
    assert '--env "PROMETHEUS_URL=${PROMETHEUS_URL:-http://127.0.0.1:9090}"' in page
    assert "export PROMETHEUS_URL=http://127.0.0.1:9091" in guide(
        "http://127.0.0.1:8080", "http://127.0.0.1:9091", {}, "loopgauge"
    )


def test_grafana_and_prometheus_agree_on_the_scrape_interval() -> None:
    [source] = _read("datasources/prometheus.yaml")["datasources"]
    prometheus = yaml.safe_load((_DASHBOARDS / "prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_grafana_reads_dashboards_from_files_and_does_not_change_them() -> None:
    [provider] = _read("dashboards/loopgauge.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/loopgauge"
    assert provider["allowUiUpdates"] is False


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((_DASHBOARDS / "provisioning" / name).read_text(encoding="utf-8"))
    assert content["apiVersion"] == 1
    return content

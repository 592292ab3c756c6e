"""The files that Grafana finds data source and dashboards by."""

from pathlib import Path
from typing import Any

import yaml

import dashboards
from service.demo.guide import guide

_DASHBOARDS = Path(dashboards.__file__).parent


def test_the_data_source_is_a_prometheus_and_the_default() -> None:
    sources = _read("datasources/prometheus.yaml")["datasources"]
    assert [(source["type"], source["isDefault"]) for source in sources] == [("prometheus", True)]


def test_whoever_starts_grafana_says_where_prometheus_is() -> None:
    [source] = _read("datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "${PROMETHEUS_URL}"
    readme = (_DASHBOARDS.parent / "README.md").read_text(encoding="utf-8")
    assert '--env "PROMETHEUS_URL=${PROMETHEUS_URL:-http://127.0.0.1:9090}"' in readme
    assert "export PROMETHEUS_URL=http://127.0.0.1:9091" in guide(
        "http://127.0.0.1:8080", "http://127.0.0.1:9091", {}, "loopgauge"
    )


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    [source] = _read("datasources/prometheus.yaml")["datasources"]
    prometheus = yaml.safe_load((_DASHBOARDS / "prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_dashboards_are_read_from_files_and_stay_as_they_are() -> None:
    [provider] = _read("dashboards/loopgauge.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/loopgauge"
    assert provider["allowUiUpdates"] is False


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((_DASHBOARDS / "provisioning" / name).read_text(encoding="utf-8"))
    assert read["apiVersion"] == 1
    return read

"""A real Alertmanager, its amtool, and configurations for Alertmanager and for Prometheus."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.support.paths import DASHBOARDS, RULE_FILES
from tests.support.prometheus import free_port, tool, wait_until_ready
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [tool("amtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


class Alertmanager:
    """A running Alertmanager."""

    def __init__(self, address: str) -> None:
        self.address = address

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Return the alerts of this Alertmanager, in the format of Alertmanager's API."""
        response = httpx.get(f"http://{self.address}/api/v2/alerts", timeout=PATIENCE_SECONDS)
        assert response.status_code == 200, response.text
        alerts: Sequence[Mapping[str, Any]] = response.json()
        return alerts

    def fire(self, *alerts: Mapping[str, str], annotations: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Fire one alert for each set of labels.

        Args:
            annotations: the annotations of the alerts by `alertname`.
        """
        texts = annotations or {}
        self._post([{"labels": labels, "annotations": texts.get(labels["alertname"], {})} for labels in alerts])

    def resolve(self, *alerts: Mapping[str, str]) -> None:
        """End the alerts with these labels."""
        self._post([{"labels": labels, "endsAt": datetime.now(UTC).isoformat()} for labels in alerts])

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        response = httpx.post(f"http://{self.address}/api/v2/alerts", json=alerts, timeout=PATIENCE_SECONDS)
        assert response.status_code == 200, response.text

    def until(self, name: str, wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Mapping[str, Any]:
        """Wait for an alert with this name for which `wanted` is true, and return it."""

        def look() -> Mapping[str, Any] | None:
            named = (alert for alert in self.alerts() if alert["labels"]["alertname"] == name)
            return next(filter(wanted, named), None)

        return wait_for(look, name)


@contextmanager
def alerting(configuration: Path, directory: Path) -> Iterator[Alertmanager]:
    """Run an Alertmanager until the context ends."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus-alertmanager"),
        f"--config.file={configuration}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with (directory / "alertmanager.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://{address}/-/ready", process)
            yield Alertmanager(address)
        finally:
            process.kill()
            process.wait()


def hurried_rules(directory: Path) -> Path:
    """Copy the rule files, change `for` of every alert to two seconds, and return the directory of the copies."""
    copies = directory / "rules"
    copies.mkdir()
    for file in RULE_FILES:
        copy, _ = re.subn(r"\bfor: \w+", "for: 2s", file.read_text())
        (copies / file.name).write_text(copy)
    return copies


def muted_configuration(directory: Path) -> Path:
    """Copy the example configuration, direct its receivers to a closed port, and return the path of the copy."""
    copy = directory / "alertmanager.yml"
    example = (DASHBOARDS / "alertmanager.yml").read_text()
    copy.write_text(example.replace("https://chat.example.com", f"http://127.0.0.1:{free_port()}"))
    return copy


def prometheus_configuration(rules: Path, alertmanager: Alertmanager) -> str:
    """The part of a Prometheus configuration that names the rule files and the Alertmanager to send alerts to."""
    return (
        f"rule_files: ['{rules}/*.yaml']\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager.address}']}}]}}]}}\n"
    )

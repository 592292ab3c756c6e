"""A real Alertmanager that takes what a Prometheus of a test sends, and its amtool."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.paths import DASHBOARDS, RULE_FILES
from tests.support.prometheus import free_port, tool, wait_until_ready

_PATIENCE = 60.0


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run amtool."""
    command = [tool("amtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)


class Alertmanager:
    """A running Alertmanager."""

    def __init__(self, address: str) -> None:
        self.address = address

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """The alerts that it holds, as its API describes them."""
        response = httpx.get(f"http://{self.address}/api/v2/alerts", timeout=_PATIENCE)
        assert response.status_code == 200, response.text
        alerts: Sequence[Mapping[str, Any]] = response.json()
        return alerts

    def tell(self, *alerts: Mapping[str, str]) -> None:
        """Let alerts with these labels fire."""
        told = httpx.post(f"http://{self.address}/api/v2/alerts", json=[{"labels": one} for one in alerts])
        assert told.status_code == 200, told.text

    def until(self, name: str, wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Mapping[str, Any]:
        """The alert of this name as soon as it is there, and as it is wanted."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for alert in self.alerts():
                if alert["labels"]["alertname"] == name and wanted(alert):
                    return alert
            time.sleep(0.2)
        pytest.fail(f"no such {name} after {_PATIENCE:g} seconds, but {self.alerts()}")


@contextmanager
def alerting(configuration: Path, directory: Path) -> Iterator[Alertmanager]:
    """An Alertmanager; ended when the context ends."""
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
    """Copy the rules, with alerts that are pending for two seconds only, and return the directory of the copies."""
    copies = directory / "rules"
    copies.mkdir()
    for file in RULE_FILES:
        copy, _ = re.subn(r"\bfor: \w+", "for: 2s", file.read_text())
        (copies / file.name).write_text(copy)
    return copies


def muted_configuration(directory: Path) -> Path:
    """Copy the example configuration, with receivers that do not exist, and return the path of the copy."""
    copy = directory / "alertmanager.yml"
    example = (DASHBOARDS / "alertmanager.yml").read_text()
    copy.write_text(example.replace("https://chat.example.com", f"http://127.0.0.1:{free_port()}"))
    return copy


def prometheus_configuration(rules: Path, alertmanager: Alertmanager) -> str:
    """The part of a Prometheus configuration that evaluates rules and sends alerts."""
    return (
        f"rule_files: ['{rules}/*.yaml']\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager.address}']}}]}}]}}\n"
    )

"""A real Prometheus that scrapes services, and promtool."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.waiting import PATIENCE_SECONDS, wait_for

_DATA = "tsdb"
# All requests share this client, because making a client takes longer than most requests.
_CLIENT = httpx.Client(timeout=PATIENCE_SECONDS)


def tool(name: str) -> str:
    """Return the path of a program of Debian's packages `prometheus` or `prometheus-alertmanager`.

    If the program is missing, skip the test, or fail the test in continuous integration.
    """
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    if found is None:
        pytest.skip(f"{name} is not installed; it comes with Prometheus or Alertmanager")
    return found


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [tool("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str, **parameters: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the current value of each series of an expression, by its labels without `instance` and `job`."""
        series = self._get("query", {"query": expression, **parameters})["result"]
        return {_labels(one["metric"]): float(one["value"][1]) for one in series}

    def until(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Query an expression until it has series, and return their values."""
        return wait_for(lambda: self.query(expression), expression)

    def past(self, expression: str, start: datetime, end: datetime) -> list[tuple[dict[str, str], dict[float, float]]]:
        """Evaluate an expression at `start` and every day after it, up to `end`.

        Return for each series all its labels, and its values by Unix time.
        """
        asked = {"query": expression, "start": f"{start.timestamp()}", "end": f"{end.timestamp()}", "step": "1d"}
        series = self._get("query_range", asked)["result"]
        return [(one["metric"], {float(at): float(value) for at, value in one["values"]}) for one in series]

    def series(self, selector: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        """Return the labels of all series with samples between two times."""
        asked = {"match[]": selector, "start": f"{start.timestamp()}", "end": f"{end.timestamp()}"}
        series: list[dict[str, str]] = self._get("series", asked)
        return series

    def targets(self) -> Sequence[Mapping[str, Any]]:
        """Return the scrape targets of this Prometheus and their health."""
        active: Sequence[Mapping[str, Any]] = self._get("targets", {})["activeTargets"]
        return active

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        response = _CLIENT.get(f"{self.url}/api/v1/{path}", params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in {"instance", "job"}))


def load(history: Path, directory: Path) -> None:
    """Import OpenMetrics with timestamps, for a Prometheus that is started in this directory after the import."""
    given = ["--max-block-duration=1500h", "openmetrics", str(history), str(directory / _DATA)]
    loaded = promtool("tsdb", "create-blocks-from", *given)
    assert loaded.returncode == 0, loaded.stderr


@contextmanager
def scraping(urls: Sequence[str], directory: Path, more: str = "", namespace: str = "") -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes services and evaluates rules every second, until the context ends.

    Args:
        more: the rest of the configuration, such as rules and alert managers.
        namespace: the value of the label `namespace` of every series; if it is empty, the series have no such label.
    """
    targets = ", ".join(repr(url.removeprefix("http://")) for url in urls)
    configuration = directory / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "scrape_configs: [{job_name: loopgauge, "
        f"static_configs: [{{targets: [{targets}], labels: {{namespace: '{namespace}'}}}}]}}]\n{more}"
    )
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / _DATA}",
        # With the default retention, Prometheus would delete old samples that a test has imported.
        "--storage.tsdb.retention.time=2y",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://{address}/-/ready", process)
            yield Prometheus(f"http://{address}")
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server responds with success."""

    def ready() -> bool:
        assert process.poll() is None, "the server has ended"
        try:
            return _CLIENT.get(url).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(ready, url)

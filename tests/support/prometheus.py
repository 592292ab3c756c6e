"""A real Prometheus that scrapes what a test runs, and its promtool."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

_PATIENCE = 60.0
_DATA = "tsdb"
# One for all that is asked: a client for each question would take longer to make than most answers.
_CLIENT = httpx.Client(timeout=_PATIENCE)


def tool(name: str) -> str:
    """The path of a program of Debian's packages `prometheus` or `prometheus-alertmanager`.

    Where it is missing the test is skipped, but never in continuous integration.
    """
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    if found is None:
        pytest.skip(f"{name} is not installed; it comes with Prometheus")
    return found


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = [tool("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=_PATIENCE, check=False)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str, **parameters: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The value of each series that an expression has now, by its labels without `instance` and `job`."""
        found = self._get("query", {"query": expression, **parameters})["result"]
        return {_labels(one["metric"]): float(one["value"][1]) for one in found}

    def until(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What an expression has as soon as it has anything."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if found := self.query(expression):
                return found
            time.sleep(0.2)
        pytest.fail(f"Prometheus has nothing for {expression} after {_PATIENCE:g} seconds")

    def past(self, expression: str, start: datetime, end: datetime) -> list[tuple[dict[str, str], dict[float, float]]]:
        """The series that an expression has at each midnight UTC between two: all labels, and values by Unix time."""
        asked = {"query": expression, "start": f"{start.timestamp()}", "end": f"{end.timestamp()}", "step": "1d"}
        found = self._get("query_range", asked)["result"]
        return [(one["metric"], {float(at): float(value) for at, value in one["values"]}) for one in found]

    def series(self, selector: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        """The labels of all series that had samples between two moments."""
        asked = {"match[]": selector, "start": f"{start.timestamp()}", "end": f"{end.timestamp()}"}
        found: list[dict[str, str]] = self._get("series", asked)
        return found

    def targets(self) -> Sequence[Mapping[str, Any]]:
        """What it scrapes, and how that goes."""
        active: Sequence[Mapping[str, Any]] = self._get("targets", {})["activeTargets"]
        return active

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        response = _CLIENT.get(f"{self.url}/api/v1/{path}", params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in {"instance", "job"}))


def load(history: Path, directory: Path) -> None:
    """Give a Prometheus that is started in this directory afterwards a past, from OpenMetrics with timestamps."""
    given = ["--max-block-duration=1500h", "openmetrics", str(history), str(directory / _DATA)]
    loaded = promtool("tsdb", "create-blocks-from", *given)
    assert loaded.returncode == 0, loaded.stderr


@contextmanager
def scraping(urls: Sequence[str], directory: Path, more: str = "", namespace: str = "") -> Iterator[Prometheus]:
    """A Prometheus that scrapes services, and evaluates rules, every second; ended when the context ends.

    Args:
        more: what else its configuration says, such as rules and where alerts go.
        namespace: a label that the series get, unless it is empty.
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
        # What was loaded is to stay.
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
    """A port on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was just started says that it is ready."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "it has ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{url} is not ready after {_PATIENCE:g} seconds")

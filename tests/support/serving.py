"""The command `loopgauge` in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from tests.support.builders import SECRET, GitHubRequest, Issue, at
from tests.support.data_directory import data_directory
from tests.support.road import Samples, parse_samples
from tests.support.waiting import PATIENCE_SECONDS, wait_for

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"
"""The URL of a database on a port on which no server listens."""

COMMAND = (sys.executable, "-m", "service")

IN_FLIGHT = ("experiments_in_flight", "proposed", "acme/app")
"""The key in `Service.samples` of the number of proposed experiments, to which a delivery of `opened()` adds one."""


def opened(number: int = 45) -> GitHubRequest:
    """A delivery that proposes an experiment."""
    return Issue(number=number, created_at=at(2)).opened()


class Service:
    """A running `loopgauge serve`."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str], url: str, data_dir: Path) -> None:
        self.process = process
        self.url = url
        self._log = log
        self._token_file = data_dir / "read-token"

    @property
    def token(self) -> str:
        """The read token in the data directory; empty if the service made none."""
        return self._token_file.read_text().strip() if self._token_file.exists() else ""

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which the service listens."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def get(self, path: str) -> httpx.Response:
        """Request a path, with the read token in the data directory."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.get(self.url + path, headers=headers, timeout=PATIENCE_SECONDS)

    def post(self, request: GitHubRequest) -> httpx.Response:
        """Post a GitHub delivery."""
        url = f"{self.url}/webhooks/github"
        return httpx.post(url, content=request.body, headers=request.headers(), timeout=PATIENCE_SECONDS)

    def post_all(self, requests: Sequence[GitHubRequest]) -> None:
        """Post GitHub deliveries, and check that each is accepted."""
        with httpx.Client(timeout=PATIENCE_SECONDS) as client:
            for request in requests:
                url = f"{self.url}/webhooks/github"
                response = client.post(url, content=request.body, headers=request.headers())
                assert response.status_code == 202, response.text

    def samples(self) -> Samples:
        """The samples of a scrape."""
        return parse_samples(self.get("/metrics").text)

    def log(self) -> list[dict[str, Any]]:
        """The log entries since the last call."""
        return [json.loads(line) for line in self._log.readlines()]

    def end(self, how: signal.Signals) -> int:
        """Send a signal, wait until the process ends, and return its exit status."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serving(database_url: str | None, directory: Path, **variables: str) -> Iterator[Service]:
    """Run the service on a free port until the context ends.

    Args:
        database_url: the URL of PostgreSQL, or `None` for the embedded one.
        directory: the parent of the log and of the data directory.
        variables: the values of settings, by name without the prefix `LOOPGAUGE_`.
    """
    database = {"DATABASE_URL": database_url} if database_url else {}
    # Do not use the default data directory: it may belong to a real service on this machine.
    defaults = {"SOURCES__GITHUB__SECRET": SECRET, "DATA_DIR": str(directory / "data")}
    settings = {**defaults, **database, **variables}
    path = directory / f"log-{time.monotonic_ns()}"
    with path.open("w") as written, path.open() as read:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"],
            env=environment(**settings),
            stderr=written,
            text=True,
        )
        try:
            url = wait_for(lambda: _listening(read, process))
            yield Service(process, read, url, Path(settings["DATA_DIR"]))
        finally:
            process.kill()
            process.wait()


def environment(**variables: str) -> Mapping[str, str]:
    """The environment of this process, with only these settings of the service, and the data directory of the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}
    return {**inherited, **data_directory(), **{f"LOOPGAUGE_{name}": value for name, value in variables.items()}}


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and return its result when it has ended."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def _listening(log: IO[str], process: subprocess.Popen[str]) -> str | None:
    for line in log.readlines():
        entry = json.loads(line)
        if entry["event"] == "listening":
            return str(entry["url"])
    assert process.poll() is None
    return None

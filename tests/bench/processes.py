"""Run the service as a process, and measure its memory and CPU time from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.support.builders import SECRET, github
from tests.support.prometheus import free_port

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 60.0
_PING = github("ping", {"zen": "Keep it logically awesome."})


@dataclass(frozen=True, slots=True)
class Service:
    """A running service that is ready.

    Attributes:
        process: the main process of the service, the parent of its other processes.
        host, port: the address on which the service listens.
        ready_after: seconds from the start until the service was ready and, if its role accepts deliveries, had
            accepted one.
    """

    process: "subprocess.Popen[bytes]"
    host: str
    port: int
    ready_after: float

    def get(self, path: str) -> bytes:
        """The body of the response to a GET request, which uses a new connection."""
        connection = HTTPConnection(self.host, self.port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == HTTPStatus.OK, body
            return body
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a process, in units of a million bytes.

    Attributes:
        resident: the resident set, including pages that other processes share.
        share: the proportional set: the sum of the sizes of all pages, each size divided by the number of processes
            that share the page.
    """

    resident: float
    share: float


@contextmanager
def service(directory: Path, url: str | None, role: str = "all", **variables: str) -> Iterator[Service]:
    """Run the service in a role, and yield it when it is ready.

    Args:
        directory: the data directory of the service; it is not deleted.
        url: the URL of PostgreSQL, or None for the embedded one.
        variables: the values of further settings, by name without the prefix `LOOPGAUGE_`.
    """
    port = free_port()
    ours = {
        "DATA_DIR": str(directory),
        "PORT": str(port),
        "ROLE": role,
        "LOG_LEVEL": "warning",
        "OPEN_READS": "true",
        "SOURCES__GITHUB__SECRET": SECRET,
        **({} if url is None else {"DATABASE_URL": url}),
        **variables,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}
    environment |= {f"LOOPGAUGE_{name}": value for name, value in ours.items()}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=environment)
    try:
        _until_ready(process, port, takes_deliveries=role != "worker")
        yield Service(process, "127.0.0.1", port, time.perf_counter() - began)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_SECONDS)
        process.kill()
        process.wait()


def _until_ready(process: "subprocess.Popen[bytes]", port: int, *, takes_deliveries: bool) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(port, takes_deliveries=takes_deliveries):
        assert process.poll() is None, f"the service ended with status {process.returncode}"
        assert time.monotonic() < deadline, f"the service is not ready after {_PATIENCE_SECONDS:g} seconds"
        time.sleep(_POLL_SECONDS)


def _is_ready(port: int, *, takes_deliveries: bool) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        answer.read()
        if answer.status != HTTPStatus.OK:
            return False
        if takes_deliveries:
            connection.request("POST", _PING.path, _PING.body, _PING.headers())
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.ACCEPTED, answer.read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def children(pid: int) -> Sequence[int]:
    """The running children of a process, the oldest first."""
    # Linux lists the children of each thread separately.
    listed = Path("/proc", str(pid), "task").glob("*/children")
    return sorted(int(child) for children in listed for child in children.read_text().split())


def memory(pid: int) -> Memory:
    """The current memory of a process."""
    lines = (line.split() for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()[1:])
    # Linux counts in kB of 1024 bytes.
    held = {name: int(value) * 1024 / 1e6 for name, value, *_ in lines}
    return Memory(held["Rss:"], held["Pss:"])


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and of its descendants, including ended ones, in seconds."""
    # User and system time of the process and of its reaped children, in clock ticks.
    spent = sum(map(int, _stat(pid)[11:15])) / os.sysconf("SC_CLK_TCK")
    for child in children(pid):
        # Skip a child that ends meanwhile: Linux adds its time to the time of its parent.
        with suppress(OSError):
            spent += cpu_seconds(child)
    return spent


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name of the process, which may itself contain spaces and parentheses."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(") ")[2].split()

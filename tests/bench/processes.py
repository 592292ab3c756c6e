"""The service as a process of its own, as it is run: started until it is ready, and looked at from outside."""

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
    """A service that runs and is ready.

    Attributes:
        process: its process; those beside it are its children.
        host, port: where it listens.
        ready_after: seconds from the start of the process until it was ready, and had taken a delivery if it takes any.
    """

    process: "subprocess.Popen[bytes]"
    host: str
    port: int
    ready_after: float

    def get(self, path: str) -> bytes:
        """What it answers, on a connection that ends with it."""
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
    """What a process holds, in MB of a million bytes.

    Attributes:
        resident: all that it has in memory, also what others have mapped as well.
        share: the same, but of what several have mapped only its share.
    """

    resident: float
    share: float


@contextmanager
def service(directory: Path, url: str | None, role: str = "all", **variables: str) -> Iterator[Service]:
    """The service in a role, started and ready; ended at the end.

    Args:
        directory: for its data; who gives the same one finds it again.
        url: of PostgreSQL, or None for the embedded one.
        variables: further settings.
    """
    port = free_port()
    ours = {
        "DATA_DIR": str(directory),
        "PORT": str(port),
        "ROLE": role,
        "LOG_LEVEL": "warning",
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
    """The processes that a process has started and that run, the oldest first."""
    # Each of its threads has a list of its own.
    listed = Path("/proc", str(pid), "task").glob("*/children")
    return sorted(int(child) for children in listed for child in children.read_text().split())


def memory(pid: int) -> Memory:
    """What a process holds at this moment."""
    lines = (line.split() for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()[1:])
    # In what Linux calls kB, of 1024 bytes.
    held = {name: int(value) * 1024 / 1e6 for name, value, *_ in lines}
    return Memory(held["Rss:"], held["Pss:"])


def cpu_seconds(pid: int) -> float:
    """How long a process and all that it has started have been at work, those that have ended among them."""
    # In clock ticks: for itself and in the kernel, and the same of children that it has waited for.
    spent = sum(map(int, _stat(pid)[11:15])) / os.sysconf("SC_CLK_TCK")
    for child in children(pid):
        # One that has ended meanwhile is part of its parent's time.
        with suppress(OSError):
            spent += cpu_seconds(child)
    return spent


def parent(pid: int) -> int:
    """The process that has started a process."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on, which comes behind a name that may hold anything."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(") ")[2].split()

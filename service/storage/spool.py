"""The spool: a file on the local disk, in which deliveries wait while PostgreSQL is away."""

import os
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
import structlog
import zstandard

from service.deliveries.delivery import Delivery
from service.storage.spool_file import SpoolFile

FILE = "spool.sqlite3"

_ZSTD_LEVEL = 1
_BATCH_BYTES = 32 * 1024 * 1024
_PROBE_BYTES = 64 * 1024
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
_ADD = """
INSERT INTO spooled (id, source, provider, provider_id, headers, body, body_bytes, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_EXPIRED = """
DELETE FROM spooled WHERE refused IS NOT NULL AND coalesce(julianday(received_at), 0) < julianday(?)
"""
_ANY = "SELECT 1 FROM spooled LIMIT 1"
_QUARANTINE = "UPDATE spooled SET refused = ? WHERE id = ?"
# Shrink the file: to set the vacuum mode, SQLite commits, and a commit in mode FULL truncates the file. In mode FULL
# each commit also moves rows into the freed space, which costs time. The spool therefore sets mode FULL only when all
# remaining rows are quarantined, and sets INCREMENTAL again at once.
_SHRINK = ("PRAGMA auto_vacuum = FULL", "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA wal_checkpoint(TRUNCATE)")

_log = structlog.get_logger(__name__)


class Spool:
    """Deliveries on their way to the inbox, in a file. Threads and processes may share it.

    Args:
        directory: the directory of the file, created on first use.

    Attributes:
        path: the path of the file.
    """

    def __init__(self, directory: Path) -> None:
        self.path = Path(os.path.expanduser(directory)) / FILE  # noqa: PTH111 - never raises
        self._file = SpoolFile(self.path, _SCHEMA)

    @property
    def exists(self) -> bool:
        """Whether the file exists. An existing file may contain deliveries of an earlier process."""
        return self._file.exists

    def add(self, batch: Sequence[Delivery]) -> frozenset[UUID]:
        """Add deliveries, all or none, sync them to disk, and return the ids of the new ones.

        Raises:
            SpoolUnavailable: no delivery was added.
        """
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        bodies = [compressor.compress(delivery.body) for delivery in batch]
        with self._file.transaction() as connection:
            self._file.check_space(sum(map(len, bodies)))
            return frozenset(
                delivery.id
                for delivery, body in zip(batch, bodies, strict=True)
                if connection.execute(_ADD, _row(delivery, body)).rowcount
            )

    def read_oldest(self, limit: int) -> list[Delivery]:
        """Read the deliveries that were added first: up to `limit`, or fewer if their bodies are large.

        Quarantine each delivery that the disk has corrupted, so that it does not block other deliveries.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        if self._file.is_missing:
            return []
        query = "SELECT * FROM spooled WHERE refused IS NULL ORDER BY place LIMIT ?"
        batch: list[Delivery] = []
        size = 0
        with self._file.transaction() as connection:
            for row in connection.execute(query, (limit,)):
                size += row["body_bytes"]
                if batch and size > _BATCH_BYTES:
                    break
                try:
                    batch.append(_delivery(row))
                except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
                    _log.error("a spooled delivery cannot be read", delivery=row["id"], cause=str(error))
                    connection.execute(_QUARANTINE, (str(error), row["id"]))
        return batch

    def remove(self, ids: Collection[UUID]) -> None:
        """Remove deliveries that the inbox has stored. If no other delivery waits, shrink or remove the file.

        Raises:
            SpoolUnavailable: the file may still contain the deliveries. The caller may store them in the inbox again,
                since the inbox ignores duplicates.
        """
        with self._file.transaction() as connection:
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(str(id_),) for id_ in ids])
        self.tidy()

    def tidy(self) -> None:
        """Shrink the file if it contains only quarantined deliveries, and remove it if it contains none.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        if self._file.is_missing:
            return
        with self._file.transaction() as connection:
            waiting = connection.execute("SELECT 1 FROM spooled WHERE refused IS NULL LIMIT 1").fetchone()
        if waiting is None and not self._file.remove_if_no_row(_ANY):
            with self._file.connection() as connection:
                for pragma in _SHRINK:
                    connection.execute(pragma)

    def delete_expired(self, before: datetime) -> int:
        """Delete the quarantined deliveries that were received before `before`, and return their number.

        A delivery whose time of receipt the disk has corrupted is deleted too. No delivery that waits for PostgreSQL is
        deleted.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        if self._file.is_missing:
            return 0
        with self._file.transaction() as connection:
            deleted = connection.execute(_EXPIRED, (before.isoformat(),)).rowcount
        if deleted:
            self.tidy()
        return deleted

    def quarantine(self, delivery: UUID, reason: str) -> None:
        """Keep a delivery that the inbox rejects, but do not read it again.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        with self._file.transaction() as connection:
            connection.execute(_QUARANTINE, (reason, str(delivery)))

    def count(self) -> int:
        """Count the deliveries, including quarantined deliveries.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        if self._file.is_missing:
            return 0
        with self._file.transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM spooled").fetchone()[0])

    def check_writable(self, size: int = _PROBE_BYTES) -> None:
        """Check that deliveries can be added.

        Args:
            size: the number of bytes to write for the check.

        Raises:
            SpoolUnavailable: the file cannot be used.
        """
        with self._file.transaction() as connection:
            self._file.check_space(size)
            connection.execute("CREATE TABLE IF NOT EXISTS probe (filled BLOB) STRICT")
            connection.execute("INSERT INTO probe VALUES (zeroblob(?))", (size,))
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM probe")

    def check_directory(self) -> None:
        """Check that the file's directory is writable. Create the directory if it is missing, but not the file.

        Raises:
            SpoolUnavailable: the directory cannot be created, or is not writable.
        """
        self._file.check_directory()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


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

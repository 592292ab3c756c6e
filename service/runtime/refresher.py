"""The refresher: a process beside the leader that takes its snapshots, so that a refresh holds nobody up.

A snapshot of many experiments is a second of pure Python, and what was read for one is kept for the next.
"""

from datetime import UTC, datetime

import msgspec

from service.metrics.terms import Terms
from service.pipeline.snapshot import ExperimentCache, Snapshot, take_snapshot
from service.runtime.subprocess import Answering, Beginning, ChildProcess, accompany
from service.storage.database import Database


class Refresher:
    """The leader's end.

    Args:
        database: whose experiments are counted.
        terms: those of the figures.
        log_level: of what the process logs, to the same standard error.
    """

    def __init__(self, database: Database, terms: Terms, log_level: str) -> None:
        beginning = Beginning(database.url, terms, log_level)
        self._companion = ChildProcess(__name__, "takes snapshots", beginning, Snapshot)

    async def refresh(self) -> Snapshot:
        """The figures of this moment; one at a time. Whoever gives up waiting for them ends the process.

        Raises:
            DatabaseUnavailable: the experiments cannot be read.
            CompanionFailed: the process has a fault, or was killed.
        """
        return await self._companion.ask(None)

    async def close(self) -> None:
        """End the process, if there is one."""
        await self._companion.close()


def _begin(beginning: Beginning) -> Answering:
    database, memory = Database(beginning.url, pool_size=1), ExperimentCache()

    async def snapshot(_: msgspec.Raw) -> Snapshot:
        nonlocal memory
        try:
            return await take_snapshot(database, beginning.terms, _now, memory)
        except Exception:
            # Another server may be there now, on which the same version means something else.
            memory = ExperimentCache()
            raise

    return snapshot


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    accompany(_begin)

"""Measure the price of PgBouncer in transaction mode for the writer of the inbox, which stores each delivery.

Each round stores the same batches without a pooler, through PgBouncer with a session for each client, and through
PgBouncer in transaction mode.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvloop

from service.deliveries.delivery import Delivery
from service.storage.database import Database
from service.storage.inbox_writer import InboxWriter
from tests.bench.report import Line
from tests.support.builders import Issue, at
from tests.support.pgbouncer import pooling

_ROUNDS = 5
_BATCHES = 100
_TRANSACTION, _SESSION, _NONE = "PgBouncer in transaction mode", "PgBouncer in session mode", "no pooler"


def measure(url: str, directory: Path) -> Iterator[Line]:  # noqa: ARG001 - every benchmark gets a directory
    """Measure batches of one delivery and of 64."""
    with pooling(url, "transaction") as transaction, pooling(url, "session") as session:
        urls = {_NONE: url, _SESSION: f"{session.url}&pgbouncer=false", _TRANSACTION: transaction.url}
        for size in (1, 64):
            rounds = [uvloop.run(_round(urls, turn, size)) for turn in range(1 + _ROUNDS)][1:]
            for place, what in enumerate(("time", "CPU time of the process")):
                for against in (_NONE, _SESSION):
                    yield Line(
                        what=f"{what} to store a batch of {size} through {_TRANSACTION}",
                        values=[one[_TRANSACTION][place] for one in rounds],
                        unit="µs",
                        against=against,
                        references=[one[against][place] for one in rounds],
                    )


async def _round(urls: Mapping[str, str], turn: int, size: int) -> dict[str, tuple[float, float]]:
    return {name: await _store(url, f"{name} {turn} {size}", size) for name, url in urls.items()}


async def _store(url: str, name: str, size: int) -> tuple[float, float]:
    """Store batches, and return the time and the CPU time of this process for a batch, in microseconds."""
    numbers = range(_BATCHES * size)
    template = Issue(created_at=at(2)).opened()
    stored = [Delivery(name, "github", str(number), template.headers(), template.body, at(2)) for number in numbers]
    batches = [stored[place : place + size] for place in range(0, len(stored), size)]
    database = Database(url)
    writer = InboxWriter(database)
    await writer.store([Delivery(name, "github", "first", template.headers(), template.body, at(2))])
    began, used = time.perf_counter(), time.process_time()
    for batch in batches:
        await writer.store(batch)
    took = time.perf_counter() - began, time.process_time() - used
    await writer.close()
    await database.close()
    return took[0] / _BATCHES * 1e6, took[1] / _BATCHES * 1e6

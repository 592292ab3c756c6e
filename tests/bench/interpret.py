"""Measure how fast workers process the deliveries in the inbox, until the experiments are up to date.

One transaction fills the inbox after the workers are ready, so that all workers begin at the same moment. The load
generator runs on the same machine: it is busy while the API is measured, and idle while the workers are measured.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import zstandard

from tests.bench.load import REQUESTS, load
from tests.bench.processes import Service, cpu_seconds, parent, service
from tests.bench.report import Line
from tests.bench.traffic import traffic

_DELIVERIES = 20_000
_ROUNDS = 3
_SINCE = datetime(2026, 3, 2, 9, tzinfo=UTC)
_APART = timedelta(milliseconds=1)
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 120
_LOAD_SECONDS = 4
_WHAT = "deliveries processed by one worker"
COLUMNS = ("id", "source", "provider", "provider_id", "headers", "body", "body_bytes", "received_at")
"""The columns of a pending delivery."""
CLEAR = """
    TRUNCATE deliveries, events, spare_events, event_deliveries, links, link_statements, aliases, identities,
        identity_version, touched, experiments, exclusions
"""
_SNAPSHOT = b"loopgauge_snapshot_timestamp_seconds"
_IS_LEFT = "SELECT EXISTS (SELECT FROM deliveries WHERE verdict IS NULL) OR EXISTS (SELECT FROM touched)"


@dataclass(frozen=True, slots=True)
class _Work:
    """The performance of one worker, or of two workers together.

    `rate` is in deliveries a second. `worker` and `postgresql` are the CPU time of the workers and of PostgreSQL for
    each delivery, in microseconds.
    """

    rate: float
    worker: float
    postgresql: float


@dataclass(frozen=True, slots=True)
class _Round:
    """The results of one round: `one` with one worker, `two` with two workers.

    `acknowledged` is the rate at which one API process accepts deliveries, and `decoded` the rate at which `json` alone
    parses their bodies, both in deliveries a second.
    """

    acknowledged: float
    decoded: float
    one: _Work
    two: _Work


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure four rates in each round: of one API process, of decoding alone, of one worker, and of two workers.

    Args:
        url: the URL of a migrated database on this machine. The benchmark truncates its tables.
        directory: the parent of the services' data directories.
    """
    deliveries = list(stored(_DELIVERIES))
    bodies = [zstandard.ZstdDecompressor().decompress(row[5]) for row in deliveries]
    rounds = [_round(url, directory, deliveries, bodies) for _ in range(_ROUNDS)]
    rates = [one.one.rate for one in rounds]
    for against, references, least in (
        ("acknowledged by one API process", [one.acknowledged for one in rounds], 0.5),
        ("decoding the same bodies", [one.decoded for one in rounds], None),
    ):
        yield Line(what=_WHAT, values=rates, unit="/s", against=against, references=references, least=least)
    two = [one.two.rate for one in rounds]
    yield Line(
        what="deliveries processed by two workers",
        values=two,
        unit="/s",
        against="one worker",
        references=rates,
        least=1.6,
    )
    yield Line(what="CPU time of the worker for each delivery", values=[one.one.worker for one in rounds], unit="µs")
    yield Line(
        what="CPU time of PostgreSQL for each delivery", values=[one.one.postgresql for one in rounds], unit="µs"
    )


def _round(url: str, directory: Path, deliveries: Sequence[tuple[Any, ...]], bodies: Sequence[bytes]) -> _Round:
    return _Round(
        _acknowledged(url, directory),
        _decoded(bodies),
        asyncio.run(_work(url, directory, deliveries, 1)),
        asyncio.run(_work(url, directory, deliveries, 2)),
    )


def _acknowledged(url: str, directory: Path) -> float:
    with service(directory / "api", url, "api") as running:
        return load(running.port, REQUESTS, _LOAD_SECONDS, directory).rate


def stored(count: int) -> Iterator[tuple[Any, ...]]:
    """Deliveries as rows of the inbox, in the order of `COLUMNS`."""
    compressor = zstandard.ZstdCompressor(level=1)
    for place, request in enumerate(traffic(count)):
        delivery = request.delivery(_SINCE + place * _APART)
        headers = msgspec.json.encode(delivery.headers).decode()
        named = delivery.id, delivery.source, delivery.provider, delivery.provider_id
        yield *named, headers, compressor.compress(delivery.body), len(delivery.body), delivery.received_at


def _decoded(bodies: Sequence[bytes]) -> float:
    began = time.perf_counter()
    for body in bodies:
        json.loads(body)
    return len(bodies) / (time.perf_counter() - began)


async def _work(url: str, directory: Path, deliveries: Sequence[tuple[Any, ...]], workers: int) -> _Work:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(CLEAR)
        with ExitStack() as running:
            started = [running.enter_context(service(directory / "worker", url, "worker")) for _ in range(workers)]
            await _until_led(started)
            processes = [one.process.pid for one in started]
            postmaster = parent(await connection.fetchval("SELECT pg_backend_pid()"))
            async with connection.transaction():
                await connection.copy_records_to_table("deliveries", records=deliveries, columns=COLUMNS)
                before = [cpu_seconds(process) for process in (*processes, postmaster)]
            began = time.perf_counter()
            await _until_nothing_is_left(connection)
            taken = time.perf_counter() - began
            spent = [cpu_seconds(process) - was for process, was in zip((*processes, postmaster), before, strict=True)]
    finally:
        await connection.close()
    each = 1e6 / len(deliveries)
    return _Work(len(deliveries) / taken, sum(spent[:-1]) * each, spent[-1] * each)


async def _until_led(workers: Sequence[Service]) -> None:
    """Wait until a worker exports a snapshot: then this worker leads, and its child process runs."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not any(_SNAPSHOT in worker.get("/metrics") for worker in workers):  # noqa: ASYNC110 - no event signals this
            await asyncio.sleep(_LOOK_SECONDS)


async def _until_nothing_is_left(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await connection.fetchval(_IS_LEFT):  # noqa: ASYNC110 - no event signals this state
            await asyncio.sleep(_LOOK_SECONDS)

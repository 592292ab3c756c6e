"""How fast workers bring deliveries from the inbox to the experiments, beside nothing but decoding them.

Workers are ready before the inbox is filled, in one transaction: all of them begin at the same moment.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from socket import socket
from typing import Any

import asyncpg
import msgspec
import zstandard

from tests.bench.report import Line
from tests.bench.traffic import traffic
from tests.builders import SECRET

_DELIVERIES = 20_000
_ROUNDS = 3
_SINCE = datetime(2026, 3, 2, 9, tzinfo=UTC)
_APART = timedelta(milliseconds=1)
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 120
_TICKS = os.sysconf("SC_CLK_TCK")
COLUMNS = ("id", "source", "provider", "provider_id", "headers", "body", "body_bytes", "received_at")
"""Those of a delivery that is pending."""
CLEAR = """
    TRUNCATE deliveries, events, event_deliveries, links, link_statements, aliases, touched, experiments, exclusions
"""
_SNAPSHOT = b"loopgauge_snapshot_timestamp_seconds"
_IS_LEFT = "SELECT EXISTS (SELECT FROM deliveries WHERE verdict IS NULL) OR EXISTS (SELECT FROM touched)"


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round came to; CPU times are in microseconds for each delivery."""

    rate: float
    worker: float
    postgresql: float


def measure(url: str, directory: Path) -> Iterator[Line]:
    """One worker and two, and what it costs, in turn with decoding the same bodies.

    Args:
        url: a migrated database, whose server runs on this machine; its tables are emptied.
        directory: where the workers may write.
    """
    deliveries = list(stored(_DELIVERIES))
    bodies = [zstandard.ZstdDecompressor().decompress(row[5]) for row in deliveries]
    decoding, one, two = [], [], []
    for _ in range(_ROUNDS):
        decoding.append(_decode(bodies))
        one.append(asyncio.run(_work(url, directory, deliveries, 1)))
        two.append(asyncio.run(_work(url, directory, deliveries, 2)))
    rates = [each.rate for each in one]
    yield Line(
        what="one worker, from the inbox to the experiments",
        values=rates,
        unit="deliveries/s",
        against="json.loads of the same bodies",
        references=decoding,
    )
    yield Line(
        what="two workers",
        values=[each.rate for each in two],
        unit="deliveries/s",
        against="one worker",
        references=rates,
        least=1.6,
    )
    yield Line(what="CPU time of the worker", values=[each.worker for each in one], unit="µs/delivery", most=150)
    yield Line(
        what="CPU time of PostgreSQL beside it", values=[each.postgresql for each in one], unit="µs/delivery", most=100
    )


def stored(count: int) -> Iterator[tuple[Any, ...]]:
    """So many deliveries of the traffic as rows of the inbox, in the order of `COLUMNS`."""
    compressor = zstandard.ZstdCompressor(level=1)
    for place, request in enumerate(traffic(count)):
        delivery = request.delivery(_SINCE + place * _APART)
        headers = msgspec.json.encode(delivery.headers).decode()
        named = delivery.id, delivery.source, delivery.provider, delivery.provider_id
        yield *named, headers, compressor.compress(delivery.body), len(delivery.body), delivery.received_at


def _decode(bodies: Sequence[bytes]) -> float:
    began = time.perf_counter()
    for body in bodies:
        json.loads(body)
    return len(bodies) / (time.perf_counter() - began)


async def _work(url: str, directory: Path, deliveries: Sequence[tuple[Any, ...]], workers: int) -> _Round:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(CLEAR)
        with ExitStack() as running:
            ports, started = zip(*(running.enter_context(_worker(url, directory)) for _ in range(workers)), strict=True)
            # Whichever leads has started the process beside it, too.
            _until(lambda: any(_SNAPSHOT in _get(port, "/metrics") for port in ports))
            postmaster = parent(await connection.fetchval("SELECT pg_backend_pid()"))
            async with connection.transaction():
                await connection.copy_records_to_table("deliveries", records=deliveries, columns=COLUMNS)
                await connection.execute("ANALYZE deliveries")
                before = [cpu_seconds(process) for process in (*started, postmaster)]
            await _until_nothing_is_left(connection)
            ended = datetime.now(UTC)
            spent = [cpu_seconds(process) - was for process, was in zip((*started, postmaster), before, strict=True)]
        began = await connection.fetchval("SELECT min(interpreted_at) FROM deliveries")
    finally:
        await connection.close()
    each = 1e6 / len(deliveries)
    return _Round(len(deliveries) / (ended - began).total_seconds(), sum(spent[:-1]) * each, spent[-1] * each)


async def _until_nothing_is_left(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await connection.fetchval(_IS_LEFT):  # noqa: ASYNC110 - nobody tells when it is empty
            await asyncio.sleep(_LOOK_SECONDS)


@contextmanager
def _worker(url: str, directory: Path) -> Iterator[tuple[int, int]]:
    """The port and the process id of a worker that is ready."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {
        "DATABASE_URL": url,
        "DATA_DIR": str(directory / "worker"),
        "PORT": str(port),
        "ROLE": "worker",
        "LOG_LEVEL": "warning",
        "SOURCES__GITHUB__SECRET": SECRET,
    }
    environment = {**os.environ, **{f"LOOPGAUGE_{name}": value for name, value in ours.items()}}
    process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=environment)
    try:
        _until(lambda: bool(_get(port, "/readyz")))
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _until(satisfied: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not satisfied():
        if time.monotonic() > deadline:
            raise TimeoutError("a worker does not get ready")
        time.sleep(_LOOK_SECONDS)


def _get(port: int, path: str) -> bytes:
    """What a worker answers where all is well, or else nothing."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == HTTPStatus.OK else b""
    except OSError:
        return b""
    finally:
        connection.close()


def cpu_seconds(process: int) -> float:
    """The CPU time in seconds of a process and of all that it started, those that have ended among them."""
    spent = sum(map(int, _stat(process)[11:15])) / _TICKS
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        # One that has ended meanwhile is part of its parent's time.
        with suppress(OSError):
            spent += cpu_seconds(int(child))
    return spent


def parent(process: int) -> int:
    return int(_stat(process)[1])


def _stat(process: int) -> list[str]:
    """What the kernel tells of a process, from its state on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()

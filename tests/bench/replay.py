"""Measure the rate of `loopgauge replay`, its CPU time and its memory."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from select import select

import asyncpg

from tests.bench.interpret import CLEAR, COLUMNS, stored
from tests.bench.processes import cpu_seconds, memory, parent
from tests.bench.report import Line
from tests.support.builders import SECRET

DELIVERIES = 50_000
"""The default number of deliveries; a million takes twelve minutes, two of them for the setup."""


_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Replayed:
    """The cost of one replay.

    `rate` is in deliveries a second, and `megabytes` is the peak memory. For each delivery, `process` and `postgresql`
    are the CPU time in microseconds, and `logged` is the write-ahead log in bytes.
    """

    rate: float
    process: float
    postgresql: float
    megabytes: float
    logged: float


def measure(url: str, directory: Path, number: int = DELIVERIES) -> Iterator[Line]:
    """Measure two replays of the same deliveries: the first records all events, the second changes nothing.

    Args:
        url: the URL of a migrated database on this machine. The benchmark truncates its tables.
        directory: the parent directory of the command's files.
        number: the number of deliveries.
    """
    asyncio.run(_fill(url, number))
    first, again = (asyncio.run(_replay(url, directory, number)) for _ in range(2))
    name = f"replay of {number:,} deliveries"
    yield Line(what=f"{name}, first time", values=[first.rate], unit="/s")
    yield Line(what=f"{name}, second time: no change", values=[again.rate], unit="/s")
    yield Line(what=f"{name}: CPU time for each delivery", values=[again.process], unit="µs")
    yield Line(what=f"{name}: CPU time of PostgreSQL for each delivery", values=[again.postgresql], unit="µs")
    yield Line(what=f"{name}: write-ahead log for each delivery", values=[again.logged], unit="bytes")
    yield Line(what=f"{name}: peak memory", values=[again.megabytes], unit="MB")


async def _fill(url: str, number: int) -> None:
    """Store deliveries with the status ignored, as if earlier rules had ignored them."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(CLEAR)
        settled = (*COLUMNS, "verdict", "reason", "rules")
        rows = ((*row, "ignored", "", "") for row in stored(number))
        await connection.copy_records_to_table("deliveries", records=rows, columns=settled, timeout=600)
        await connection.execute("VACUUM ANALYZE deliveries")
    finally:
        await connection.close()


async def _replay(url: str, directory: Path, number: int) -> _Replayed:
    connection = await asyncpg.connect(url)
    try:
        postmaster = parent(await connection.fetchval("SELECT pg_backend_pid()"))
        before = cpu_seconds(postmaster), await connection.fetchval("SELECT pg_current_wal_lsn()")
        taken, process, megabytes = await asyncio.to_thread(_command, url, directory, number)
        postgresql = cpu_seconds(postmaster) - before[0]
        logged = await connection.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", before[1])
    finally:
        await connection.close()
    each = 1e6 / number
    return _Replayed(number / taken, process * each, postgresql * each, megabytes, float(logged) / number)


def _command(url: str, directory: Path, number: int) -> tuple[float, float, float]:
    """Run the command, and return its duration and its CPU time in seconds, and its peak memory in MB."""
    ours = {"DATABASE_URL": url, "DATA_DIR": str(directory / "replay"), "SOURCES__GITHUB__SECRET": SECRET}
    environment = {**os.environ, **{f"LOOPGAUGE_{name}": value for name, value in ours.items()}}
    command = [sys.executable, "-m", "service", "replay", "--json"]
    began, most = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        # Poll the memory of the command. The peak that the kernel reports when the command exits may be the benchmark's
        # own: the command's process begins as a copy of the benchmark.
        while not select([process.stdout], [], [], _LOOK_SECONDS)[0]:
            most = max(most, memory(process.pid).resident)
        told = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    taken = time.perf_counter() - began
    assert process.returncode == 0
    assert told["deliveries"] == number
    return taken, used.ru_utime + used.ru_stime, most

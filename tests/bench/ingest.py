"""Measure how many signed deliveries one process stores durably per second, and the cost of each delivery.

The service, the references, the load generator and PostgreSQL share the machine. Each round measures the service and
the references, one after the other. Each measurement starts after a checkpoint and with empty tables, so that it does
not pay for the writes of the measurement before.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import uvloop

from tests.bench import references
from tests.bench.load import REQUESTS, Load, load
from tests.bench.processes import cpu_seconds, service
from tests.bench.report import Line
from tests.support.prometheus import free_port

_ROUNDS = 5
_SECONDS = 3
_OURS = "loopgauge"


@dataclass(frozen=True, slots=True)
class _Measured:
    load: Load
    cpu: float
    """CPU time of the process for each delivery, in microseconds."""


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure ingest against the references."""
    uvloop.run(_execute(url, references.TABLE))
    with ExitStack() as running:
        processes = {name: running.enter_context(_reference(name, url)) for name in references.REFERENCES}
        started = running.enter_context(service(directory / "ingest", url, "api"))
        processes[_OURS] = started.process.pid, started.port
        # Drop the first round: in it, PostgreSQL creates the files of its write-ahead log, which later rounds recycle.
        _, *rounds = [
            {name: _load(url, pid, port, directory) for name, (pid, port) in processes.items()}
            for _ in range(1 + _ROUNDS)
        ]
    yield from _lines(rounds)


def _lines(rounds: Sequence[Mapping[str, _Measured]]) -> Iterator[Line]:
    rates = {name: [one[name].load.rate for one in rounds] for name in rounds[0]}
    for name, least in (("bare-fastapi", 1.0), ("bare-asgi", 0.4), ("durable-asgi", None), ("naive", 4.0)):
        yield Line(
            what="deliveries acknowledged",
            values=rates[_OURS],
            unit="/s",
            against=_SHOWN[name],
            references=rates[name],
            least=least,
        )
    waits = {name: [one[name].load.most for one in rounds] for name in rounds[0]}
    for name, most in (("bare-fastapi", 2.0), ("durable-asgi", None)):
        yield Line(
            what="99th percentile of the latency of a delivery",
            values=waits[_OURS],
            unit="ms",
            against=_SHOWN[name],
            references=waits[name],
            most=most,
        )
    halves = {name: [one[name].load.half for one in rounds] for name in rounds[0]}
    costs = {name: [one[name].cpu for one in rounds] for name in rounds[0]}
    for name, shown in _SHOWN.items():
        for what, unit, found in (
            ("median latency of a delivery", "ms", halves),
            ("CPU time for a delivery", "µs", costs),
        ):
            yield Line(what=what, values=found[_OURS], unit=unit, against=shown, references=found[name])


_SHOWN = {
    "bare-fastapi": "a bare FastAPI endpoint",
    "bare-asgi": "a bare ASGI function",
    "durable-asgi": "a minimal durable receiver",
    "naive": "a naive receiver",
}


def _load(url: str, pid: int, port: int, directory: Path) -> _Measured:
    uvloop.run(_execute(url, "TRUNCATE deliveries, kept"))
    uvloop.run(_execute(url, "CHECKPOINT"))
    before = cpu_seconds(pid)
    answered = load(port, REQUESTS, _SECONDS, directory)
    return _Measured(answered, (cpu_seconds(pid) - before) / answered.requests * 1e6)


@contextmanager
def _reference(name: str, url: str) -> Iterator[tuple[int, int]]:
    """Run a reference, and yield its process id and its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.references", name, str(port)],
        env={**os.environ, references.DATABASE: url},
    )
    try:
        _until_listening(process, port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def _until_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(600):
        assert process.poll() is None, f"the reference ended with status {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the reference does not listen")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()

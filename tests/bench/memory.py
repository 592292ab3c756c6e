"""Measure the memory of the service at rest, under load, and after an hour's worth of deliveries."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

import asyncpg
import uvloop

from tests.bench.posting import Connection
from tests.bench.processes import Memory, Service, children, memory, service
from tests.bench.report import Line
from tests.bench.traffic import traffic
from tests.support.builders import GitHubRequest

_MOST = 120.0
# The number of deliveries in an hour at 5.5 a second.
_HOUR = 20_000
_CONNECTIONS = 64
_LOOK_SECONDS = 0.2
# The time to wait before the memory at rest is measured. Meanwhile the service takes its first snapshot.
_REST_SECONDS = 3.0
# The time to wait after all deliveries are processed. Meanwhile the service takes a snapshot that includes them all.
_QUIET_SECONDS = 3.0
_PATIENCE_SECONDS = 60.0
_GROWTH = 1.05

_PROCESSES = ("the service", "its child process")
_LEFT = "SELECT (SELECT count(*) FROM deliveries WHERE verdict IS NULL) + (SELECT count(*) FROM touched)"


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure the processes of each role at rest, and those of the role `all` also during and after the load.

    Args:
        url: the URL of a migrated database.
        directory: the parent directory of the services' data directories. The data directories are not deleted.
    """
    with ExitStack() as started:
        roles = {role: started.enter_context(service(directory / role, url, role)) for role in ("api", "worker")}
        time.sleep(_REST_SECONDS)
        for role, running in roles.items():
            yield from _lines(f"{role} at rest", [_processes(running)], _MOST)
    with service(directory / "all", url) as running:
        time.sleep(_REST_SECONDS)
        yield from _lines("all at rest", [_processes(running)], _MOST)
        meanwhile, half, whole = uvloop.run(_hour(url, running))
        servers = uvloop.run(_servers(url))
    yield from _lines("all under load", meanwhile)
    yield from _lines("all after an hour's deliveries", [whole], _MOST)
    for process in whole:
        yield Line(
            what=f"{process}, after all deliveries",
            values=[whole[process].resident],
            unit="MB",
            against="after half of them",
            references=[half[process].resident],
            most=_GROWTH,
        )
    yield Line(what=f"PostgreSQL's {len(servers)} processes, proportional", values=[sum(servers)], unit="MB")


def _processes(running: Service) -> dict[str, Memory]:
    """The memory of the service and of its child process."""
    pid = running.process.pid
    beside = children(pid)
    assert len(beside) <= 1, "an unknown process runs beside the service"
    return {name: memory(one) for name, one in zip(_PROCESSES, (pid, *beside), strict=False)}


def _lines(when: str, rounds: Sequence[Mapping[str, Memory]], most: float | None = None) -> Iterator[Line]:
    for process in rounds[0]:
        held = [found[process] for found in rounds]
        yield Line(what=f"{process}, {when}, resident", values=[one.resident for one in held], unit="MB", most=most)
        yield Line(what=f"{process}, {when}, proportional", values=[one.share for one in held], unit="MB")


async def _hour(
    url: str, running: Service
) -> tuple[list[Mapping[str, Memory]], Mapping[str, Memory], Mapping[str, Memory]]:
    """The memory of the processes during the load, after half of the deliveries, and after all of them."""
    requests = traffic(_HOUR)
    meanwhile: list[Mapping[str, Memory]] = []
    looking = asyncio.create_task(_look(running, meanwhile))
    await _handle(url, running, islice(requests, _HOUR // 2))
    half = _processes(running)
    await _handle(url, running, requests)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    return meanwhile, half, _processes(running)


async def _look(running: Service, found: list[Mapping[str, Memory]]) -> None:
    while True:
        found.append(_processes(running))
        await asyncio.sleep(_LOOK_SECONDS)


async def _handle(url: str, running: Service, requests: Iterator[GitHubRequest]) -> None:
    """Post the requests, and wait until they are processed and the service is idle."""
    await asyncio.gather(*(_post(running, requests) for _ in range(_CONNECTIONS)))
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await connection.fetchval(_LEFT):  # noqa: ASYNC110 - no event signals this state
            await asyncio.sleep(_LOOK_SECONDS)
    await connection.close()
    await asyncio.sleep(_QUIET_SECONDS)


async def _post(running: Service, requests: Iterator[GitHubRequest]) -> None:
    connection = await Connection.to(running)
    for request in requests:
        await connection.post(request)
    connection.close()


async def _servers(url: str) -> list[float]:
    """The proportional set size of each PostgreSQL process except the postmaster, in MB."""
    connection = await asyncpg.connect(url)
    pids = await connection.fetch("SELECT pid FROM pg_stat_activity")
    held = [memory(row["pid"]).share for row in pids]
    await connection.close()
    return held

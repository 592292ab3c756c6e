"""Outages of PostgreSQL under load, and senders that send their bodies slowly."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import httpx
from sqlalchemy import text

from service.storage.embedded import EmbeddedServer
from tests.support.pgbouncer import Mode, PgBouncer, pooling
from tests.support.waiting import PATIENCE_SECONDS
from tests.system.faults.fleet import Fleet, Member, Postgres
from tests.system.faults.load import Offered, copies, dribbling, ideas, offer
from tests.system.faults.state import opened

_AROUND_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_CONNECTIONS = 200
_WHOLE_BODY = 25_000_000
_DRIBBLE = 1_000_000
_DRIBBLERS = 40
_HONEST_BODIES = (0, 20_000, 1_000_000)
_FLOOD_BODY = 8_000
_FLOOD_CONNECTIONS = 1_000


class Cluster:
    """A PostgreSQL that no process of the service restarts."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedServer(directory)
        self.postgres = Postgres(directory)
        self._pooler: PgBouncer | None = None
        self._server.start()
        self.url = self._server.url

    def close(self) -> None:
        self._server.release()
        self.postgres.kill_all()

    @contextmanager
    def behind(self, mode: Mode | None) -> Iterator[str]:
        """Yield the URL for the service: through PgBouncer in this mode, or without a pooler if there is no mode."""
        if mode is None:
            yield self.url
            return
        with pooling(self.url, mode) as self._pooler:
            yield self._pooler.url

    @property
    def pooler(self) -> PgBouncer:
        """The PgBouncer in front of this PostgreSQL."""
        assert self._pooler is not None
        return self._pooler

    @contextmanager
    def pooler_killed(self) -> Iterator[None]:
        """Kill PgBouncer: connections break, and new ones are refused."""
        self.pooler.kill()
        try:
            yield
        finally:
            self.pooler.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze PostgreSQL: connections and queries wait."""
        with self.postgres.frozen():
            yield

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill PostgreSQL: connections are refused."""
        self.postgres.kill_all()
        try:
            yield
        finally:
            self._server.restart()


Away: TypeAlias = Callable[[Cluster], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Outage:
    """The result of an outage.

    Attributes:
        stored: how many accepted deliveries are in PostgreSQL at the end.
        counted: how many of the stored deliveries are counted.
        memory: the peak resident memory of the API, in bytes.
    """

    offered: Offered
    stored: int
    counted: int
    memory: int


def outage(
    directory: Path,
    away: Away,
    seconds: float,
    rate: float,
    patience: float,
    answer_seconds: float = 10.0,
    mode: Mode | None = None,
) -> Outage:
    """Post deliveries at a constant rate before, during and after an outage of PostgreSQL.

    Args:
        seconds: the duration of the outage.
        patience: the maximum number of seconds to wait, after the last answer, until every accepted delivery is
            counted.
        answer_seconds: how long a sender waits for an answer; GitHub waits for ten seconds.
        mode: the mode of the PgBouncer through which the service connects; None to connect without one.
    """
    lasting = seconds + 2 * _AROUND_SECONDS

    def offering(api: Member) -> Coroutine[Any, Any, Offered]:
        return offer(api.port, ideas(), rate, lasting, _CONNECTIONS, patient=True, answer_seconds=answer_seconds)

    return _away_under(offering, directory, away, seconds, patience, all_counted=True, mode=mode)


def flood(directory: Path, seconds: float, rate: float, patience: float) -> Outage:
    """While PostgreSQL is frozen, offer more deliveries than a machine can accept."""
    lasting = seconds + 2 * _AROUND_SECONDS

    def offering(api: Member) -> Coroutine[Any, Any, Offered]:
        return offer(
            api.port, copies(_FLOOD_BODY), rate, lasting, _FLOOD_CONNECTIONS, patient=False, answer_seconds=10.0
        )

    return _away_under(offering, directory, Cluster.frozen, seconds, patience, all_counted=False)


def _away_under(
    offering: Callable[[Member], Coroutine[Any, Any, Offered]],
    directory: Path,
    away: Away,
    seconds: float,
    patience: float,
    *,
    all_counted: bool,
    mode: Mode | None = None,
) -> Outage:
    with contextlib.closing(Cluster(directory / "cluster")) as cluster, cluster.behind(mode) as url:
        asyncio.run(migrate(url))
        settings = {"DATABASE_URL": url, "DATA_DIR": str(directory / "data")}
        api, worker = (Member(role, directory, ROLE=role, **settings) for role in ("api", "worker"))
        with Fleet([api, worker]):
            offered = asyncio.run(_during(offering(api), lambda: away(cluster), seconds))
            wanted = [one.delivery for one in offered.acknowledged]
            stored, counted = asyncio.run(_arrived(cluster.url, wanted, patience, all_counted=all_counted))
            return Outage(offered, stored, counted, api.memory())


async def migrate(url: str) -> None:
    """Migrate a database to the newest schema."""
    async with opened(url) as database:
        await database.migrate()


async def _during(
    offering: Coroutine[Any, Any, Offered], away: Callable[[], AbstractContextManager[None]], seconds: float
) -> Offered:
    def be_away() -> None:
        with away():
            time.sleep(seconds)

    offered = asyncio.create_task(offering)
    await asyncio.sleep(_AROUND_SECONDS)
    await asyncio.to_thread(be_away)
    return await offered


_ARRIVED = text("SELECT count(*), count(*) FILTER (WHERE verdict = 'counted') FROM deliveries WHERE id = ANY(:ids)")


async def _arrived(url: str, wanted: Sequence[UUID], patience: float, *, all_counted: bool) -> tuple[int, int]:
    """Wait until all deliveries are stored or, with `all_counted`, until all are counted.

    Stop waiting after `patience` seconds. Return how many deliveries are stored and how many are counted.
    """
    deadline = time.monotonic() + patience
    async with opened(url) as database:
        while True:
            async with database.transaction() as connection:
                stored, counted = (await connection.execute(_ARRIVED, {"ids": list(wanted)})).one()
            done = counted if all_counted else stored
            if done == len(wanted) or time.monotonic() > deadline:
                return stored, counted
            await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Crowd:
    """The results of an honest sender among many slow senders.

    Attributes:
        honest: the statuses of the responses to the honest sender.
        slowest: the longest time that the honest sender waited for a response, in seconds.
        dribbled: the counts of the slow senders: connections opened (`opened`), connections ended (`ended`) and bytes
            sent (`bytes`).
        memory: the peak resident memory of the API, in bytes.
    """

    honest: list[int]
    slowest: float
    dribbled: dict[str, int]
    memory: int


def crowd(directory: Path, database_url: str, seconds: float, inflight: int, dribbled: int = 0) -> Crowd:
    """Post one signed delivery after another, while other connections slowly send unsigned bodies.

    Args:
        inflight: the limit of the API for the bytes of all bodies in memory.
        dribbled: the minimum number of bytes from the slow senders; the test goes on until they have sent that many.
    """
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(directory), "MAX_INFLIGHT_BYTES": str(inflight)}
    api = Member("api", directory, ROLE="api", **settings)
    with Fleet([api]):
        return asyncio.run(_crowded(api, seconds, dribbled))


async def _crowded(api: Member, seconds: float, dribbled: int) -> Crowd:
    statuses: list[int] = []
    slowest = 0.0
    end = time.monotonic() + seconds
    async with dribbling(api.port, _DRIBBLERS, _WHOLE_BODY, _DRIBBLE) as seen, httpx.AsyncClient() as client:
        for one in ideas(body_bytes=_HONEST_BODIES):
            begun = time.monotonic()
            if begun > end and seen["bytes"] > dribbled:
                break
            response = await client.post(
                api.url + one.path, content=one.body, headers=one.headers, timeout=PATIENCE_SECONDS
            )
            statuses.append(response.status_code)
            slowest = max(slowest, time.monotonic() - begun)
            await asyncio.sleep(0.05)
        return Crowd(statuses, slowest, dict(seen), api.memory())

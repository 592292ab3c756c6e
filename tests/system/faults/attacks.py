"""Attackers without a secret, who try to use up the memory, the time or the connections of an API, and honest senders
meanwhile.
"""

import asyncio
import contextlib
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import UUID

import httpx
from sqlalchemy import text

from tests.support.waiting import PATIENCE_SECONDS
from tests.system.faults.fleet import Fleet, Member
from tests.system.faults.load import ideas
from tests.system.faults.state import opened

_HOST = "127.0.0.1"
_LINE = b"POST /webhooks/github HTTP/1.1\r\nHost: test\r\n"
_CHUNKED = _LINE + b"Transfer-Encoding: chunked\r\n\r\n"
_GET = b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n"
_IDLERS = 1_500
_PAUSE_SECONDS = 0.02
_SOFT_DESCRIPTORS = 256

ATTACKS: Mapping[str, tuple[bytes, bytes]] = {
    "an endless header value": (_LINE + b"X: ", b"x" * 8_000),
    "a header value byte by byte": (_LINE + b"X: ", b"x"),
    "endless header fields": (_LINE, b"a:\r\n" * 2_000),
    "an endless target": (b"GET /", b"x" * 8_000),
    "a slow head": (_LINE, b"X: x\r\n"),
    "chunks of one byte": (_CHUNKED, b"1\r\nx\r\n" * 2_000),
    "endless trailers": (_CHUNKED + b"0\r\n", b"a:\r\n" * 2_000),
    "an endless chunk extension": (_CHUNKED + b"1;", b"x" * 8_000),
    "endless pipelined requests": (b"", _GET * 200),
    "malformed requests": (b"", b"\0" * 100),
    "a body that nothing reads": (_GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 99999999\r\n\r\n"), b"x" * 8_000),
    "a request to upgrade": (_LINE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"x" * 100),
}
"""The beginning of each attack, and the piece that the attacker then sends until the server closes the connection."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """The results of the honest senders, and what the attackers did.

    Attributes:
        statuses: the statuses of the responses to the honest senders, and the errors of requests without a response.
        acknowledged: how many deliveries were acknowledged.
        stored: how many acknowledged deliveries are stored.
        slowest: the longest time that an honest sender waited for a response, in seconds.
        ended: how many connections of each attack the service ended.
        idle: the greatest number of idle connections that the attackers held at one time.
        memory: the peak resident memory of the API, in bytes.
        lines: how many lines the API logged during the attack.
    """

    statuses: Counter[str]
    acknowledged: int
    stored: int
    slowest: float
    ended: Counter[str]
    idle: int
    memory: int
    lines: int


def attack(directory: Path, database_url: str, seconds: float) -> Attacked:
    """Post signed deliveries on old and new connections, while every attack of `ATTACKS` goes on.

    The API starts with a soft limit of file descriptors far below the number of the attackers' idle connections.
    """
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(directory)}
    api = Member("api", directory, ROLE="api", **settings)
    with contextlib.ExitStack() as running:
        with _soft_descriptors(_SOFT_DESCRIPTORS):
            running.enter_context(Fleet([api]))
        return asyncio.run(_attacked(api, database_url, seconds))


@contextmanager
def _soft_descriptors(number: int) -> Iterator[None]:
    """Limit the descriptors of this process, and so of those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _attacked(api: Member, database_url: str, seconds: float) -> Attacked:
    honest = _Honest(api)
    logged = len(api.log.read_text().splitlines())
    async with _attackers(api.port) as (ended, idle):
        end = time.monotonic() + seconds
        await asyncio.gather(honest.post_until(end, keep=True), honest.post_until(end, keep=False))
        # Let every attack run its course, on a slow machine too.
        while time.monotonic() < end + PATIENCE_SECONDS and not (ended.keys() >= ATTACKS.keys()):
            await honest.post_until(time.monotonic() + 1, keep=False)
    stored = await _stored(database_url, honest.acknowledged)
    lines = len(api.log.read_text().splitlines()) - logged
    return Attacked(
        honest.statuses, len(honest.acknowledged), stored, honest.slowest, ended, max(idle), api.memory(), lines
    )


class _Honest:
    """Senders of signed deliveries."""

    def __init__(self, api: Member) -> None:
        self._url = api.url
        self._ideas = ideas(body_bytes=(0, 20_000))
        self.statuses: Counter[str] = Counter()
        self.acknowledged: list[UUID] = []
        self.slowest = 0.0

    async def post_until(self, end: float, *, keep: bool) -> None:
        """Post one delivery after the other, on one connection or on a new one for each."""
        limits = httpx.Limits(max_keepalive_connections=1 if keep else 0)
        async with httpx.AsyncClient(limits=limits, timeout=PATIENCE_SECONDS) as client:
            while time.monotonic() < end:
                await self._post(client)
                await asyncio.sleep(0.05)

    async def _post(self, client: httpx.AsyncClient) -> None:
        one, begun = next(self._ideas), time.monotonic()
        try:
            response = await client.post(self._url + one.path, content=one.body, headers=one.headers)
        except httpx.HTTPError as error:
            self.statuses[type(error).__name__] += 1
            return
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.statuses[str(response.status_code)] += 1
        if response.is_success:
            self.acknowledged.append(UUID(response.json()["delivery"]))


_STORED = text("SELECT count(*) FROM deliveries WHERE id = ANY(:ids)")


async def _stored(url: str, wanted: list[UUID]) -> int:
    async with opened(url) as database, database.transaction() as connection:
        return int((await connection.execute(_STORED, {"ids": wanted})).scalar_one())


@asynccontextmanager
async def _attackers(port: int) -> AsyncIterator[tuple[Counter[str], list[int]]]:
    """Attack until the context ends. Yield the number of ended connections by attack, and of idle ones over time."""
    ended: Counter[str] = Counter()
    idle = [0]
    tasks = [asyncio.create_task(_repeat(port, name, ended)) for name in ATTACKS for _ in range(2)]
    tasks.append(asyncio.create_task(_hold_idle(port, idle)))
    try:
        yield ended, idle
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(port: int, name: str, ended: Counter[str]) -> None:
    begin, piece = ATTACKS[name]
    for _ in count():
        with contextlib.suppress(OSError):
            await _attack_once(port, begin, piece)
            ended[name] += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _attack_once(port: int, begin: bytes, piece: bytes) -> None:
    """Send until the service closes the connection."""
    reader, writer = await asyncio.open_connection(_HOST, port)
    reading = asyncio.create_task(_read_all(reader))
    try:
        writer.write(begin)
        while not reading.done():
            writer.write(piece)
            await asyncio.wait([reading], timeout=_PAUSE_SECONDS)
    finally:
        reading.cancel()
        writer.transport.abort()


async def _read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


async def _hold_idle(port: int, idle: list[int]) -> None:
    """Open idle connections, and replace each connection that the service closes."""
    held: list[asyncio.StreamWriter] = []
    try:
        while True:
            for writer in [one for one in held if one.transport.is_closing()]:
                held.remove(writer)
            with contextlib.suppress(OSError):
                if len(held) < _IDLERS:
                    _, writer = await asyncio.open_connection(_HOST, port)
                    held.append(writer)
            idle.append(len(held))
            await asyncio.sleep(0 if len(held) < _IDLERS else _PAUSE_SECONDS)
    finally:
        for writer in held:
            writer.transport.abort()

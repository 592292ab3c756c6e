"""Requests at a constant rate, and senders that send their bodies slowly."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, cycle

from tests.support.builders import Issue, at
from tests.system.faults.stories import Posting, posting, under_another_id

_TICK_SECONDS = 0.01
_HOST = "127.0.0.1"


@dataclass(slots=True)
class Offered:
    """The results of the requests.

    Attributes:
        acknowledged: the deliveries that got a 2xx.
        others: the number of requests that got another status or no response, by response or error.
        not_taken: the number of requests that were not sent because every connection was busy.
        slowest: the longest time that an answer took, in seconds.
    """

    acknowledged: list[Posting] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    not_taken: int = 0
    slowest: float = 0


def ideas(*, body_bytes: Sequence[int] = (0,)) -> Iterator[Posting]:
    """Generate deliveries that each propose another experiment.

    Args:
        body_bytes: minimum sizes of the bodies; the deliveries cycle through them.
    """
    for number, size in zip(count(1), cycle(body_bytes), strict=False):
        issue = Issue(number=number, title=f"Idea {number}", created_at=at(2)).opened()
        yield posting(replace(issue, body=_padded(issue.body, size)))


def copies(body_bytes: int) -> Iterator[Posting]:
    """Generate deliveries with the same body and different ids; this is faster than `ideas`."""
    one = next(ideas(body_bytes=(body_bytes,)))
    for number in count(1):
        yield under_another_id(one, f"copy {number}")


def _padded(body: bytes, size: int) -> bytes:
    """Pad a JSON object with random hexadecimal digits, which compress no better than text."""
    filling = random.Random(size).randbytes(max(size - len(body), 0) // 2).hex().encode()
    return body[:-1] + b', "unused": "' + filling + b'"}'


async def offer(
    port: int,
    postings: Iterator[Posting],
    rate: float,
    seconds: float,
    connections: int,
    *,
    patient: bool,
    answer_seconds: float,
) -> Offered:
    """Send requests at a constant rate, without waiting for the answers to earlier ones.

    Args:
        rate: requests a second.
        connections: the maximum number of concurrent requests.
        patient: whether requests beyond this maximum wait for a connection; otherwise they are not sent.
        answer_seconds: how long a sender waits for an answer.
    """
    offered = Offered()
    waiting: asyncio.Queue[Posting | None] = asyncio.Queue()
    idle = [connections]
    senders = [asyncio.create_task(_sender(port, waiting, offered, idle, answer_seconds)) for _ in range(connections)]
    begin, made = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        for _ in range(int(now * rate) - made):
            made += 1
            if patient or waiting.qsize() < idle[0]:
                waiting.put_nowait(next(postings))
            else:
                offered.not_taken += 1
        await asyncio.sleep(_TICK_SECONDS)
    for _ in senders:
        waiting.put_nowait(None)
    await asyncio.gather(*senders)
    return offered


async def _sender(
    port: int, waiting: asyncio.Queue[Posting | None], offered: Offered, idle: list[int], answer_seconds: float
) -> None:
    connection: _Connection | None = None
    while one := await waiting.get():
        idle[0] -= 1
        begun = time.monotonic()
        try:
            async with asyncio.timeout(answer_seconds):
                connection = connection or await _Connection.open(port)
                status, body = await connection.post(one)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            offered.others[type(error).__name__] += 1
            if connection is not None:
                connection.close()
            connection = None
        else:
            offered.slowest = max(offered.slowest, time.monotonic() - begun)
            if status == 202:
                offered.acknowledged.append(one)
            else:
                offered.others[f"{status} {body.decode()}"] += 1
        idle[0] += 1
    if connection is not None:
        connection.close()


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection(_HOST, port))

    async def post(self, one: Posting) -> tuple[int, bytes]:
        """Post a request, and return the status and the body of the response."""
        self.writer.write(_head(one, len(one.body)) + one.body)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split()[0])
        body = await self.reader.readexactly(length)
        return int(head.split()[1]), body

    def close(self) -> None:
        self.writer.close()


def _head(one: Posting, length: int) -> bytes:
    named = {"host": _HOST, "content-length": str(length), **one.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {one.path} HTTP/1.1\r\n{lines}\r\n".encode()


@asynccontextmanager
async def dribbling(port: int, connections: int, claimed: int, rate: int) -> AsyncIterator[Counter[str]]:
    """On several connections, slowly send long bodies without a valid signature until the context ends.

    Yield counts: connections opened (`opened`), connections ended (`ended`) and bytes sent (`bytes`).

    Args:
        claimed: the length of each body according to its `content-length` header, in bytes.
        rate: bytes a second on each connection.
    """
    seen: Counter[str] = Counter()
    dribblers = [asyncio.create_task(_dribble(port, claimed, rate, seen)) for _ in range(connections)]
    try:
        yield seen
    finally:
        for dribbler in dribblers:
            dribbler.cancel()
        await asyncio.gather(*dribblers, return_exceptions=True)


async def _dribble(port: int, claimed: int, rate: int, seen: Counter[str]) -> None:
    """Send one body after another. Stop sending a body when the service responds or closes the connection."""
    one = next(ideas())
    piece = b" " * (rate // 10)
    while True:
        with contextlib.suppress(OSError):
            connection = await _Connection.open(port)
            seen["opened"] += 1
            answered = asyncio.create_task(connection.reader.read(1))
            try:
                connection.writer.write(_head(one, claimed))
                while not answered.done():
                    connection.writer.write(piece)
                    seen["bytes"] += len(piece)
                    await connection.writer.drain()
                    await asyncio.sleep(0.1)
            finally:
                connection.close()
                answered.cancel()
                await asyncio.gather(answered, return_exceptions=True)
        seen["ended"] += 1
        await asyncio.sleep(0.1)

"""Send posts over a dozen HTTP/1.1 connections, and check each answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import httptools

from service.demo.post import Post
from service.demo.signing import signed

_CONNECTIONS = 12
_PATIENCE_SECONDS = 60.0
_AT_ONCE = 65_536
_ACCEPTED = 202
_REFUSED = 401

Result = Literal["stored", "duplicate", "refused"]


class UnexpectedAnswer(Exception):
    """The service gave an unexpected answer, which the message names."""


@dataclass(slots=True)
class Answer:
    """An answer from the service. Its fields are filled in as the answer arrives."""

    status: int = 0
    location: str = ""
    body: bytes = b""
    whole: bool = False


class Connection:
    """A connection to the service, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and wait for its answer.

        Raises:
            UnexpectedAnswer: the connection ends or times out before the answer is complete.
        """
        lines = {"host": self._host, **headers, "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        parser = _AnswerParser()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not parser.answer.whole:
                    parser.feed(await self._reader.read(_AT_ONCE))
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise UnexpectedAnswer(f"the service does not answer: {str(error) or 'it takes too long'}") from error
        return parser.answer

    async def close(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


class _AnswerParser:
    """Parses an answer as it arrives."""

    def __init__(self) -> None:
        self.answer = Answer()
        self._http = httptools.HttpResponseParser(self)

    def feed(self, part: bytes) -> None:
        if not part:
            raise UnexpectedAnswer("the service ended the connection")
        self._http.feed_data(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self.answer.location = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.answer.body += part

    def on_message_complete(self) -> None:
        self.answer.status = self._http.get_status_code()
        self.answer.whole = True


@asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[Connection]:
    """Connect to the service until the context ends.

    Raises:
        UnexpectedAnswer: the service cannot be reached.
    """
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise UnexpectedAnswer(f"the service cannot be reached at {host}:{port}: {error}") from error
    connection = Connection(reader, writer, f"{host}:{port}")
    try:
        yield connection
    finally:
        await connection.close()


async def deliver(connection: Connection, post: Post, secrets: Mapping[str, str]) -> Result:
    """Deliver a post, without a retry.

    Raises:
        UnexpectedAnswer: the answer does not have the expected status.
    """
    answer = await connection.ask("POST", f"/webhooks/{post.source}", signed(post, secrets), post.body)
    if answer.status == _REFUSED and post.forged:
        return "refused"
    if answer.status != _ACCEPTED or post.forged:
        text = answer.body.decode(errors="replace")
        raise UnexpectedAnswer(
            f"a delivery to /webhooks/{post.source} was answered with status {answer.status}: {text}"
        )
    return "duplicate" if json.loads(answer.body)["status"] == "duplicate" else "stored"


async def deliver_all(
    host: str, port: int, posts: Iterable[Post], secrets: Mapping[str, str], done: Callable[[Result], None]
) -> None:
    """Deliver posts over twelve concurrent connections. As in reality, some posts arrive out of order.

    Args:
        done: a callback that gets the result of each post.

    Raises:
        UnexpectedAnswer: the service gave an unexpected answer; the remaining posts are not sent.
    """
    queue = iter(posts)

    async def drain() -> None:
        async with connected(host, port) as connection:
            for post in queue:
                done(await deliver(connection, post, secrets))

    try:
        async with asyncio.TaskGroup() as senders:
            for _ in range(_CONNECTIONS):
                senders.create_task(drain())
    except* UnexpectedAnswer as refused:
        raise refused.exceptions[0] from None

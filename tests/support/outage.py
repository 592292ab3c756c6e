"""A proxy to PostgreSQL that a test can cut, freeze and mend, and a database whose transactions fail."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from service.storage.database import Connection, Database
from service.storage.errors import DatabaseUnavailable
from tests.support.waiting import PATIENCE_SECONDS

_SOCKET = ".s.PGSQL.5432"


class Unlucky(Database):
    """A database on which every transaction fails just before its commit."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            yield connection
            raise DatabaseUnavailable("the line was cut")


class Line:
    """A proxy that forwards connections to a PostgreSQL server. Clients connect to its attribute `url`.

    Args:
        url: the URL of the server, which listens on a Unix socket.
        directory: the directory of the proxy's own socket.
    """

    def __init__(self, url: str, directory: Path) -> None:
        [host] = parse_qs(urlsplit(url).query)["host"]
        self._far = Path(host) / _SOCKET
        self._near = directory / _SOCKET
        self.url = url.partition("?")[0] + f"?host={quote(str(directory))}"
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._asks = asyncio.Event()
        self._answers = asyncio.Event()
        self._trigger: bytes | None = None
        self._made = 0
        self._forgotten = 0

    async def mend(self) -> None:
        """Forward data, and accept new connections."""
        self._trigger = None
        self._asks.set()
        self._answers.set()
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._connect, self._near)

    async def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._near.unlink()
            self._server = None
        # Let the tasks of new connections begin first, so that they add themselves to `_carrying`.
        await asyncio.sleep(0)
        carrying = list(self._carrying)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    def freeze(self) -> None:
        """Keep connections and accept new ones, but forward nothing."""
        self._asks.clear()
        self._answers.clear()

    def freeze_after(self, trigger: bytes) -> None:
        """Forward the next request that contains these bytes, but forward no response from then on."""
        self._trigger = trigger

    def forget(self) -> None:
        """Close each existing connection on its next request, as if a firewall had dropped the connection."""
        self._forgotten = self._made

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        self._made += 1
        number = self._made
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._far)
            try:
                await asyncio.wait(
                    [
                        asyncio.create_task(self._carry(reader, far_writer, self._asks, number)),
                        asyncio.create_task(self._carry(far_reader, writer, self._answers, number)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                far_writer.transport.abort()
        except asyncio.CancelledError:
            # `cut` cancels this task. Do not raise the error again: asyncio's server would log it.
            pass
        finally:
            writer.transport.abort()
            self._carrying.discard(task)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event, number: int
    ) -> None:
        try:
            while data := await reader.read(65536):
                if flows is self._asks and number <= self._forgotten:
                    return
                await flows.wait()
                if flows is self._asks and self._trigger is not None and self._trigger in data:
                    self._answers.clear()
                writer.write(data)
                await writer.drain()
        except OSError:
            return


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """Open a proxy to the PostgreSQL at this URL."""
    # Use a directory with a short path, because the path of a Unix socket must be short.
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-line-"))
    line = Line(url, directory)
    await line.mend()
    try:
        yield line
    finally:
        await line.cut()
        shutil.rmtree(directory)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `look` returns true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await look():  # noqa: ASYNC110 - a database does not signal a change
            await asyncio.sleep(0.02)

"""The running service: the application behind a server, from the start to a graceful end."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app, open_database
from service.rules.model import Rules
from service.runtime import shutdown
from service.settings import Settings

# Longer than load balancers and clients keep idle connections: else a request could meet the end of its connection.
_KEEP_ALIVE_SECONDS = 75
_COLLECTED_AT = 20_000

_log = structlog.get_logger(__name__)


async def run_service(
    settings: Settings,
    rules: Rules,
    listening: socket.socket,
    visit: Callable[[], Coroutine[Any, Any, None]] | None = None,
    tuning: Mapping[str, str] | None = None,
) -> None:
    """Serve on a socket that listens already, until asked to end by SIGTERM or SIGINT.

    Args:
        visit: what a client does meanwhile; where it fails, the service ends, and so it does with the same error.
        tuning: PostgreSQL's own settings, for an embedded one.

    Raises:
        EmbeddedUnavailable, DatabaseError: it cannot start.
        asyncio.CancelledError: it was asked to end while it was starting.
    """
    if (starting := asyncio.current_task()) is not None:
        _on_signals(lambda _: _cancel_once(starting))
    async with open_database(settings, tuning) as database:
        app = create_app(settings, rules, database)
        async with app.lifespan():
            server = _Server(configuration(app))
            tune_garbage_collector()
            # A second ctrl-C does not wait for what is under way.
            _on_signals(lambda asked: server.handle_exit(asked, None))
            _say_where(settings, listening)
            async with _visited(server, visit):
                await server.serve(sockets=[listening])
        _log.info("stopped")


@asynccontextmanager
async def _visited(
    server: uvicorn.Server, visit: Callable[[], Coroutine[Any, Any, None]] | None
) -> AsyncIterator[None]:
    """A client visits while the server runs. What fails once that is asked to end is no failure of the visit."""
    if visit is None:
        yield
        return
    failed: list[BaseException] = []

    def ended(visiting: asyncio.Task[None]) -> None:
        if not visiting.cancelled() and (error := visiting.exception()) is not None and not server.should_exit:
            failed.append(error)
            server.should_exit = True

    visiting = asyncio.create_task(visit(), name="visit")
    visiting.add_done_callback(ended)
    try:
        yield
    finally:
        visiting.cancel()
        await asyncio.gather(visiting, return_exceptions=True)
    if failed:
        raise failed[0]


def tune_garbage_collector() -> None:
    """Let the garbage collector pass over what was made for good, and come when there is something to find.

    By default it comes after 700 more objects than were let go of, which is a dozen deliveries, and looks through all
    that was ever imported again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AT)


def _cancel_once(starting: asyncio.Task[Any]) -> None:
    # A second signal would cancel the clearing up after the first one.
    if not starting.cancelling():
        starting.cancel()


def _on_signals(end: Callable[[signal.Signals], object]) -> None:
    for asked in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(asked, end, asked)


class _Server(uvicorn.Server):
    """Uvicorn, which leaves signals to us: it would raise them again at the end, and the process die of them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Joined:
    """A connection that writes once in a turn of the event loop what it is given in pieces.

    Head and body of an answer come as two, and to write costs as much as to check a signature. An answer in pieces that
    never waits between them is gathered whole; there is none such here.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []
        self._soon = asyncio.get_running_loop().call_soon

    def write(self, piece: bytes) -> None:
        if not self._pieces:
            self._soon(self._flush)
        self._pieces.append(piece)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        # Who asked may have gone away since.
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP, on connections that write once for each answer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(cast("asyncio.Transport", _Joined(transport)))


def configuration(app: ASGIApp) -> uvicorn.Config:
    """How the service, and what it is held against, is served."""
    return uvicorn.Config(
        app,
        http=_Protocol,
        lifespan="off",  # its errors would come as tracebacks: it is entered around the server instead
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks who called, or how
        timeout_graceful_shutdown=shutdown.DRAIN_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )


def _say_where(settings: Settings, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    _log.info("listening", url=f"http://{address}", role=settings.role, sources=sorted(settings.sources))
    if not settings.sources:
        _log.warning("no source is configured: every webhook is refused; set LOOPGAUGE_SOURCES__GITHUB__SECRET")

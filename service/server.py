"""The running service: the application behind an HTTP server, from start to graceful shutdown."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from service.api.http.connections import Connections
from service.api.http.protocol import IDLE_SECONDS, HttpProtocol
from service.app import create_app, open_database, steady_seconds
from service.rules.model import Rules
from service.runtime import shutdown
from service.settings import Settings

_MOST_CONNECTIONS = 2_048
"""How many connections may be open. With the largest heads, they take about 200 MB."""
_WANTED_DESCRIPTORS = 8_192
_OTHER_DESCRIPTORS = 256
"""How many file descriptors are kept free of connections: for PostgreSQL, the spool and child processes."""

_log = structlog.get_logger(__name__)


async def run_service(
    settings: Settings,
    rules: Rules,
    listening: socket.socket,
    client: Callable[[], Coroutine[Any, Any, None]] | None = None,
    tuning: Mapping[str, str] | None = None,
    announce: Callable[[], None] = lambda: None,
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT.

    Args:
        client: a coroutine to run beside the server; if the client fails, the service ends with the client's error.
        tuning: settings of PostgreSQL itself, for an embedded server.
        announce: a callback for when the service accepts requests.

    Raises:
        EmbeddedUnavailable, DatabaseError: the service cannot start.
        asyncio.CancelledError: a signal ended the start.
    """
    if (starting := asyncio.current_task()) is not None:
        _on_signals(lambda _: _cancel_once(starting))
    async with open_database(settings, tuning) as database:
        app = create_app(settings, rules, database)
        async with app.lifespan():
            server = _Server(server_config(app))
            tune_garbage_collector()
            # On a second Ctrl-C, Uvicorn ends at once, without waiting for open requests.
            _on_signals(lambda number: server.handle_exit(number, None))
            announce()
            async with _running_client(server, client):
                await server.serve(sockets=[listening])
        _log.info("stopped")


@asynccontextmanager
async def _running_client(
    server: uvicorn.Server, client: Callable[[], Coroutine[Any, Any, None]] | None
) -> AsyncIterator[None]:
    """Run a client beside the server. Raise the client's error, unless the shutdown began before the error."""
    if client is None:
        yield
        return
    failed: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not server.should_exit:
            failed.append(error)
            server.should_exit = True

    task = asyncio.create_task(client(), name="client")
    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if failed:
        raise failed[0]


def tune_garbage_collector() -> None:
    """Exclude the imported modules from garbage collection.

    Otherwise a full collection blocks the event loop for 75 ms. Our own bound, which the benchmark
    `tests/bench/refreshes.py` checks, is 20 ms for the longest block.
    """
    gc.collect()
    gc.freeze()


def _cancel_once(starting: asyncio.Task[Any]) -> None:
    # Ignore a second signal: it would cancel the cleanup that the first one has started.
    if not starting.cancelling():
        starting.cancel()


def _on_signals(end: Callable[[signal.Signals], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end, number)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which would raise the signal again at the end, and so kill the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(app: ASGIApp, connections: Connections | None = None) -> uvicorn.Config:
    """The configuration of the HTTP server, for the service and for the reference servers in its benchmark.

    Args:
        connections: the limits of connections; by default, those of the service.
    """
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(HttpProtocol, connections or _limited_connections())),
        lifespan="off",  # `run_service` enters the lifespan, because Uvicorn would log its errors as tracebacks
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # no endpoint reads the client's address or the scheme
        timeout_graceful_shutdown=shutdown.DRAIN_SECONDS,
        timeout_keep_alive=int(IDLE_SECONDS),
    )


def _limited_connections() -> Connections:
    descriptors = _raise_descriptor_limit()
    return Connections(_MOST_CONNECTIONS, max(descriptors - _OTHER_DESCRIPTORS, descriptors // 2), steady_seconds)


def _raise_descriptor_limit() -> int:
    """Raise the soft limit for open file descriptors, which is often only 1,024, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_WANTED_DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted

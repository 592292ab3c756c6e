"""The server sends answers whole and in order, and the head and body of a short answer in one write."""

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.server import server_config
from tests.support.outage import until

_PIECE = b"x" * 100_000


def _app() -> FastAPI:
    app = FastAPI()

    @app.get("/small")
    async def small() -> JSONResponse:
        return JSONResponse({"status": "stored"})

    @app.get("/large")
    async def large() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            for _ in range(50):
                yield _PIECE

        return StreamingResponse(pieces())

    return app


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve an application with the server settings of the service, and yield the port."""
    server = uvicorn.Server(server_config(app))
    server.config.port = 0
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def test_the_soft_limit_for_descriptors_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server_config(_app())
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with _serving(_app()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()


async def _ask(writer: asyncio.StreamWriter, path: str, *headers: str) -> None:
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: test", *headers, "", ""]).encode())


async def test_head_and_body_of_an_answer_arrive_together() -> None:
    async with _connected() as (reader, writer):
        for _ in range(20):
            await _ask(writer, "/small")
            # One read returns only what the server sent in one write.
            answer = await reader.read(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b'\r\n\r\n{"status":"stored"}')


def test_a_client_that_disconnects_during_its_answer_causes_no_error() -> None:
    errors: list[object] = []

    async def answer_disconnected_clients() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        now = asyncio.Event()

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await now.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        async with _serving(app) as port:
            for _ in range(10):
                now.clear()
                clients = [_connect(port) for _ in range(8)]
                await asyncio.sleep(0.01)
                # Let the server answer, and disconnect the clients without a pause in between, so that the event loop
                # handles both in one iteration.
                now.set()
                for client in clients:
                    client.close()
                await asyncio.sleep(0.01)

    # Use uvloop, as the service does: asyncio's own event loop accepts writes to a closed connection.
    uvloop.run(answer_disconnected_clients())
    assert errors == []


def _connect(port: int) -> socket.socket:
    """A client that sends a request, and resets the connection when it closes."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sendall(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    return client


async def test_answers_to_pipelined_requests_are_in_order() -> None:
    async with _connected() as (reader, writer):
        await _ask(writer, "/small")
        await _ask(writer, "/missing")
        await _ask(writer, "/small", "connection: close")
        answers = await reader.read()
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_slow_reader_receives_the_whole_of_a_long_answer(connection: str) -> None:
    async with _connected() as (reader, writer):
        await _ask(writer, "/large", f"connection: {connection}")
        arrived = 0
        while arrived < 50 * len(_PIECE):
            await asyncio.sleep(0.001)
            arrived += (await reader.read(262_144)).count(b"x")
    assert arrived == 50 * len(_PIECE)

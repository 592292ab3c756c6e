"""What the server sends is whole and in order, and an answer is one write, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import JSONResponse, StreamingResponse

from service.server import _configuration
from tests.outage import until

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
async def _connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = uvicorn.Server(_configuration(_app()))
    server.config.port = 0
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def _ask(writer: asyncio.StreamWriter, path: str, *headers: str) -> None:
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: test", *headers, "", ""]).encode())


async def test_head_and_body_of_an_answer_arrive_together() -> None:
    async with _connected() as (reader, writer):
        for _ in range(20):
            await _ask(writer, "/small")
            # What one write sent, one read finds.
            answer = await reader.read(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b'\r\n\r\n{"status":"stored"}')


async def test_answers_to_requests_that_came_together_are_in_order() -> None:
    async with _connected() as (reader, writer):
        await _ask(writer, "/small")
        await _ask(writer, "/missing")
        await _ask(writer, "/small", "connection: close")
        answers = await reader.read()
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_long_answer_arrives_whole_when_its_reader_is_slow(connection: str) -> None:
    async with _connected() as (reader, writer):
        await _ask(writer, "/large", f"connection: {connection}")
        arrived = 0
        while arrived < 50 * len(_PIECE):
            await asyncio.sleep(0.001)
            arrived += (await reader.read(262_144)).count(b"x")
    assert arrived == 50 * len(_PIECE)

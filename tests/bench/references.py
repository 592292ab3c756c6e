"""The references of the ingest benchmark: simple receivers with which it compares the service.

Start one: `python -m tests.bench.references bare-asgi 8080`. The references use the same settings for the server and
the garbage collector as the service, and send the same responses except for the security headers.
"""

import asyncio
import hmac
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

import asyncpg
import uvicorn
import uvloop
import zstandard
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.server import server_config, tune_garbage_collector
from tests.support.builders import SECRET

DATABASE = "LOOPGAUGE_BENCH_DATABASE"
"""The environment variable with the URL of the database."""
_BODY = b'{"delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11", "status": "stored"}'
_STORE = text("INSERT INTO kept (id, event, body) VALUES (:id, :event, :body) ON CONFLICT (id) DO NOTHING")
_STORE_ALL = """
    INSERT INTO kept (id, event, body) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
    ON CONFLICT (id) DO NOTHING
"""
TABLE = """
    CREATE TABLE kept (id text PRIMARY KEY, event text NOT NULL, body bytea NOT NULL);
    ALTER TABLE kept ALTER COLUMN body SET STORAGE EXTERNAL
"""
"""The SQL that creates the table in which some of these receivers store deliveries."""


def bare_asgi() -> ASGIApp:
    """An ASGI function that reads the body and responds 202: no service can cost less."""
    answer = _answer()

    async def receive(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await answer(send)

    return receive


def bare_fastapi() -> ASGIApp:
    """A FastAPI endpoint that reads the body and responds 202."""
    app = FastAPI()

    @app.post("/webhooks/{source}", status_code=202)
    async def receive(source: str, request: Request) -> Response:  # noqa: ARG001 - FastAPI requires every parameter of the path
        await request.body()
        return Response(_BODY, 202, media_type="application/json")

    return app


def naive() -> ASGIApp:
    """The naive receiver: an endpoint that checks the signature, then commits each delivery in its own transaction."""
    app = FastAPI()
    engine = create_async_engine(os.environ[DATABASE].replace("postgresql://", "postgresql+asyncpg://"), pool_size=20)

    @app.post("/webhooks/{source}", status_code=202)
    async def receive(source: str, request: Request) -> Response:  # noqa: ARG001 - FastAPI requires every parameter of the path
        body = await request.body()
        signature = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
        if not hmac.compare_digest(request.headers["x-hub-signature-256"], signature):
            raise HTTPException(401)
        event, delivery = request.headers["x-github-event"], request.headers["x-github-delivery"]
        async with engine.begin() as connection:
            await connection.execute(_STORE, {"id": delivery, "event": event, "body": body})
        return Response(_BODY, 202, media_type="application/json")

    return app


def durable_asgi() -> ASGIApp:
    """The minimal durable receiver: it checks the signature, compresses the body, and uses group commit.

    It has no limits and no metrics, every response names the same delivery id, and an error loses deliveries.
    """
    answer = _answer()
    keyed = hmac.new(SECRET.encode(), digestmod="sha256")
    waiting: list[tuple[str, str, bytes, asyncio.Future[None]]] = []
    arrived = asyncio.Event()
    writers: list[asyncio.Task[None]] = []

    async def write() -> None:
        connection = await asyncpg.connect(os.environ[DATABASE])
        compressor = zstandard.ZstdCompressor(level=1)
        while await arrived.wait():
            batch = waiting[:]
            waiting.clear()
            arrived.clear()
            ids, events, bodies, stored = zip(*batch, strict=True) if batch else ((), (), (), ())
            await connection.execute(_STORE_ALL, ids, events, list(map(compressor.compress, bodies)))
            for future in stored:
                future.set_result(None)

    async def receive(scope: Scope, receive: Receive, send: Send) -> None:
        if not writers:
            writers.extend(asyncio.create_task(write()) for _ in range(2))
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = dict(scope["headers"])
        signature = keyed.copy()
        signature.update(body)
        if not hmac.compare_digest(headers[b"x-hub-signature-256"], b"sha256=" + signature.hexdigest().encode()):
            raise ValueError("not signed")
        future = asyncio.get_running_loop().create_future()
        waiting.append((headers[b"x-github-delivery"].decode(), headers[b"x-github-event"].decode(), body, future))
        arrived.set()
        await future
        await answer(send)

    return receive


def _answer() -> Callable[[Send], Awaitable[None]]:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]

    async def answer(send: Send) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})

    return answer


REFERENCES: Mapping[str, Callable[[], ASGIApp]] = {
    "bare-asgi": bare_asgi,
    "durable-asgi": durable_asgi,
    "bare-fastapi": bare_fastapi,
    "naive": naive,
}


def main(name: str, port: str) -> None:
    """Serve until the process is asked to stop."""
    config = server_config(REFERENCES[name]())
    config.port = int(port)
    tune_garbage_collector()
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])

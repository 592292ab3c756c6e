"""HTTP byte by byte: a server with the settings of the service, and clients that send exactly the given bytes."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.http.connections import Connections
from service.server import server_config
from tests.support.waiting import PATIENCE_SECONDS, wait_for


@dataclass(slots=True)
class Echo:
    """An application that answers each request with the part of the request that it has read.

    Attributes:
        seen: the requests that the application has read whole.
        begun: how many requests have reached the application.
        broken: how many requests ended before they were whole.
    """

    seen: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    broken: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        request = Request(scope, receive)
        body = b""
        if not scope["path"].startswith("/early"):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.broken += 1
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
        if scope["path"].startswith("/slow"):
            await asyncio.sleep(0.3)
        if scope["path"].startswith("/long"):
            await JSONResponse("x" * 50_000_000)(scope, receive, send)
            return
        read = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": request.headers.items(),
            "body": body.decode("latin-1"),
        }
        self.seen.append(read)
        await JSONResponse(read)(scope, receive, send)


@contextmanager
def serving(app: ASGIApp, connections: Connections | None = None) -> Iterator[int]:
    """Serve an application as the service is served, on uvloop, and yield the port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(server_config(app, connections))
    thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a client reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def read(self) -> dict[str, Any]:
        """The answer of `Echo`, or problem details."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def problem(self) -> str:
        """The last part of the type of the problem details."""
        return str(self.read["type"]).rpartition(":")[2]


def connect(port: int) -> socket.socket:
    """Open a connection that sends each piece at once, without waiting for more."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def answers(client: socket.socket) -> list[Answer]:
    """Read answers until the server closes the connection."""
    stream, found = client.makefile("rb"), []
    with stream:
        while line := stream.readline():
            headers = {}
            while (header := stream.readline()) not in {b"\r\n", b""}:
                name, _, value = header.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            status = int(line.split()[1])
            body = stream.read(int(headers.get("content-length", "0")))
            found.append(Answer(status, headers, body))
    return found


def exchange(port: int, *pieces: bytes) -> list[Answer]:
    """Send the pieces one after the other, close this half of the connection, and read all answers."""
    with connect(port) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return answers(client)

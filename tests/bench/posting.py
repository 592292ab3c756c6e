"""A sender of webhooks that needs little CPU time: sequential requests on one persistent connection."""

import asyncio

from tests.bench.processes import Service
from tests.support.builders import GitHubRequest


class Connection:
    """A connection to the service for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, running: Service) -> "Connection":
        """Open a connection."""
        return cls(*await asyncio.open_connection(running.host, running.port))

    async def post(self, request: GitHubRequest) -> None:
        """Post a delivery, and check that it is accepted."""
        headers = {**request.headers(), "host": "localhost", "content-length": str(len(request.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        assert (await self._ask(f"POST {request.path}", head, request.body))[0] == "202"

    async def get(self, path: str) -> str:
        """The body of the response to a GET request."""
        status, body = await self._ask(f"GET {path}", "host: localhost\r\n")
        assert status == "200", body
        return body.decode()

    def close(self) -> None:
        self._writer.close()

    async def _ask(self, what: str, head: str, body: bytes = b"") -> tuple[str, bytes]:
        self._writer.write(f"{what} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return answer.split(maxsplit=2)[1].decode(), await self._reader.readexactly(length)

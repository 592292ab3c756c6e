"""JSON that people can read in a browser: a plain ASGI middleware that indents it. Programs get it compact."""

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http.negotiation import prefers_html

_JSON = (b"application/json", b"application/problem+json")
_LENGTH = b"content-length"


class ReadableJsonMiddleware:
    """Indents the JSON in answers to clients that prefer HTML, as browsers do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and prefers_html(HTTPConnection(scope)):
            send = _Indenting(send)
        await self._app(scope, receive, send)


class _Indenting:
    """Collects an answer that is JSON, and sends it indented."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._pieces: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_indented(self._start)

    async def _send_indented(self, start: Message) -> None:
        body = _indented(b"".join(self._pieces))
        headers = [header for header in start["headers"] if header[0].lower() != _LENGTH]
        await self._send({**start, "headers": [*headers, (_LENGTH, str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def _is_json(start: Message) -> bool:
    media_types = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return any(value.partition(b";")[0].strip() in _JSON for value in media_types)


def _indented(body: bytes) -> bytes:
    try:
        return msgspec.json.format(body, indent=2) + b"\n"
    except (msgspec.DecodeError, RecursionError):
        return body

"""JSON for terminals and browsers: a plain ASGI middleware that escapes it, and indents it for people.

Titles, labels and comments come from webhooks. An escape sequence in them, or a character that reverses the direction
of the text, would act on the terminal of a reader who prints an answer with curl. JSON has an escape for each
character, so programs read the same texts.
"""

import json
import re

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http.negotiation import prefers_html

_JSON = (b"application/json", b"application/problem+json")
_LENGTH = b"content-length"
# The control and format characters and the separators of lines and paragraphs (Unicode's categories Cc, Cf, Zl and Zp),
# except those below U+0020, which JSON always escapes.
_ACTING = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e007f]"
)


class JsonAnswersMiddleware:
    """Escapes control and format characters in each answer that is JSON, and indents it for browsers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _Rewriting(send, indents=prefers_html(HTTPConnection(scope)))
        await self._app(scope, receive, send)


class _Rewriting:
    """Collects an answer that is JSON, and sends it escaped."""

    def __init__(self, send: Send, *, indents: bool) -> None:
        self._send = send
        self._indents = indents
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
                await self._send_rewritten(self._start)

    async def _send_rewritten(self, start: Message) -> None:
        body = escape(b"".join(self._pieces))
        if self._indents:
            body = _indent(body)
        headers = [header for header in start["headers"] if header[0].lower() != _LENGTH]
        await self._send({**start, "headers": [*headers, (_LENGTH, str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def escape(body: bytes) -> bytes:
    """Escape the control and format characters in the texts of a JSON document."""
    # Most answers are ASCII. To look at their characters one by one would take longer than to write them.
    if body.isascii() and b"\x7f" not in body:
        return body
    return _ACTING.sub(lambda found: json.dumps(found[0])[1:-1], body.decode()).encode()


def _is_json(start: Message) -> bool:
    media_types = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return any(value.partition(b";")[0].strip() in _JSON for value in media_types)


def _indent(body: bytes) -> bytes:
    try:
        return msgspec.json.format(body, indent=2) + b"\n"
    except (msgspec.DecodeError, RecursionError):
        return body

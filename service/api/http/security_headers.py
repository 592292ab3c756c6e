"""Security headers, and the plain ASGI middleware that adds them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
}
"""The headers that every answer has by default. The ingress that terminates TLS adds Strict-Transport-Security."""

RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
"""The same headers as pairs of bytes, as ASGI expects them."""

_NAMES = frozenset(name for name, _ in RAW_HEADERS)


class SecurityHeadersMiddleware:
    """Adds `HEADERS` to every HTTP answer, except the headers that the answer sets itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = _NAMES.intersection(name for name, _ in message["headers"])
                missing = [header for header in RAW_HEADERS if header[0] not in present]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self._app(scope, receive, send_with_headers)

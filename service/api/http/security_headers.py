"""Headers that tell browsers what an answer is not for, and the plain ASGI middleware that adds them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
}
"""Those of every answer that does not say otherwise. That HTTPS is to be used, whoever ends it says: the ingress."""

RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
"""The same as ASGI has them."""

_NAMES = frozenset(name for name, _ in RAW_HEADERS)


class SecurityHeadersMiddleware:
    """Adds the headers to every HTTP answer; those that the answer has itself stay as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(message)
            await send(message)

        await self._app(scope, receive, safely)


def _complete(message: Message) -> None:
    given = message["headers"]
    for name, _ in given:
        if name in _NAMES:
            own = {name for name, _ in given}
            message["headers"] = [*given, *(one for one in RAW_HEADERS if one[0] not in own)]
            return
    # As nearly always.
    message["headers"] = [*given, *RAW_HEADERS]

"""HEAD wherever GET is: a plain ASGI middleware that answers a HEAD request as the GET request, without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_ROUTE = ("route", "endpoint", "path_params")
"""The keys that the router adds to the scope, and an outer middleware reads."""


class HeadMiddleware:
    """Answers HEAD requests. FastAPI's routes know only the methods that they declare."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # A copy, because the server reads the method to know that the answer has no body.
        as_get = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(as_get, receive, send_without_body)
        finally:
            scope.update({key: as_get[key] for key in _OF_ROUTE if key in as_get})

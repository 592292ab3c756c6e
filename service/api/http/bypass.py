"""An ASGI callable that hands webhook deliveries to their endpoint, past all middleware and routing."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


class Bypass:
    """Hands requests for one name below a path to an endpoint, and all other requests to the application.

    It stands outside all middleware: middleware and routing take longer than a delivery itself.

    Args:
        app: the application.
        prefix: the path, with a trailing slash. A trailing slash after the name is ignored.
        endpoint: answers every method and its own errors, records its request durations and adds the security headers.
    """

    def __init__(self, app: FastAPI, prefix: str, endpoint: ASGIApp) -> None:
        self.app = app
        self._prefix = prefix
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._endpoint if self._matches(scope) else self.app
        await app(scope, receive, send)

    def lifespan(self) -> AbstractAsyncContextManager[Any]:
        """The lifespan of the application, for servers that leave it to the caller."""
        return self.app.router.lifespan_context(self.app)

    def _matches(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        path: str = scope["path"]
        if not path.startswith(self._prefix):
            return False
        name = path[len(self._prefix) :].removesuffix("/")
        return name != "" and "/" not in name

"""The application as a server calls it: FastAPI, with a shorter way for deliveries."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


class Application(FastAPI):
    """FastAPI, of which deliveries see nothing: its middleware and routing take longer than all that is done with one.

    What is posted to one name below a path goes to an endpoint of its own straight away.
    """

    _deliveries: ASGIApp | None = None
    _prefix = ""

    def receive_below(self, prefix: str, endpoint: ASGIApp) -> None:
        """Let an endpoint have what is posted to a name below a path.

        Args:
            prefix: the path, with a slash at its end; a name with a slash behind it is the same name.
            endpoint: answers faults of its own, and times requests.
        """
        self._prefix, self._deliveries = prefix, endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._deliveries is not None and self._is_delivery(scope):
            await self._deliveries(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _is_delivery(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        path: str = scope["path"]
        if not path.startswith(self._prefix):
            return False
        name = path[len(self._prefix) :].removesuffix("/")
        return name != "" and "/" not in name

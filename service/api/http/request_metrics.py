"""How long each request takes, but for deliveries, which are timed where they are received: a plain ASGI middleware."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPMethod
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http.problems import CLIENT_CLOSED_REQUEST
from service.telemetry.request_durations import Observe, RequestDurations

UNMATCHED = "_unmatched"
"""The one label value of all paths that no route takes."""
OTHER_METHODS = "_other"
"""The one label value of all methods that HTTP does not know."""
_METHODS = frozenset(method.value for method in HTTPMethod)


def templates(routes: Iterable[BaseRoute]) -> Mapping[Any, str]:
    """The paths of plain routes by their endpoints, the first of each."""
    found: dict[Any, str] = {}
    for route in routes:
        if isinstance(route, Route):
            found.setdefault(route.endpoint, route.path_format)
    return found


class RequestMetricsMiddleware:
    """Tells how long each HTTP request took, by its method, its route's template and its status.

    Args:
        app: what answers.
        requests: told of each request.
        endpoints: the templates of routes that leave nothing in the scope but their endpoint.
        clock: seconds that never go back.
    """

    def __init__(
        self, app: ASGIApp, requests: RequestDurations, endpoints: Mapping[Any, str], clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._requests = requests
        self._endpoints = endpoints
        self._clock = clock
        self._observers: dict[tuple[str, str, int], Observe] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        # Who is gone is sent nothing.
        status = CLIENT_CLOSED_REQUEST

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if status == CLIENT_CLOSED_REQUEST:
                # What the outermost layer makes of it.
                status = 500
            raise
        finally:
            self._observer(scope, status)(self._clock() - began)

    def _observer(self, scope: Scope, status: int) -> Observe:
        route = scope.get("route")
        template = self._endpoints.get(scope.get("endpoint"), UNMATCHED) if route is None else route.path_format
        key = scope["method"], template, status
        return self._observers.get(key) or self._new_observer(*key)

    def _new_observer(self, method: str, template: str, status: int) -> Observe:
        if method not in _METHODS:
            # Not remembered under a name that a stranger invents.
            return self._requests.observer(OTHER_METHODS, template, status)
        observe = self._observers[method, template, status] = self._requests.observer(method, template, status)
        return observe

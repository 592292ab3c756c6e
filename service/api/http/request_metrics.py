"""A plain ASGI middleware that records request durations. Webhook requests bypass this middleware, so
their endpoint records the durations itself.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPMethod
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http.problems import CLIENT_CLOSED_REQUEST
from service.telemetry.request_durations import RequestDurations

UNMATCHED = "_unmatched"
"""The label value for requests whose path matches no route."""
OTHER_METHODS = "_other"
"""The label value for all non-standard methods. Clients can invent methods, and each label value makes new series."""
_METHODS = frozenset(method.value for method in HTTPMethod)


def method_label(method: str) -> str:
    """The label value for an HTTP method."""
    return method if method in _METHODS else OTHER_METHODS


def templates(routes: Iterable[BaseRoute]) -> Mapping[Any, str]:
    """Map the endpoint of each plain Starlette route to the path template of the endpoint's first route."""
    by_endpoint: dict[Any, str] = {}
    for route in routes:
        if isinstance(route, Route):
            by_endpoint.setdefault(route.endpoint, route.path_format)
    return by_endpoint


class RequestMetricsMiddleware:
    """Records the duration of each HTTP request by method, route template and status.

    Args:
        endpoints: the path template of each plain Starlette route, by the route's endpoint. Such a route puts only its
            endpoint into the scope, and not its template.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, app: ASGIApp, requests: RequestDurations, endpoints: Mapping[Any, str], clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._clock = clock
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        # The status to record if the client disconnects before an answer is sent.
        status = CLIENT_CLOSED_REQUEST

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        except Exception:
            if status == CLIENT_CLOSED_REQUEST:
                # No answer was sent, so the outermost middleware answers 500.
                status = 500
            raise
        finally:
            method = method_label(scope["method"])
            self._requests.observe(method, self._template(scope), status, self._clock() - began)

    def _template(self, scope: Scope) -> str:
        route = scope.get("route")
        if route is not None:
            template: str = route.path_format
            return template
        return self._endpoints.get(scope.get("endpoint"), UNMATCHED)

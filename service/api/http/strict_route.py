"""How the endpoints that ask the database take a request: with no parameter that they do not know, and not for ever."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from service.storage.database import DatabaseUnavailable, abandon_after

PATIENCE_SECONDS = 55.0
"""Longer than anything takes that is ended otherwise, and shorter than the minute that proxies wait."""


class StrictRoute(APIRoute):
    """A route that refuses query parameters it does not know: a figure for a misspelt team would be another one's.

    Where PostgreSQL is frozen, and so cannot end a query by itself, the answer is 503 after `PATIENCE_SECONDS`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = sorted(parameter.alias for parameter in self.dependant.query_params)

        async def carefully(request: Request) -> Response:
            if unknown := sorted(set(request.query_params) - set(known)):
                there_are = f"expected one of {', '.join(known)}" if known else "expected no parameter"
                raise RequestValidationError([{"loc": ("query", name), "msg": there_are} for name in unknown])
            try:
                return await abandon_after(PATIENCE_SECONDS, handle(request))
            except TimeoutError:
                raise DatabaseUnavailable(f"PostgreSQL did not answer within {PATIENCE_SECONDS:g} seconds") from None

        return carefully

"""The route class of endpoints that query the database. It rejects unknown query parameters, and answers 503 if a
request takes too long.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service.api.http.problems import InvalidRequest
from service.storage.database import abandon_after
from service.storage.errors import DatabaseUnavailable

TIMEOUT_SECONDS = 55.0
"""This is longer than the timeout of any SQL statement, and shorter than the 60 seconds that common proxies wait."""


class StrictRoute(APIRoute):
    """A route that rejects unknown query parameters, so that a misspelt filter does not return everything.

    The route answers 503 after `TIMEOUT_SECONDS`, because a PostgreSQL server that hangs cannot enforce its own
    statement timeout.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = sorted(parameter.alias for parameter in self.dependant.query_params)

        async def handle_strictly(request: Request) -> Response:
            if unknown := sorted(set(request.query_params) - set(known)):
                message = f"expected one of {', '.join(known)}" if known else "expected no parameter"
                raise RequestValidationError([{"loc": ("query", name), "msg": message} for name in unknown])
            try:
                return await abandon_after(TIMEOUT_SECONDS, handle(request))
            except HTTPException as error:
                # FastAPI answers a body that is not UTF-8 with 400, and any other malformed body with 422.
                if error.status_code == HTTPStatus.BAD_REQUEST:
                    raise InvalidRequest(error.detail) from None
                raise
            except TimeoutError:
                raise DatabaseUnavailable(f"PostgreSQL did not answer within {TIMEOUT_SECONDS:g} seconds") from None

        return handle_strictly

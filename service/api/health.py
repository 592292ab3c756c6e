"""`/livez` and `/readyz`."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from service.api.errors import problem_response
from service.storage.database import Database, DatabaseError

_CHECK_SECONDS = 3.0


def router(database: Database) -> APIRouter:
    """The health endpoints."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", summary="Whether the process answers at all")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get(
        "/readyz",
        summary="Whether deliveries can be kept",
        responses={503: {"description": "Not ready; each check says why"}},
        response_model=None,
    )
    async def readyz() -> Response:
        checks = {"inbox": await _check(database.check_writable), "schema": await _check(database.check_schema)}
        if all(outcome == "ok" for outcome in checks.values()):
            return JSONResponse({"status": "ready", "checks": checks})
        failing = "; ".join(f"{name}: {outcome}" for name, outcome in checks.items() if outcome != "ok")
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "Deliveries cannot be kept", failing, checks=checks
        )

    return routes


async def _check(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:g} seconds"
    except DatabaseError as error:
        return str(error)
    return "ok"

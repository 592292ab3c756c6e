"""`/livez` and `/readyz`."""

import asyncio
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from service.api.http.problems import NotReady, describe_problems, problem_for
from service.storage.database import Database, DatabaseError, DatabaseUnavailable, abandon_after
from service.storage.spool import Spool, SpoolUnavailable

_CHECK_SECONDS = 2.0
_OK = "ok"


class Readiness:
    """Whether deliveries can be kept: in the inbox or in the spool, and by a schema that is recent enough.

    Args:
        spool: where deliveries go while PostgreSQL is away, if anywhere.
    """

    def __init__(self, database: Database, spool: Spool | None) -> None:
        self._database = database
        self._spool = spool
        self._schema = "not seen yet"
        """What was found when the schema was last seen."""

    async def checks(self) -> tuple[bool, dict[str, str]]:
        """Whether all is well enough, and each check by name with what it found."""
        inbox = await self._look_at_inbox()
        # Old pods go on serving while PostgreSQL is away: what counts is what was there when it was last seen.
        schema = f"{_OK} when last seen" if inbox != _OK == self._schema else self._schema
        if self._spool is None:
            return inbox == _OK and self._schema == _OK, {"inbox": inbox, "schema": schema}
        kept, spool = await self._look_at(self._spool, needed=inbox != _OK)
        return (inbox == _OK or kept) and self._schema == _OK, {"inbox": inbox, "spool": spool, "schema": schema}

    async def _look_at_inbox(self) -> str:
        """What is found of the inbox; what is found of its schema is remembered."""
        try:
            await abandon_after(_CHECK_SECONDS, self._look())
        except TimeoutError:
            return f"no answer within {_CHECK_SECONDS:g} seconds"
        except DatabaseError as error:
            return str(error)
        return _OK

    async def _look(self) -> None:
        await self._database.check_writable()
        await self._look_at_schema()

    async def _look_at_schema(self) -> None:
        try:
            await self._database.check_schema()
        except DatabaseUnavailable:
            # Then it was not seen.
            raise
        except DatabaseError as error:
            self._schema = str(error)
        else:
            self._schema = _OK

    async def _look_at(self, spool: Spool, *, needed: bool) -> tuple[bool, str]:
        """Whether the spool can stand in, and what is told of it."""
        try:
            await asyncio.to_thread(spool.check_writable if needed else spool.check_directory)
            waiting = await asyncio.to_thread(spool.count)
        except SpoolUnavailable as error:
            return False, str(error)
        return True, (f"in use, {waiting} waiting" if needed else f"{waiting} waiting" if waiting else _OK)


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Deliveries can be kept; `mode` says where they go now, and `checks` what was found of each place."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": "ready", "mode": "inbox", "checks": {"inbox": "ok", "spool": "ok", "schema": "ok"}},
            ]
        }
    )

    status: Literal["ready"]
    mode: Literal["inbox", "spool"]
    checks: dict[str, str]


def router(readiness: Readiness, spools: Callable[[], bool]) -> APIRouter:
    """The health endpoints.

    Args:
        spools: whether deliveries go to the spool now.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", summary="Whether the process answers at all")
    async def livez() -> Alive:
        """Always the same, while the process lives: a probe that fails means that it has to be started again."""
        return Alive()

    @routes.get(
        "/readyz",
        summary="Whether deliveries can be kept",
        responses={200: {"model": Ready}, **describe_problems(NotReady)},
        response_model=None,
    )
    async def readyz() -> Response:
        """Ready is who can keep a delivery, in the inbox or in the spool; each check tells what it found."""
        ready, checks = await readiness.checks()
        if ready:
            mode = "inbox" if checks["inbox"] == _OK and not spools() else "spool"
            return JSONResponse({"status": "ready", "mode": mode, "checks": checks})
        failing = "; ".join(f"{name}: {outcome}" for name, outcome in checks.items() if outcome != _OK)
        return problem_for(NotReady(failing), checks=checks)

    return routes

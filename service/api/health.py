"""`/livez` and `/readyz`: health probes."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from service.api.http.problems import NotReady, describe_problems, problem_for
from service.pipeline.receive import DeliveryWriter
from service.storage import inbox
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseError, DatabaseUnavailable
from service.storage.spool import Spool
from service.storage.spool_file import SpoolUnavailable

_CHECK_SECONDS = 2.0
_PROBE_BYTES = 64 * 1024
_LARGEST_PROBE_BYTES = 1024 * 1024
_OK = "ok"


class Readiness:
    """Checks whether deliveries can be stored in the inbox or the spool, and whether the schema is current.

    Usually the checks store nothing. After a batch of deliveries was refused, they store a delivery of its size and
    undo it, until this succeeds or another batch is stored.

    Args:
        writer: stores the deliveries, and knows whether it refused the last batch.
        spool: stores deliveries while PostgreSQL is unavailable; None if the spool is disabled.
    """

    def __init__(self, database: Database, writer: DeliveryWriter, spool: Spool | None) -> None:
        self._database = database
        self._writer = writer
        self._spool = spool
        # The result of the last schema check that reached PostgreSQL.
        self._schema = "not seen yet"

    async def checks(self) -> tuple[bool, dict[str, str]]:
        """Whether deliveries can be stored and the schema is current, and the result of each check by name."""
        refusal = self._writer.refusal
        size = None if refusal is None else min(max(refusal.size, _PROBE_BYTES), _LARGEST_PROBE_BYTES)
        stores = await self._check_inbox(size)
        storable, checks = await self._check_stores(stores, size or _PROBE_BYTES)
        if storable and refusal is not None:
            self._writer.forget(refusal)
        return storable and self._schema == _OK, checks

    async def _check_stores(self, stores: str, size: int) -> tuple[bool, dict[str, str]]:
        """Whether deliveries can be stored, and the result of each check by name."""
        # While PostgreSQL is unavailable, use the last result of the schema check, so that running pods stay ready.
        schema = f"{_OK} when last seen" if stores != _OK == self._schema else self._schema
        if self._spool is None:
            return stores == _OK, {"inbox": stores, "schema": schema}
        storable, spool = await self._check_spool(self._spool, size, needed=stores != _OK)
        return stores == _OK or storable, {"inbox": stores, "spool": spool, "schema": schema}

    async def _check_inbox(self, size: int | None) -> str:
        try:
            await abandon_after(_CHECK_SECONDS, self._check_database(size))
        except TimeoutError:
            return f"no answer within {_CHECK_SECONDS:g} seconds"
        except DatabaseError as error:
            return str(error)
        return _OK

    async def _check_database(self, size: int | None) -> None:
        await self._database.check_writable()
        if size is not None:
            async with self._database.transaction() as connection:
                await inbox.check_storable(connection, size)
        try:
            await self._database.check_schema()
        except DatabaseUnavailable:
            # PostgreSQL did not answer the schema check: keep the last result.
            raise
        except DatabaseError as error:
            self._schema = str(error)
        else:
            self._schema = _OK

    async def _check_spool(self, spool: Spool, size: int, *, needed: bool) -> tuple[bool, str]:
        """Whether the spool can store deliveries, and the result of this check in words."""
        try:
            await asyncio.to_thread(partial(spool.check_writable, size) if needed else spool.check_directory)
            waiting = await asyncio.to_thread(spool.count)
        except SpoolUnavailable as error:
            return False, str(error)
        return True, (f"in use, {waiting} waiting" if needed else f"{waiting} waiting" if waiting else _OK)


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Deliveries can be stored, and the schema is current. `mode` says where deliveries are stored now. `checks` has
    the result of each check.
    """

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


def build_router(readiness: Readiness, spools: Callable[[], bool]) -> APIRouter:
    """Build the routes of the health probes.

    Args:
        spools: returns whether deliveries go to the spool now.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", summary="Check that the process answers")
    async def livez() -> Alive:
        """Answers 200 while the process runs. Restart a process that fails this probe."""
        return Alive()

    @routes.get(
        "/readyz",
        summary="Check that deliveries can be stored",
        responses={200: {"model": Ready}, **describe_problems(NotReady)},
        response_model=None,
    )
    async def readyz() -> Response:
        """Answers 200 while the schema is current and deliveries can be stored, in the database or in the spool.
        Answers 503 otherwise.
        """
        ready, checks = await readiness.checks()
        if ready:
            mode = "inbox" if checks["inbox"] == _OK and not spools() else "spool"
            return JSONResponse({"status": "ready", "mode": mode, "checks": checks})
        failing = "; ".join(f"{name}: {result}" for name, result in checks.items() if result != _OK)
        return problem_for(NotReady(failing), checks=checks)

    return routes

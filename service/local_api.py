"""The API over the local database, inside the process of a command: with all rights, and without workers."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from service.api import deliveries, experiments, manual_events, receipts, scorecard, sources
from service.api.http.auth import TokenGuard
from service.api.http.bodies import BodyReader
from service.api.http.problems import install_error_handlers
from service.app import configured_sources, marks_of, metric_terms, open_database, utc_now
from service.metrics.terms import Terms, Window
from service.pipeline.receive import DeliveryWriter
from service.queries.scorecard import Scorecards
from service.rules.model import Rules
from service.runtime import shutdown
from service.settings import Settings
from service.storage.database import Database
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class LocalApi:
    """The application, and the token that it accepts for every request."""

    app: ASGIApp
    token: str


@asynccontextmanager
async def open_local_api(
    settings: Settings, rules: Rules, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[LocalApi]:
    """Open the local database, and yield an API application that works on it.

    Errors of the database reach the caller as exceptions, not as answers: a command gives other advice about them than
    the service does.

    Args:
        clock: returns the current time, UTC.

    Raises:
        EmbeddedUnavailable: the embedded server cannot run.
        DatabaseMisconfigured: the URL of the database cannot be used.
    """
    token = secrets.token_urlsafe()
    async with open_database(settings) as database:
        telemetry = Telemetry([receipts.SOURCE], "api")
        # Without a spool: the spool belongs to the running service.
        writer = DeliveryWriter(database, telemetry)
        writer.start()
        try:
            app = _create_app(settings, rules, database, writer, telemetry, token, clock)
            yield LocalApi(app, token)
        finally:
            await writer.stop(shutdown.STORE_SECONDS)


def _create_app(
    settings: Settings,
    rules: Rules,
    database: Database,
    writer: DeliveryWriter,
    telemetry: Telemetry,
    token: str,
    clock: Callable[[], datetime],
) -> FastAPI:
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    install_error_handlers(app)
    for kind in (DatabaseUnavailable, DatabaseMisconfigured):
        del app.exception_handlers[kind]
    guard = TokenGuard({"": SecretStr(token)}, "")
    terms = metric_terms(settings, rules)
    bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes)
    receiver = manual_events.ManualEventReceiver(database, bodies, writer, telemetry, clock, uuid4)
    app.include_router(manual_events.build_router(receiver, guard))
    app.include_router(deliveries.build_router(database, bodies, guard, guard))
    app.include_router(sources.build_router(database, configured_sources(settings), settings.root_path, guard, clock))
    app.include_router(experiments.build_router(database, guard, terms, rules.commanding, clock, marks_of(rules)))
    app.include_router(scorecard.build_router(_scorecard_compiler(database, terms, clock), guard))
    return app


def _scorecard_compiler(database: Database, terms: Terms, clock: Callable[[], datetime]) -> scorecard.CompileScorecard:
    """Compile scorecards in this process: a command has no other work that a scorecard could delay."""
    scorecards = Scorecards(database, terms, clock, timedelta(0))

    async def compile_scorecard(team: str, window: Window) -> bytes:
        return (await scorecards.scorecard(team, window)).model_dump_json().encode()

    return compile_scorecard

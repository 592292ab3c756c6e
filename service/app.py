"""The application: every part made and joined."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from starlette.routing import Route

from service.api import deliveries, health, scrape, webhooks
from service.api.access import Door
from service.api.body import BodyReader
from service.api.errors import install_error_handlers
from service.api.webhooks import WebhookEndpoint
from service.metrics.view import Window
from service.pipeline.receive import Receiver
from service.providers import PROVIDERS
from service.settings import Settings, spell_duration
from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from service.telemetry import Telemetry
from service.webhook import Source
from service.worker import Worker

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database that the settings name, or the embedded one, started where needed and migrated.

    Raises:
        EmbeddedUnavailable: the embedded server cannot run.
        DatabaseUnavailable: the embedded server does not answer.
    """
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value())
        try:
            yield database
        finally:
            await database.close()
        return
    server = EmbeddedServer(settings.data_dir)
    await asyncio.to_thread(server.start)
    try:
        database = Database(server.url)
        try:
            await database.migrate()
            yield database
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(server.release)


def create_app(settings: Settings, database: Database, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The service in the role that the settings give it.

    Args:
        database: stays open as long as the application runs.
        clock: the time now, UTC.
    """
    # Series that tell when a counter was made would double what every scrape carries.
    disable_created_metrics()
    telemetry = Telemetry(settings.sources)
    windows = [Window(spell_duration(length), length) for length in settings.windows]
    receiver = Receiver(database)
    worker = Worker(database, telemetry, windows, settings.snapshot_interval, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            if settings.role != "api":
                worker.start()
                running.push_async_callback(worker.stop)
            if settings.role != "worker":
                receiver.start()
                running.push_async_callback(receiver.stop)
            yield

    app = FastAPI(
        title="loopgauge",
        summary="Feedback-loop latency: from the idea to knowing whether it worked.",
        version=version("loopgauge"),
        lifespan=lifespan,
    )
    install_error_handlers(app)
    app.include_router(health.router(database))
    scrapers = Door([settings.metrics_token], "LOOPGAUGE_METRICS_TOKEN", open_without=True)
    app.include_router(scrape.router(lambda: worker.snapshot, telemetry, scrapers))
    if settings.role != "worker":
        _add_doors(app, settings, database)
        bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes)
        endpoint = WebhookEndpoint(configured_sources(settings), bodies, receiver, telemetry, clock)
        app.router.routes.append(Route(webhooks.PATH, endpoint, methods=["POST"]))
        _describe_webhooks(app)
    return app


def configured_sources(settings: Settings) -> Mapping[str, Source]:
    """The sources that the settings name."""
    return {
        name: Source(
            name,
            PROVIDERS[source.provider],
            tuple(
                secret.get_secret_value().encode()
                for secret in (source.secret, source.previous_secret)
                if secret is not None
            ),
        )
        for name, source in settings.sources.items()
    }


def _add_doors(app: FastAPI, settings: Settings, database: Database) -> None:
    tokens = settings.api_tokens
    read = Door([tokens.read, tokens.admin], "LOOPGAUGE_API_TOKENS__READ", open_without=settings.listens_on_loopback)
    admin = Door([tokens.admin], "LOOPGAUGE_API_TOKENS__ADMIN")
    app.include_router(deliveries.router(database, read, admin))


def _describe_webhooks(app: FastAPI) -> None:
    """Add the webhook endpoint, which is none of FastAPI's own, to the OpenAPI description."""
    generate = app.openapi

    def described() -> dict[str, Any]:
        document = generate()
        document["paths"].setdefault(webhooks.PATH, webhooks.OPENAPI)
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the document

"""The application: creates the parts of the service and connects them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from uuid import uuid4

import structlog
from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from starlette.types import ASGIApp

from service.api import (
    deliveries,
    events,
    experiments,
    health,
    home,
    manual_events,
    receipts,
    scorecard,
    scrape,
    sign_in,
    sources,
    webhooks,
)
from service.api.events import EventReceiver
from service.api.health import Readiness
from service.api.http import swagger
from service.api.http.bodies import BodyReader
from service.api.http.bypass import Bypass
from service.api.http.head_requests import HeadMiddleware
from service.api.http.json_answers import JsonAnswersMiddleware
from service.api.http.openapi import TAGS, Addition, describe
from service.api.http.problems import install_error_handlers
from service.api.http.request_metrics import RequestMetricsMiddleware, templates
from service.api.http.security_headers import SecurityHeadersMiddleware
from service.api.parameters import describe_experiment_names
from service.api.refused_requests import RefusedRequests
from service.api.scorecard import describe_scorecard
from service.api.webhooks import WebhookEndpoint, describe_webhooks
from service.deliveries.delivery import Source
from service.guards import Guards, make_guards, metrics_are_open, reads_are_open
from service.lifecycle.durations import format_duration
from service.metrics.terms import Terms, Window
from service.pipeline.receive import DeliveryWriter
from service.pipeline.spool_retention import SpoolRetention
from service.providers import PROVIDERS
from service.rules.matching import describe_marks
from service.rules.model import Rules
from service.runtime import shutdown
from service.runtime.backlog import BacklogMonitor
from service.runtime.database import open_server, run_embedded
from service.runtime.figures_process import FiguresProcess
from service.runtime.leadership import Leadership
from service.runtime.worker import Worker
from service.settings import Role, Settings, thresholds_in_force
from service.storage.database import Database
from service.storage.spool import Spool
from service.telemetry import Telemetry

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """A monotonic time in seconds. It advances while the process is frozen and, on Linux, while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def open_database(settings: Settings, tuning: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Database]:
    """Open the database that the settings name, or start and migrate the embedded database.

    Args:
        tuning: settings of PostgreSQL itself, used only to start an embedded server that is not running yet.

    Raises:
        EmbeddedUnavailable: the embedded server cannot run.
        DatabaseMisconfigured: the URL of the database cannot be used.
    """
    if settings.database_url is not None:
        return open_server(settings.database_url.get_secret_value())
    return run_embedded(settings.data_dir, tuning)


def marks_of(rules: Rules) -> Mapping[str, str]:
    """By provider, how people mark an item as an experiment."""
    return {name: describe_marks(rules, name) for name in PROVIDERS}


def metric_terms(settings: Settings, rules: Rules) -> Terms:
    """The windows, thresholds and limits of the metrics."""
    return Terms(
        windows=tuple(Window(format_duration(length), length) for length in settings.windows),
        thresholds=thresholds_in_force(settings, rules),
        forgotten_after=settings.forgotten_after,
        min_sample=settings.min_sample,
        max_teams=settings.max_teams,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of the service. The routes of the application share these parts, and its lifespan runs them."""

    telemetry: Telemetry
    refused: RefusedRequests
    terms: Terms
    commanding: Collection[str]
    marks: Mapping[str, str]
    readiness: Readiness
    writer: DeliveryWriter
    spool_retention: SpoolRetention | None
    worker: Worker
    scorecards: FiguresProcess
    monitor: BacklogMonitor


def create_app(settings: Settings, rules: Rules, database: Database, clock: Callable[[], datetime] = utc_now) -> Bypass:
    """Create the service in the role that the settings name.

    Args:
        database: the database, which must stay open while the application runs.
        clock: returns the current time, UTC.
    """
    # Otherwise prometheus_client adds a second series to each counter, with the time of the counter's creation.
    disable_created_metrics()
    parts = _make_parts(settings, rules, database, clock)
    app = FastAPI(
        title="loopgauge",
        summary="Feedback-loop latency: from the idea to knowing whether it worked.",
        version=version("loopgauge"),
        lifespan=lambda _: _run(parts, settings.role),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        openapi_tags=TAGS,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
    )
    install_error_handlers(app)
    guards = make_guards(settings, clock)
    _add_public_routes(app, settings, parts, guards)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(JsonAnswersMiddleware)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(
        RequestMetricsMiddleware,
        requests=parts.telemetry.requests,
        endpoints=templates(app.routes),
        clock=time.perf_counter,
    )
    additions: list[Addition] = []
    webhook_endpoint: ASGIApp = app
    if settings.role != "worker":
        bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes)
        sources = configured_sources(settings)
        _add_manual_event_route(app, guards, parts, database, bodies, clock)
        _add_read_routes(app, settings, parts, database, bodies, guards, clock)
        _add_cloud_event_route(app, guards, parts, bodies, sources, clock)
        webhook_endpoint = WebhookEndpoint(
            sources,
            bodies,
            parts.writer,
            parts.telemetry,
            parts.refused,
            clock,
            time.perf_counter,
            settings.root_path,
        )
        additions = [describe_webhooks, describe_scorecard, describe_experiment_names]
    describe(
        app,
        webhooks.SECURITY_SCHEMES,
        additions,
        reads_are_open=reads_are_open(settings),
        metrics_are_open=metrics_are_open(settings),
    )
    return Bypass(app, webhooks.PREFIX, webhook_endpoint, settings.root_path)


def _make_parts(settings: Settings, rules: Rules, database: Database, clock: Callable[[], datetime]) -> _Parts:
    sources = [*settings.sources, receipts.SOURCE]
    telemetry = Telemetry(sources, settings.role)
    terms = metric_terms(settings, rules)
    spool = Spool(settings.data_dir / "spool") if settings.role != "worker" else None
    writer = DeliveryWriter(database, telemetry, spool, spooling=settings.spool)
    figures_process = partial(FiguresProcess, database, terms, settings.log_level, settings.snapshot_interval)
    return _Parts(
        telemetry=telemetry,
        refused=RefusedRequests(utc_now()),
        terms=terms,
        commanding=rules.commanding,
        marks=marks_of(rules),
        readiness=Readiness(database, writer, spool if settings.spool else None),
        writer=writer,
        spool_retention=None if spool is None else SpoolRetention(database, spool, settings.raw_retention, clock),
        worker=Worker(
            database,
            rules,
            telemetry,
            Leadership(database, uuid4(), steady_seconds),
            figures_process(),
            settings.raw_retention,
            settings.evidence_retention,
            settings.snapshot_interval,
            clock,
        ),
        scorecards=figures_process(),
        monitor=BacklogMonitor(
            database, telemetry, [] if settings.role == "worker" else sources, settings.snapshot_interval, clock
        ),
    )


@asynccontextmanager
async def _run(parts: _Parts, role: Role) -> AsyncIterator[None]:
    """Start the parts that a role needs; at the end, stop them in reverse order, within the shutdown budget."""
    async with AsyncExitStack() as running:
        if role != "api":
            parts.worker.start()
            running.push_async_callback(parts.worker.stop)
        if role != "worker":
            parts.writer.start()
            running.push_async_callback(parts.writer.stop, shutdown.STORE_SECONDS)
            running.push_async_callback(parts.scorecards.close)
        if parts.spool_retention is not None:
            parts.spool_retention.start()
            running.push_async_callback(parts.spool_retention.stop)
        parts.monitor.start()
        running.push_async_callback(parts.monitor.stop)
        # Check the schema now: if PostgreSQL is unavailable when the first health probe arrives, the probe uses the
        # result of this check.
        checking = asyncio.create_task(_log_readiness(parts.readiness), name="check the schema")
        running.callback(checking.cancel)
        yield


async def _log_readiness(readiness: Readiness) -> None:
    ready, checks = await readiness.checks()
    if not ready:
        _log.warning("not ready", **checks)


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


def _add_public_routes(app: FastAPI, settings: Settings, parts: _Parts, guards: Guards) -> None:
    has_reads, root_path = settings.role != "worker", settings.root_path
    read, has_sources = guards.read if has_reads else None, bool(settings.sources)
    check = parts.readiness.checks
    app.include_router(
        home.build_router(check, app.version, guards.metrics, read, has_sources=has_sources, root_path=root_path)
    )
    app.include_router(swagger.build_router())
    app.include_router(health.build_router(parts.readiness, lambda: parts.writer.spools))
    app.include_router(scrape.build_router(lambda: parts.worker.snapshot, parts.telemetry, guards.metrics))
    if has_reads:
        app.include_router(sign_in.build_router(guards.cookie, root_path))


def _add_manual_event_route(
    app: FastAPI,
    guards: Guards,
    parts: _Parts,
    database: Database,
    bodies: BodyReader,
    clock: Callable[[], datetime],
) -> None:
    receiver = manual_events.ManualEventReceiver(database, bodies, parts.writer, parts.telemetry, clock, uuid4)
    app.include_router(manual_events.build_router(receiver, guards.manual_events))


def _add_cloud_event_route(
    app: FastAPI,
    guards: Guards,
    parts: _Parts,
    bodies: BodyReader,
    sources: Mapping[str, Source],
    clock: Callable[[], datetime],
) -> None:
    source = sources.get(receipts.SOURCE)
    signing = source if source is not None and source.provider.name == receipts.SOURCE else None
    receiver = EventReceiver(signing, guards.cloud_events, bodies, parts.writer, parts.telemetry, parts.refused, clock)
    app.include_router(events.build_router(receiver))


def _add_read_routes(
    app: FastAPI,
    settings: Settings,
    parts: _Parts,
    database: Database,
    bodies: BodyReader,
    guards: Guards,
    clock: Callable[[], datetime],
) -> None:
    """Add the routes that read data.

    Call `_add_manual_event_route` first, so that `PUT /experiments/{experiment}/events` answers 405 with `Allow: POST`:
    this header comes from the first route whose path matches.
    """
    app.include_router(deliveries.build_router(database, bodies, guards.read, guards.admin))
    configured = configured_sources(settings)
    root_path, find_refused = settings.root_path, parts.refused.find
    app.include_router(sources.build_router(database, configured, root_path, guards.read, clock, find_refused))
    app.include_router(
        experiments.build_router(database, guards.read, parts.terms, parts.commanding, clock, parts.marks)
    )
    app.include_router(scorecard.build_router(parts.scorecards.compile_scorecard, guards.read))

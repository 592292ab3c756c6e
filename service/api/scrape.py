"""`GET /metrics`: the last snapshot's bytes, and the counters of this process."""

from collections.abc import Callable
from typing import Annotated

import prometheus_client
from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from prometheus_client.openmetrics import exposition as openmetrics

from service.api.access import Door
from service.pipeline.snapshot import Snapshot
from service.telemetry import Telemetry


def router(snapshot: Callable[[], Snapshot | None], telemetry: Telemetry, door: Door) -> APIRouter:
    """The scrape endpoint.

    Args:
        snapshot: the last snapshot, or None where this process exports no experiment metrics.
        telemetry: the counters of this process.
        door: who may scrape.
    """
    routes = APIRouter(tags=["metrics"])

    @routes.get(
        "/metrics",
        summary="Prometheus text, or OpenMetrics where Accept asks for it",
        dependencies=[Depends(door)],
        response_class=Response,
    )
    def metrics(accept: Annotated[str, Header()] = "") -> Response:
        last = snapshot()
        if "application/openmetrics-text" in accept:
            figures = last.openmetrics if last else b""
            own = openmetrics.generate_latest(telemetry.registry)
            return Response(figures + own, media_type=openmetrics.CONTENT_TYPE_LATEST)
        figures = last.text if last else b""
        own = prometheus_client.generate_latest(telemetry.registry)
        return Response(figures + own, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)

    return routes

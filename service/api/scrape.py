"""`GET /metrics`: the last snapshot of the experiment metrics, and the metrics of this process."""

from collections.abc import Callable
from typing import Annotated

import prometheus_client
from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from prometheus_client.openmetrics import exposition as openmetrics

from service.api.http.auth import TokenGuard
from service.api.http.negotiation import quality
from service.pipeline.exposition import OPENMETRICS_END, Exposition, write_openmetrics, write_text
from service.pipeline.snapshot import ExportedSnapshot
from service.telemetry import Telemetry

_EMPTY = Exposition(b"")
_SAMPLE = 'loopgauge_experiments_in_flight{stage="proposed",team="search"} 1.0\n'
_CONTENT = {
    "text/plain": {"schema": {"type": "string"}, "example": _SAMPLE},
    "application/openmetrics-text": {"schema": {"type": "string"}, "example": f"{_SAMPLE}# EOF\n"},
}


def build_router(snapshot: Callable[[], ExportedSnapshot | None], telemetry: Telemetry, guard: TokenGuard) -> APIRouter:
    """Build the scrape route.

    Args:
        snapshot: returns the last snapshot, or None if this process exports no experiment metrics.
    """
    routes = APIRouter(tags=["metrics"])

    @routes.get(
        "/metrics",
        summary="Export metrics as Prometheus text, or as OpenMetrics if Accept prefers it",
        dependencies=[Depends(guard)],
        response_class=Response,
        responses={200: {"description": "The metrics", "content": _CONTENT}},
    )
    async def metrics(
        accept: Annotated[str, Header()] = "", accept_encoding: Annotated[str, Header()] = ""
    ) -> Response:
        """Metrics of this process. The worker that is the leader also exports the last snapshot of the experiment
        metrics.
        """
        last = snapshot()
        if 0 < quality(accept, "application/openmetrics-text") >= quality(accept, "text/plain"):
            media_type = openmetrics.CONTENT_TYPE_LATEST
            experiments = last.openmetrics if last else _EMPTY
            own = write_openmetrics(telemetry.registry) + OPENMETRICS_END
        else:
            media_type = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
            experiments = last.text if last else _EMPTY
            own = write_text(telemetry.registry)
        headers = {"vary": "accept, accept-encoding"}
        if quality(accept_encoding, "gzip") > 0:
            headers["content-encoding"] = "gzip"
            return Response(experiments.gzipped(own), media_type=media_type, headers=headers)
        return Response(experiments.plain(own), media_type=media_type, headers=headers)

    return routes

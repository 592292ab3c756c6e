"""`GET /metrics`: the last snapshot, and the counters of this process."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import prometheus_client
from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from prometheus_client.openmetrics import exposition as openmetrics

from service.api.http.auth import TokenGuard
from service.pipeline.exposition import OPENMETRICS_END, Exposition, write_openmetrics, write_text
from service.pipeline.snapshot import ExportedSnapshot
from service.telemetry import Telemetry

_NOTHING = Exposition(b"")
_SAMPLE = 'loopgauge_experiments_in_flight{stage="proposed",team="search"} 1.0\n'
_CONTENT = {
    "text/plain": {"schema": {"type": "string"}, "example": _SAMPLE},
    "application/openmetrics-text": {"schema": {"type": "string"}, "example": f"{_SAMPLE}# EOF\n"},
}


def router(snapshot: Callable[[], ExportedSnapshot | None], telemetry: Telemetry, guard: TokenGuard) -> APIRouter:
    """The scrape endpoint.

    Args:
        snapshot: the last snapshot, or None where this process exports no experiment metrics.
        telemetry: the counters of this process.
        guard: refuses requests that may not scrape.
    """
    routes = APIRouter(tags=["metrics"])

    @routes.get(
        "/metrics",
        summary="Prometheus text, or OpenMetrics where Accept asks for it",
        dependencies=[Depends(guard)],
        response_class=Response,
        responses={200: {"description": "The figures", "content": _CONTENT}},
    )
    async def metrics(
        accept: Annotated[str, Header()] = "", accept_encoding: Annotated[str, Header()] = ""
    ) -> Response:
        """Figures about experiments, from the leader alone and as of its last snapshot, and about this process."""
        last = snapshot()
        if 0 < quality(accept, "application/openmetrics-text") >= quality(accept, "text/plain"):
            media_type = openmetrics.CONTENT_TYPE_LATEST
            figures = last.openmetrics if last else _NOTHING
            own = write_openmetrics(telemetry.registry) + OPENMETRICS_END
        else:
            media_type = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
            figures = last.text if last else _NOTHING
            own = write_text(telemetry.registry)
        headers = {"vary": "accept, accept-encoding"}
        if quality(accept_encoding, "gzip") > 0:
            return Response(
                figures.gzipped(own), media_type=media_type, headers={**headers, "content-encoding": "gzip"}
            )
        return Response(figures.plain(own), media_type=media_type, headers=headers)

    return routes


def quality(header: str, name: str) -> float:
    """How much a header such as `Accept` wants what it names, from 0, not at all, to 1 (RFC 9110, 12.4.2)."""
    for entry in header.lower().split(","):
        value, *parameters = (part.strip() for part in entry.split(";"))
        if value == name:
            weights = [parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q=")]
            with suppress(ValueError):
                return float(weights[0]) if weights else 1.0
    return 0.0

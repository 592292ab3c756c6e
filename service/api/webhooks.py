"""`POST /webhooks/{source}`: a plain ASGI endpoint, since it is the one that must keep up with bursts.

The order is: look the source up, read within bounds, verify, store, and only then answer.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.body import BodyReader
from service.api.errors import PROBLEMS, Overloaded, UnknownSource, problem_of
from service.pipeline.receive import Receiver
from service.settings import source_name
from service.storage.database import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Result, Telemetry
from service.webhook import Delivery, Source

PATH = "/webhooks/{source}"
OPENAPI: dict[str, Any] = {
    "post": {
        "tags": ["webhooks"],
        "summary": "A delivery of a configured source, signed as its provider signs",
        "parameters": [
            {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}, "example": "github"}
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "202": {
                "description": "The delivery is on disk.",
                "content": {
                    "application/json": {
                        "example": {"delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11", "status": "stored"}
                    }
                },
            },
            "401": {"description": "The signature is missing or wrong; nothing was stored."},
            "404": {"description": "No such source is configured."},
            "413": {"description": "The body is over the cap."},
            "503": {"description": "It cannot be made durable now; try again after Retry-After seconds."},
        },
    }
}
"""The endpoint's entry in the OpenAPI document."""


class WebhookEndpoint:
    """Accepts the deliveries of the configured sources.

    Args:
        sources: by name.
        bodies: reads request bodies within bounds.
        receiver: stores deliveries.
        telemetry: counts what became of each request.
        clock: the time now, UTC.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        bodies: BodyReader,
        receiver: Receiver,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
    ) -> None:
        self._sources = sources
        self._bodies = bodies
        self._receiver = receiver
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = source_name(scope["path_params"]["source"])
        try:
            response = await self._accept(name, scope, receive)
        except ClientDisconnect:
            return
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(name, result_of(error))
            response = problem_of(error)
        await response(scope, receive, send)

    async def _accept(self, name: str, scope: Scope, receive: Receive) -> Response:
        source = self._sources.get(name)
        if source is None:
            raise UnknownSource(f"no source {name!r} is configured; set LOOPGAUGE_SOURCES__{name.upper()}__SECRET")
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        async with self._bodies.read(headers, receive) as body:
            received_at = self._clock()
            source.provider.verify(headers, body, source.secrets, received_at)
            delivery = Delivery(
                source=source.name,
                provider=source.provider.name,
                provider_id=source.provider.delivery_id(headers, body),
                headers={key: headers[key] for key in source.provider.kept_headers if key in headers},
                body=body,
                received_at=received_at,
            )
            stored = await self._receiver.store(delivery)
        self._telemetry.count_delivery(name, stored)
        # Where it is on disk is nothing to the sender.
        content = json.dumps(
            {"delivery": str(delivery.id), "status": "duplicate" if stored == "duplicate" else "stored"}
        )
        return Response(content, 202, media_type="application/json")


def result_of(error: Exception) -> Result:
    """What became of a delivery that an error kept out."""
    return "error" if isinstance(error, DatabaseUnavailable | DatabaseMisconfigured | Overloaded) else "refused"

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
from service.api.errors import (
    PROBLEMS,
    BodyTooLarge,
    BodyTooSlow,
    Overloaded,
    UnknownSource,
    problem_of,
    refusals,
)
from service.pipeline.receive import Receiver
from service.settings import source_name
from service.storage.database import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Result, Telemetry
from service.webhook import Delivery, SignatureRefused, Source

PATH = "/webhooks/{source}"
SECURITY: Mapping[str, Mapping[str, str]] = {
    "GitHub": {"type": "apiKey", "in": "header", "name": "X-Hub-Signature-256", "description": "sha256=…, of the body"},
    "Jira": {"type": "apiKey", "in": "header", "name": "X-Hub-Signature", "description": "sha256=…, of the body"},
    "GitLab": {"type": "apiKey", "in": "header", "name": "X-Gitlab-Token", "description": "The secret itself"},
    "StandardWebhooks": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Of GitLab from 19.0 on, and of CloudEvents; as standardwebhooks.com says",
    },
    "CircleCI": {"type": "apiKey", "in": "header", "name": "circleci-signature", "description": "v1=…, of the body"},
    "Buildkite": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Buildkite-Signature",
        "description": "timestamp=…,signature=…, of the time and the body",
    },
    "BuildkiteToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Buildkite-Token",
        "description": "The secret itself",
    },
    "Basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Of Jira Data Center and Jenkins: any user, the secret",
    },
}
"""How senders prove who they are, as security schemes of the OpenAPI document."""
_ISSUE = {
    "action": "opened",
    "repository": {"full_name": "acme/app"},
    "issue": {
        "number": 45,
        "title": "Answer from the cache",
        "html_url": "https://github.com/acme/app/issues/45",
        "labels": [{"name": "experiment"}, {"name": "team:search"}],
        "created_at": "2026-03-02T09:00:00Z",
    },
}
_STORED = {"delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11", "status": "stored"}
OPENAPI: dict[str, Any] = {
    "post": {
        "operationId": "post_webhook",
        "tags": ["webhooks"],
        "summary": "A delivery of a configured source, signed as its provider signs",
        "description": (
            "The body is what the provider sends, byte for byte as it was signed, of any content type: whether it can "
            "be read is found out later, and told at `/deliveries`. Senders disable hooks that are refused, so what "
            "loopgauge does not use is accepted too."
        ),
        "security": [{name: []} for name in SECURITY],
        "parameters": [
            {
                "name": "source",
                "in": "path",
                "required": True,
                "description": "The name of a source; `_` may be written `-`.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"},
                "example": "github",
            }
        ],
        "requestBody": {"content": {"application/json": {"schema": {}, "example": _ISSUE}}},
        "responses": {
            "202": {
                "description": "The delivery is on disk.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["delivery", "status"],
                            "properties": {
                                "delivery": {"type": "string", "format": "uuid"},
                                "status": {"enum": ["stored", "duplicate"]},
                            },
                        },
                        "examples": {
                            "stored": {"value": _STORED},
                            "duplicate": {"value": _STORED | {"status": "duplicate"}},
                        },
                    }
                },
            },
            **{
                str(status): answer
                for status, answer in refusals(
                    SignatureRefused, UnknownSource, BodyTooLarge, BodyTooSlow, Overloaded, DatabaseUnavailable
                ).items()
            },
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

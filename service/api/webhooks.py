"""`POST /webhooks/{source}`: a plain ASGI endpoint, because it must keep up with bursts of deliveries.

The endpoint looks up the source, reads the body within limits, verifies the signature and stores the delivery. Then it
answers. A GET tells people what the address is for.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.http.bodies import BodyReader
from service.api.http.encodings import HEADER as CODING
from service.api.http.encodings import refuse_encoded
from service.api.http.openapi import Document
from service.api.http.problems import (
    CLIENT_CLOSED_REQUEST,
    PROBLEMS,
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    IncompleteBody,
    Overloaded,
    UnknownSource,
    answer_http_exception,
    answer_internal_error,
    describe_problems,
    problem_for,
    shorten_named,
)
from service.api.http.request_metrics import method_label
from service.api.http.security_headers import HEADERS, RAW_HEADERS
from service.api.receipts import refusal_result
from service.api.refused_requests import RefusedRequests
from service.api.webhook_help import Address, answer_visit, describe_visit
from service.deliveries.delivery import Delivery, Source, source_name
from service.deliveries.signatures import SecurityScheme, SignatureRefused
from service.lifecycle.nearest import suggest
from service.pipeline.receive import DeliveryWriter, Stored
from service.providers import PROVIDERS
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Telemetry

PATH = "/webhooks/{source}"
PREFIX = PATH.removesuffix("{source}")
SECURITY_SCHEMES: Mapping[str, SecurityScheme] = {
    name: scheme for provider in PROVIDERS.values() for name, scheme in provider.security_schemes.items()
}
"""The security schemes of all providers, for the OpenAPI document."""
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
_ANSWER = {
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
}
_PROBLEMS = describe_problems(
    SignatureRefused,
    UnknownSource,
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    IncompleteBody,
    Overloaded,
    DatabaseUnavailable,
    DatabaseMisconfigured,
)
_OPERATION: Document = {
    "operationId": "post_webhook",
    "tags": ["webhooks"],
    "summary": "Receive a webhook delivery",
    "description": (
        "Send the body exactly as the provider does, with any content type, and sign it as the provider does. The "
        "service answers before it parses the body. Later, `/deliveries` shows whether the delivery counted, and why. "
        "Deliveries that loopgauge does not use are accepted too, because providers disable webhooks whose deliveries "
        "are refused."
    ),
    "security": [{name: []} for name in SECURITY_SCHEMES],
    "parameters": [
        {
            "name": "source",
            "in": "path",
            "required": True,
            "description": "The name of a source; `-` and `_` are equivalent.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"},
            "example": "github",
        }
    ],
    "requestBody": {"content": {"application/json": {"schema": {}, "example": _ISSUE}}},
    "responses": {"202": _ANSWER, **{str(status): answer for status, answer in _PROBLEMS.items()}},
}
_ACCEPTED_HEADERS = [(b"content-type", b"application/json"), *RAW_HEADERS]


def describe_webhooks(document: Document) -> None:
    """Add the webhook endpoint to the OpenAPI document, because FastAPI does not know this endpoint."""
    document["paths"][PATH] = {"post": deepcopy(_OPERATION), "get": describe_visit(deepcopy(_OPERATION["parameters"]))}


class WebhookEndpoint:
    """Accepts the deliveries of the configured sources.

    The endpoint runs outside the application's middleware, so it answers errors, records request durations and adds
    security headers itself.

    Args:
        sources: the configured sources, by name.
        bodies: reads request bodies, and refuses a body that is too large or too slow.
        writer: stores deliveries.
        telemetry: counts deliveries by result, and records request durations.
        refused: records the requests with a wrong signature.
        clock: returns the current time, UTC.
        stopwatch: a monotonic clock, in seconds.
        root_path: the prefix under which a proxy serves the endpoint; empty if there is none.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        bodies: BodyReader,
        writer: DeliveryWriter,
        telemetry: Telemetry,
        refused: RefusedRequests,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        root_path: str = "",
    ) -> None:
        self._sources = sources
        # The keys are bytes, because ASGI passes the names of headers as bytes.
        self._read_headers = {
            name: {key.encode(): key for key in (*source.read_headers, "content-length", CODING)}
            for name, source in sources.items()
        }
        self._bodies = bodies
        self._writer = writer
        self._telemetry = telemetry
        self._refused = refused
        self._clock = clock
        self._stopwatch = stopwatch
        self._prefix = f"{root_path}{PREFIX}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._stopwatch()
        # The status to record if the request is cancelled before an answer is sent.
        status = CLIENT_CLOSED_REQUEST
        try:
            status = await self._answer(scope, receive, send)
        except Exception as error:
            # `_answer` raises errors only before it sends anything, so the endpoint can still answer 500.
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            await _send(await answer_internal_error(Request(scope), error), scope, receive, send)
            raise
        finally:
            seconds = self._stopwatch() - began
            self._telemetry.requests.observe(method_label(scope["method"]), PATH, status, seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request, and return the status of the answer."""
        name = source_name(scope["path"].removeprefix(PREFIX))
        if scope["method"] != "POST":
            return await _send(await self._answer_other_method(Request(scope), name), scope, receive, send)
        try:
            delivery, stored = await self._accept(name, scope, receive)
        except ClientDisconnect:
            return CLIENT_CLOSED_REQUEST
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(name, refusal_result(error))
            if isinstance(error, SignatureRefused):
                self._refused.record(name, str(error), self._clock())
            return await _send(problem_for(error), scope, receive, send)
        self._telemetry.count_delivery(name, stored)
        # Answer `stored` for a spooled delivery too: the sender need not know that PostgreSQL was unavailable.
        status = "duplicate" if stored == "duplicate" else "stored"
        content = f'{{"delivery": "{delivery.id}", "status": "{status}"}}'.encode()
        headers = [(b"content-length", str(len(content)).encode()), *_ACCEPTED_HEADERS]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return 202

    async def _answer_other_method(self, request: Request, name: str) -> Response:
        if request.method in {"GET", "HEAD"}:
            return answer_visit(request, self._address(name))
        refusal = HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "GET, HEAD, POST"})
        return await answer_http_exception(request, refusal)

    def _address(self, name: str) -> Address:
        source = self._sources.get(name)
        nearest = "" if source else suggest(name, self._sources)
        provider = source.provider.name if source else None
        return Address(shorten_named(name), provider, f"{self._prefix}{nearest}" if nearest else "")

    async def _accept(self, name: str, scope: Scope, receive: Receive) -> tuple[Delivery, Stored]:
        source = self._sources.get(name)
        if source is None:
            raise self._address(name).unknown()
        provider, read = source.provider, self._read_headers[name]
        headers = {read[key]: value.decode("latin-1") for key, value in scope["headers"] if key in read}
        if CODING in headers:
            refuse_encoded(scope["headers"])
        body = await self._bodies.read(headers, receive)
        try:
            received_at = self._clock()
            provider.verify(headers, body, source.secrets, received_at)
            kept = {key: value for key, value in headers.items() if key in provider.kept_headers}
            identity = provider.delivery_id(headers, body)
            delivery = Delivery(source.name, provider.name, identity, kept, body, received_at)
            return delivery, await self._writer.store(delivery)
        finally:
            self._bodies.release(body)


async def _send(response: Response, scope: Scope, receive: Receive, send: Send) -> int:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    await response(scope, receive, send)
    return response.status_code

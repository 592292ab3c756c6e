"""`POST /webhooks/{source}`: a plain ASGI endpoint, since it is the one that must keep up with bursts.

The order is: look the source up, read within bounds, verify, store, and only then answer.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from service.api.http.bodies import BodyReader
from service.api.http.problems import (
    CLIENT_CLOSED_REQUEST,
    PROBLEMS,
    BodyTooLarge,
    BodyTooSlow,
    Overloaded,
    UnknownSource,
    answer_internal_error,
    describe_problems,
    problem_for,
)
from service.api.http.security_headers import HEADERS, RAW_HEADERS
from service.deliveries.delivery import Delivery, Source, source_name
from service.deliveries.signatures import SecurityScheme, SignatureRefused
from service.pipeline.receive import DeliveryWriter, Stored
from service.providers import PROVIDERS
from service.storage.database import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Result, Telemetry
from service.telemetry.memo import MemoDict
from service.telemetry.request_durations import Observe

PATH = "/webhooks/{source}"
PREFIX = PATH.removesuffix("{source}")
"""What the name of a source comes after."""
SECURITY: Mapping[str, SecurityScheme] = {
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
                for status, answer in describe_problems(
                    SignatureRefused, UnknownSource, BodyTooLarge, BodyTooSlow, Overloaded, DatabaseUnavailable
                ).items()
            },
        },
    }
}
"""The endpoint's entry in the OpenAPI document."""


_STORED_HEADERS = [(b"content-type", b"application/json"), *RAW_HEADERS]


class WebhookEndpoint:
    """Accepts the deliveries of the configured sources.

    It stands before the application's middleware and routing, which would take longer than all that it does itself;
    so it answers faults of ours, times requests and says what browsers are to know on its own.

    Args:
        sources: by name.
        bodies: reads request bodies within bounds.
        receiver: stores deliveries.
        telemetry: counts what became of each request, and how long it took.
        clock: the time now, UTC.
        stopwatch: seconds that never go back.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        bodies: BodyReader,
        receiver: DeliveryWriter,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
    ) -> None:
        self._sources = sources
        # As ASGI has names of headers, and as we do.
        self._read = {
            name: {key.encode(): key for key in (*source.read_headers, "content-length")}
            for name, source in sources.items()
        }
        self._bodies = bodies
        self._receiver = receiver
        self._telemetry = telemetry
        self._clock = clock
        self._stopwatch = stopwatch
        self._observers = MemoDict[int, Observe](lambda status: telemetry.requests.observer("POST", PATH, status))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._stopwatch()
        # Who is cut off is sent nothing.
        status = CLIENT_CLOSED_REQUEST
        try:
            status = await self._answer(scope, receive, send)
        except Exception as error:
            # Only what comes before the answer can fail.
            status = 500
            await (await answer_internal_error(Request(scope), error))(scope, receive, send)
            raise
        finally:
            self._observers[status](self._stopwatch() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request, and return the status."""
        name = source_name(scope["path"].removeprefix(PREFIX).removesuffix("/"))
        try:
            delivery, stored = await self._accept(name, scope, receive)
        except ClientDisconnect:
            # Nobody is there to be told.
            return CLIENT_CLOSED_REQUEST
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(name, refusal_result(error))
            problem = problem_for(error)
            problem.headers.update(HEADERS)
            await problem(scope, receive, send)
            return problem.status_code
        self._telemetry.count_delivery(name, stored)
        # Where it is on disk is nothing to the sender.
        status = "duplicate" if stored == "duplicate" else "stored"
        content = f'{{"delivery": "{delivery.id}", "status": "{status}"}}'.encode()
        headers = [(b"content-length", str(len(content)).encode()), *_STORED_HEADERS]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return 202

    async def _accept(self, name: str, scope: Scope, receive: Receive) -> tuple[Delivery, Stored]:
        source = self._sources.get(name)
        if source is None:
            raise UnknownSource(f"no source {name!r} is configured; set LOOPGAUGE_SOURCES__{name.upper()}__SECRET")
        provider, read = source.provider, self._read[name]
        headers = {read[key]: value.decode("latin-1") for key, value in scope["headers"] if key in read}
        body = await self._bodies.read(headers, receive)
        try:
            received_at = self._clock()
            provider.verify(headers, body, source.secrets, received_at)
            kept = {key: value for key, value in headers.items() if key in provider.kept_headers}
            identity = provider.delivery_id(headers, body)
            delivery = Delivery(source.name, provider.name, identity, kept, body, received_at)
            return delivery, await self._receiver.store(delivery)
        finally:
            self._bodies.release(body)


def refusal_result(error: Exception) -> Result:
    """What became of a delivery that an error kept out."""
    return "error" if isinstance(error, DatabaseUnavailable | DatabaseMisconfigured | Overloaded) else "refused"

"""`POST /events`: receives one CloudEvent or a batch, authenticated by the write token or a signature."""

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, Request

from service.api.cloudevents import OPENAPI
from service.api.http.auth import Credentials, TokenGuard
from service.api.http.bodies import BodyReader
from service.api.http.encodings import refuse_encoded
from service.api.http.problems import (
    PROBLEMS,
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    IncompleteBody,
    Overloaded,
    TokenNotConfigured,
    TokenRefused,
    describe_problems,
)
from service.api.receipts import SOURCE, ReceivedEvent, refusal_result
from service.api.refused_requests import RefusedRequests
from service.deliveries.delivery import Delivery, Source, UnreadableDelivery
from service.deliveries.signatures import SignatureRefused, is_signed
from service.pipeline.receive import DeliveryWriter
from service.providers import CLOUD_EVENTS
from service.providers.cloudevents import CloudEvents, Envelope, InvalidEvent, NoCloudEvent
from service.storage.errors import DatabaseUnavailable
from service.telemetry import Telemetry

_PROBLEMS = describe_problems(
    UnreadableDelivery,
    SignatureRefused,
    TokenRefused,
    TokenNotConfigured,
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    IncompleteBody,
    NoCloudEvent,
    InvalidEvent,
    Overloaded,
    DatabaseUnavailable,
)


class EventReceiver:
    """Stores the events of a request, all of them or none.

    Args:
        source: the source `cloudevents`, whose secret signs events; None if this source is not configured.
        guard: accepts the write token.
        bodies: reads request bodies, and refuses a body that is too large or too slow.
        writer: stores deliveries.
        telemetry: counts events by result.
        clock: returns the current time, UTC.
    """

    def __init__(
        self,
        source: Source | None,
        guard: TokenGuard,
        bodies: BodyReader,
        writer: DeliveryWriter,
        telemetry: Telemetry,
        refused: RefusedRequests,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._guard = guard
        self._bodies = bodies
        self._writer = writer
        self._telemetry = telemetry
        self._refused = refused
        self._clock = clock

    async def accept(self, request: Request, credentials: Credentials) -> list[ReceivedEvent]:
        """Store the events of a request, and return a receipt for each event.

        Raises:
            ClientDisconnect: the client disconnected.
            Exception: one of the errors in `PROBLEMS`; nothing was stored.
        """
        try:
            return await self._store(request, credentials)
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(SOURCE, refusal_result(error))
            if isinstance(error, SignatureRefused):
                self._refused.record(SOURCE, str(error), self._clock())
            raise

    async def _store(self, request: Request, credentials: Credentials) -> list[ReceivedEvent]:
        signing_source = self._source if is_signed(request.headers) else None
        if signing_source is None or self._guard.accepts(credentials):
            self._guard.check(credentials)
            signing_source = None
        headers = dict(request.headers)
        refuse_encoded(request.headers.raw)
        body = await self._bodies.read(headers, request.receive)
        try:
            now = self._clock()
            if signing_source is not None:
                signing_source.provider.verify(headers, body, signing_source.secrets, now)
            deliveries = [_delivery(envelope, now) for envelope in CLOUD_EVENTS.separate(headers, body, now)]
            stored = await self._writer.store_all(deliveries) if deliveries else []
        finally:
            self._bodies.release(body)
        for status in stored:
            self._telemetry.count_delivery(SOURCE, status)
        # Answer `stored` for a spooled event too: the sender need not know that PostgreSQL was unavailable.
        return [
            ReceivedEvent(delivery=delivery.id, status="duplicate" if status == "duplicate" else "stored")
            for delivery, status in zip(deliveries, stored, strict=True)
        ]


def _delivery(envelope: Envelope, now: datetime) -> Delivery:
    return Delivery(SOURCE, CloudEvents.name, envelope.provider_id, envelope.headers, envelope.body, now)


def build_router(events: EventReceiver) -> APIRouter:
    """Build the route of `POST /events`."""
    routes = APIRouter(tags=["events"])

    @routes.post(
        "/events",
        summary="Receive CloudEvents about experiments",
        status_code=202,
        openapi_extra=OPENAPI,
        responses=_PROBLEMS,
    )
    async def post_events(request: Request, credentials: Credentials) -> Sequence[ReceivedEvent]:
        """Send CloudEvents 1.0 in structured, binary or batched mode. The service answers once all events are on disk,
        with a receipt for each event.

        The type is `dev.loopgauge.experiment.` followed by proposed, started, signalled, concluded, classified, shared,
        reopened, shipped, described or excluded; events of other types are stored and ignored. `subject` is the
        experiment's reference. An event with the `source` and `id` of an earlier event is a duplicate, and is not
        stored again. `time` may be at most five minutes in the future.

        In binary mode the attributes are the headers `ce-specversion`, `ce-id`, `ce-source`, `ce-type` and so on, and
        the body is the data (see the HTTP binding of CloudEvents). Authenticate with the write token, or sign the
        request as a Standard Webhook with the secret of the source `cloudevents`. A signature admits the structured and
        the batched mode only, because it does not cover the headers of binary mode.
        """
        return await events.accept(request, credentials)

    return routes

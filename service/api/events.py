"""`POST /events`: CloudEvents, one or a batch, let in by the write token or by a signature."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from service.api.cloudevents import OPENAPI
from service.api.http.auth import Credentials, TokenGuard
from service.api.http.bodies import BodyReader
from service.api.http.problems import (
    PROBLEMS,
    BodyTooLarge,
    BodyTooSlow,
    Overloaded,
    TokenNotConfigured,
    TokenRefused,
    describe_problems,
)
from service.api.webhooks import refusal_result
from service.deliveries.delivery import Delivery, Source, UnreadableDelivery
from service.deliveries.signatures import SignatureRefused
from service.pipeline.receive import DeliveryWriter
from service.providers.cloudevents import CloudEvents, Envelope, InvalidEvent, NoCloudEvent, separate
from service.storage.database import DatabaseUnavailable
from service.telemetry import Telemetry

SOURCE = CloudEvents.name
"""The source under which these events are kept, and whose secret signs them."""

_SIGNATURE = "webhook-signature"
_REFUSALS = describe_problems(
    UnreadableDelivery,
    SignatureRefused,
    TokenRefused,
    TokenNotConfigured,
    BodyTooLarge,
    BodyTooSlow,
    NoCloudEvent,
    InvalidEvent,
    Overloaded,
    DatabaseUnavailable,
)


class ReceivedEvent(BaseModel):
    """What became of one event: its delivery by our id, and whether it was new."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11", "status": "stored"}]}
    )

    delivery: UUID
    status: Literal["stored", "duplicate"]


class EventReceiver:
    """Takes the events of a request in, all of them or none.

    Args:
        source: the one whose secret signs events, where it is configured.
        guard: accepts the write token.
        bodies: reads request bodies within bounds.
        receiver: stores deliveries.
        telemetry: counts what became of each event.
        clock: the time now, UTC.
    """

    def __init__(
        self,
        source: Source | None,
        guard: TokenGuard,
        bodies: BodyReader,
        receiver: DeliveryWriter,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._guard = guard
        self._bodies = bodies
        self._receiver = receiver
        self._telemetry = telemetry
        self._clock = clock

    async def accept(self, request: Request, credentials: Credentials) -> list[ReceivedEvent]:
        """Store the events of a request, and tell what became of each.

        Raises:
            ClientDisconnect: the client went away.
            Exception: one of the table of problems; nothing was stored.
        """
        try:
            return await self._store(request, credentials)
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(SOURCE, refusal_result(error))
            raise

    async def _store(self, request: Request, credentials: Credentials) -> list[ReceivedEvent]:
        signed_for = self._source if _SIGNATURE in request.headers else None
        if signed_for is None or self._guard.accepts(credentials):
            self._guard.check(credentials)
            signed_for = None
        headers = dict(request.headers)
        body = await self._bodies.read(headers, request.receive)
        try:
            now = self._clock()
            if signed_for is not None:
                signed_for.provider.verify(headers, body, signed_for.secrets, now)
            kept = [_delivery(envelope, now) for envelope in separate(headers, body, now)]
            stored = await self._receiver.store_all(kept) if kept else []
        finally:
            self._bodies.release(body)
        for status in stored:
            self._telemetry.count_delivery(SOURCE, status)
        # Where it is on disk is nothing to the sender.
        return [
            ReceivedEvent(delivery=one.id, status="duplicate" if status == "duplicate" else "stored")
            for one, status in zip(kept, stored, strict=True)
        ]


def _delivery(envelope: Envelope, now: datetime) -> Delivery:
    return Delivery(SOURCE, CloudEvents.name, envelope.provider_id, envelope.headers, envelope.body, now)


def router(events: EventReceiver) -> APIRouter:
    """The endpoint."""
    routes = APIRouter(tags=["events"])

    @routes.post(
        "/events",
        summary="What happened to experiments, as CloudEvents",
        status_code=202,
        openapi_extra=OPENAPI,
        responses=_REFUSALS,
    )
    async def post_events(request: Request, credentials: Credentials) -> Sequence[ReceivedEvent]:
        """CloudEvents 1.0, structured, binary or batched: one answer for each event, once all are on disk.

        Types are `dev.loopgauge.experiment.` and one of proposed, started, signalled, concluded, classified, shared,
        reopened, shipped, described, excluded; events of other types are kept and ignored. `subject` is the
        experiment's reference. The same `source` and `id` are the same event, and `time` is at most five minutes ahead.

        In binary mode the attributes are headers, `ce-specversion`, `ce-id`, `ce-source`, `ce-type` and so on, and the
        body is the data, as the HTTP binding of CloudEvents says. Instead of a token, a Standard Webhooks signature
        with the secret of the source `cloudevents` lets events in.
        """
        return await events.accept(request, credentials)

    return routes

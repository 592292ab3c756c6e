"""`POST /experiments/{experiment}/events`: records a manual lifecycle event."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from service.api.http.auth import TokenGuard
from service.api.http.bodies import BodyReader
from service.api.http.encodings import refuse_encoded
from service.api.http.invalid_fields import describe_invalid
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
from service.api.http.strict_route import StrictRoute
from service.api.parameters import ExperimentName
from service.api.receipts import SOURCE, ReceivedEvent, refusal_result
from service.lifecycle.acts import ACTS, OTHER_WORDS, ActName
from service.lifecycle.errors import AmbiguousReference, BadReference, TooManyRelatives, UnknownSubject
from service.lifecycle.events import EARLIEST, LATEST, Result
from service.lifecycle.fields import DATA_PROPERTIES, DataProperty
from service.lifecycle.nearest import did_you_mean, expected_one_of
from service.pipeline.receive import DeliveryWriter
from service.providers.cloudevents import InvalidEvent
from service.queries.manual_event import ImplausibleEvent, KeyReused, ManualEvent, record_manual_event
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from service.telemetry import Telemetry


class _Event(BaseModel):
    """A lifecycle event. `event` is the last part of the CloudEvents type `dev.loopgauge.experiment.…`.

    `occurred_at` defaults to now. Only `signalled` accepts `result`, and requires it. Every event accepts all other
    fields, so one event can conclude, classify and share an experiment. `classified` requires `failure_category`.
    `proposed` marks an item as an experiment, and ends an exclusion by `excluded`.
    """

    model_config = ConfigDict(
        extra="forbid",
        title="EventByHand",
        json_schema_extra={
            "examples": [
                {"event": "classified", "failure_category": "intelligent"},
                {
                    "event": "concluded",
                    "occurred_at": "2026-03-06T11:05:17Z",
                    "outcome": "failed",
                    "failure_category": "intelligent",
                    "learning_url": "https://wiki.example.com/45",
                },
            ]
        },
    )

    event: ActName
    occurred_at: Annotated[AwareDatetime, Field(ge=EARLIEST, lt=LATEST)] | None = None
    result: Result | None = None


def _type_of(data: DataProperty) -> Any:
    """The type with which pydantic validates a property."""
    if data.choices:
        return cast("Any", Literal)[data.choices]
    return Annotated[str, Field(max_length=data.longest, pattern=data.pattern)]


_PROPERTIES: dict[str, Any] = {data.name: (_type_of(data) | None, None) for data in DATA_PROPERTIES.values()}
ManualEventBody = create_model(
    "ManualEventBody",
    __base__=_Event,
    __doc__=_Event.__doc__,
    **_PROPERTIES,
)

_CHOICES: Mapping[str, Collection[str]] = {
    "event": ACTS.keys(),
    "result": get_args(Result),
    **{data.name: data.choices for data in DATA_PROPERTIES.values() if data.choices},
}
"""The accepted values of each property that has a closed vocabulary."""
_TEXTS: Mapping[str, str] = {data.name: data.expects for data in DATA_PROPERTIES.values() if not data.choices}
"""A description of the accepted values of each property that accepts texts."""

_OPENAPI: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": ManualEventBody.model_json_schema()}}}
}
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description=(
            "If you repeat a request for an experiment with the same key, the service records no second event. A "
            "different request for this experiment with the same key is refused. Without a key, each request records "
            "an event."
        ),
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]


class ManualEventReceiver:
    """Stores manual events.

    Args:
        bodies: reads request bodies, and refuses a body that is too large or too slow.
        telemetry: counts events by result.
        clock: returns the current time, UTC.
        new_id: creates an idempotency key for a request that has none.
    """

    def __init__(
        self,
        database: Database,
        bodies: BodyReader,
        writer: DeliveryWriter,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._database = database
        self._bodies = bodies
        self._writer = writer
        self._telemetry = telemetry
        self._clock = clock
        self._new_id = new_id

    async def accept(self, request: Request, experiment: str, key: str | None) -> ReceivedEvent:
        """Store the event of a request.

        Raises:
            ClientDisconnect: the client disconnected.
            RequestValidationError: the body is not a `ManualEventBody`.
            Exception: one of the errors in `PROBLEMS`; nothing was stored.
        """
        refuse_encoded(request.headers.raw)
        body = await self._bodies.read(request.headers, request.receive)
        try:
            event = _parse(body, key or str(self._new_id()))
        finally:
            self._bodies.release(body)
        try:
            recorded = await record_manual_event(self._database, self._writer, experiment, event, self._clock())
        except tuple(PROBLEMS) as error:
            self._telemetry.count_delivery(SOURCE, refusal_result(error))
            raise
        self._telemetry.count_delivery(SOURCE, recorded.status)
        return ReceivedEvent(delivery=recorded.delivery, status=recorded.status)


def _parse(body: bytes, key: str) -> ManualEvent:
    try:
        parsed = ManualEventBody.model_validate_json(body, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise RequestValidationError([_propose_nearest(invalid) for invalid in errors]) from error
    data = parsed.model_dump(exclude={"event", "occurred_at"}, exclude_none=True)
    return ManualEvent(parsed.event, parsed.occurred_at, data, key)


def _propose_nearest(invalid: ErrorDetails) -> dict[str, Any]:
    """The error about a field of the body, without the body's content. The message proposes the nearest word."""
    name = ".".join(map(str, invalid["loc"]))
    message = describe_invalid(invalid)
    if invalid["type"] == "extra_forbidden":
        message = "; ".join(filter(None, (message, did_you_mean(name, ManualEventBody.model_fields))))
    elif isinstance(invalid["input"], str) and name in _CHOICES:
        message = expected_one_of(invalid["input"], _CHOICES[name], OTHER_WORDS.get(name, {}))
    elif isinstance(invalid["input"], str) and name in _TEXTS:
        message = f"expected {_TEXTS[name]}"
    return {"type": "described", "loc": ("body", *invalid["loc"]), "msg": message}


def build_router(events: ManualEventReceiver, write_guard: TokenGuard) -> APIRouter:
    """Build the route of `POST /experiments/{experiment}/events`."""
    routes = APIRouter(
        prefix="/experiments", tags=["experiments"], dependencies=[Depends(write_guard)], route_class=StrictRoute
    )

    @routes.post(
        "/{experiment:path}/events",
        summary="Propose, start, conclude, classify, share, describe or exclude an experiment",
        status_code=202,
        openapi_extra=_OPENAPI,
        responses=_PROBLEMS,
    )
    async def add_event(request: Request, experiment: ExperimentName, key: Key = None) -> ReceivedEvent:
        """Record an event of an experiment. The event `proposed` also makes an item an experiment. The service stores
        the event like a delivery, and you cannot change it.

        A worker processes the event moments later. `GET /experiments/{experiment}/explain` then shows the event with
        the source `cloudevents`. An event that contradicts the experiment's processed events is refused, with the
        reason.
        """
        return await events.accept(request, experiment, key)

    return routes


_PROBLEMS = describe_problems(
    TokenRefused,
    TokenNotConfigured,
    UnknownSubject,
    TooManyRelatives,
    BodyEncoded,
    BodyTooSlow,
    IncompleteBody,
    BodyTooLarge,
    BadReference,
    AmbiguousReference,
    InvalidEvent,
    ImplausibleEvent,
    KeyReused,
    Overloaded,
    DatabaseUnavailable,
)

"""`/deliveries`: lists deliveries with their status and reason, and retries failed ones."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.api.http.auth import Credentials, TokenGuard
from service.api.http.bodies import BodyReader
from service.api.http.encodings import refuse_encoded
from service.api.http.problems import (
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    IncompleteBody,
    Overloaded,
    TokenNotConfigured,
    TokenRefused,
    UnknownDelivery,
    describe_problems,
)
from service.api.http.strict_route import StrictRoute
from service.api.http.timestamps import Timestamp
from service.api.parameters import TEXT
from service.deliveries.delivery import source_name
from service.lifecycle.errors import AmbiguousReference, BadReference
from service.presentation.deliveries import (
    DeliveryAnswer,
    RetryAnswer,
    VerdictFilter,
    WholeDelivery,
    delivery_answer,
    delivery_with_content,
    delivery_without_content,
    retry_answer,
)
from service.queries.deliveries import DeliveryFilter, ListedDelivery, describe_deliveries, list_deliveries
from service.queries.retry import NotRetriable, retry_failed, retry_selected
from service.storage import inbox_listing
from service.storage.cursors import INBOX_CURSOR, InvalidCursor
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable

_SOURCE = "^[A-Za-z0-9_-]+$"


class DeliveryPage(BaseModel):
    """A page of deliveries, newest first. `next` is the cursor of the next page; it is null on the last page."""

    deliveries: list[DeliveryAnswer]
    next: str | None


class RetryBody(BaseModel):
    """The deliveries to retry: either their ids, or `failed` for all failed deliveries, in batches.

    `source` and `since` select some of the failed deliveries. `cursor` is the value of `next` in the answer to the
    previous batch.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"failed": True, "source": "github"}]})

    deliveries: Annotated[list[UUID], Field(min_length=1, max_length=500)] | None = None
    failed: Annotated[bool, Field(strict=True)] = False
    source: Annotated[str, Field(pattern=_SOURCE)] | None = None
    since: Timestamp | None = None
    cursor: Annotated[str, Field(json_schema_extra={"pattern": f"^{INBOX_CURSOR}$"})] | None = None

    @field_validator("since", mode="before")
    @classmethod
    def _require_text(cls, since: object) -> object:
        # Pydantic would read a number as seconds since 1970.
        if since is not None and not isinstance(since, str):
            raise ValueError("expected an RFC 3339 timestamp, such as 2026-03-01T00:00:00Z")
        return since

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if (self.deliveries is None) != self.failed:
            raise ValueError("expected either deliveries or failed")
        if self.deliveries is not None and (self.source or self.since or self.cursor):
            raise ValueError("source, since and cursor require failed")
        return self


_RETRY_OPENAPI: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": RetryBody.model_json_schema()}}}
}


async def _read_retry_body(request: Request, bodies: BodyReader) -> RetryBody:
    """Read the body of a request. FastAPI would read a body of any size, even before it checks the token."""
    refuse_encoded(request.headers.raw)
    body = await bodies.read(request.headers, request.receive)
    try:
        return RetryBody.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**invalid, "loc": ("body", *invalid["loc"])} for invalid in errors]) from error
    finally:
        bodies.release(body)


def build_router(database: Database, bodies: BodyReader, read_guard: TokenGuard, admin_guard: TokenGuard) -> APIRouter:
    """Build the routes that list, show and retry deliveries.

    Args:
        bodies: reads request bodies, and refuses a body that is too large or too slow.
        read_guard: guards the routes that list and show deliveries.
        admin_guard: guards the headers and bodies of deliveries, and the route that retries a delivery.
    """
    routes = APIRouter(prefix="/deliveries", tags=["deliveries"], route_class=StrictRoute)

    @routes.get(
        "",
        summary="List deliveries, newest first",
        dependencies=[Depends(read_guard)],
        responses=describe_problems(BadReference, AmbiguousReference, InvalidCursor),
    )
    async def deliveries(
        source: Annotated[str | None, Query(pattern=_SOURCE, examples=["github"])] = None,
        verdict: Annotated[
            VerdictFilter | None,
            Query(
                description="Only deliveries with this status. `refused` selects those of which a part was refused, "
                "such as a command or a label, whatever their status."
            ),
        ] = None,
        since: Annotated[Timestamp | None, Query(description="Only deliveries received at or after this time.")] = None,
        ref: Annotated[
            str | None,
            Query(
                pattern=TEXT,
                description="Only deliveries about this subject: the id of an experiment, a reference, or the address "
                "of a page.",
                examples=["github:acme/app#45"],
            ),
        ] = None,
        # FastAPI documents this pattern without checking it, so a malformed cursor is answered with the problem
        # `invalid-cursor`, not with `invalid`.
        cursor: Annotated[
            str | None,
            Query(
                description="The value of `next` in the previous page.",
                json_schema_extra={"pattern": f"^{INBOX_CURSOR}$"},
            ),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> DeliveryPage:
        """`verdict` is the status of a delivery: pending, counted, ignored or failed. `reason` says why, and names the
        commands and labels of the delivery that have no effect.

        `ref` finds the deliveries that stated an event, a link or a rename of the subject itself, whether they count or
        not. It finds neither pending nor failed deliveries, nor deliveries about the evidence of an experiment.
        """
        asked = DeliveryFilter(source_name(source) if source else None, verdict, since, ref)
        listed, following = await list_deliveries(database, asked, cursor, limit)
        return DeliveryPage(deliveries=[delivery_answer(each) for each in listed], next=following)

    @routes.post(
        "/retry",
        summary="Retry failed deliveries",
        dependencies=[Depends(admin_guard)],
        openapi_extra=_RETRY_OPENAPI,
        responses=_RETRY_ALL_PROBLEMS,
    )
    async def retry_deliveries(request: Request) -> RetryAnswer:
        """A worker processes the deliveries again, with the current version of loopgauge and the current rules.

        The answer has a result for each delivery: a delivery that cannot be retried does not keep the others from being
        retried.
        """
        body = await _read_retry_body(request, bodies)
        if body.deliveries is not None:
            return retry_answer(await retry_selected(database, list(dict.fromkeys(body.deliveries))))
        source = source_name(body.source) if body.source else None
        return retry_answer(*await retry_failed(database, source, body.since, body.cursor))

    @routes.get("/retry", include_in_schema=False)
    async def refuse_to_show_retries() -> None:
        # Otherwise `GET /deliveries/retry` would mean the delivery with the id `retry`.
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "POST"})

    @routes.get(
        "/{delivery}",
        summary="Show a delivery",
        dependencies=[Depends(read_guard)],
        responses=describe_problems(UnknownDelivery),
    )
    async def delivery(delivery: UUID, credentials: Credentials) -> WholeDelivery:
        """With the admin token, the answer includes the headers, and the body unless the body has been deleted."""
        listed, headers, body = await _read(database, delivery)
        if admin_guard.accepts(credentials):
            return delivery_with_content(listed, headers, body)
        return delivery_without_content(listed)

    @routes.post(
        "/{delivery}/retry",
        summary="Retry a failed delivery",
        status_code=202,
        dependencies=[Depends(admin_guard)],
        responses=_RETRY_PROBLEMS,
    )
    async def retry_delivery(delivery: UUID) -> WholeDelivery:
        """A worker processes the delivery again, with the current version of loopgauge and the current rules.

        Retrying a pending delivery has no effect. You cannot retry a delivery that is counted or ignored, or a delivery
        whose body has been deleted.
        """
        [retried] = await retry_selected(database, [delivery])
        if retried.status == "refused":
            raise NotRetriable(retried.detail)
        return delivery_with_content(*await _read(database, delivery))

    return routes


_RETRY_ALL_PROBLEMS = describe_problems(
    TokenRefused,
    TokenNotConfigured,
    BodyTooSlow,
    IncompleteBody,
    BodyEncoded,
    BodyTooLarge,
    InvalidCursor,
    Overloaded,
    DatabaseUnavailable,
)
_RETRY_PROBLEMS = describe_problems(
    TokenRefused, TokenNotConfigured, UnknownDelivery, NotRetriable, DatabaseUnavailable
)


async def _read(database: Database, delivery: UUID) -> tuple[ListedDelivery, Mapping[str, str], bytes | None]:
    async with database.transaction() as connection:
        found = await inbox_listing.read_delivery(connection, delivery)
        if found is None:
            raise UnknownDelivery(
                f"no delivery has the id {delivery}; `loopgauge deliveries list` and GET /deliveries list the ids"
            )
        row, headers, body = found
        [listed] = await describe_deliveries(connection, [row])
    return listed, headers, body

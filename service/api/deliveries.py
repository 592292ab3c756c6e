"""`/deliveries`: the inbox, with the verdict on each delivery and its reason, and another try for what failed."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from service.api.http.auth import Credentials, TokenGuard
from service.api.http.problems import TokenNotConfigured, TokenRefused, UnknownDelivery, describe_problems
from service.api.http.strict_route import StrictRoute
from service.api.http.timestamps import Timestamp
from service.deliveries.delivery import source_name
from service.queries.retry import NotRetriable, retry_selected
from service.storage import inbox
from service.storage.database import Database, DatabaseUnavailable

Verdict = Literal["pending", "counted", "ignored", "failed"]


class DeliveryAnswer(BaseModel):
    """One delivery without its body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11",
                    "source": "github",
                    "provider_id": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
                    "received_at": "2026-03-02T09:00:01Z",
                    "body_bytes": 12034,
                    "verdict": "ignored",
                    "reason": "no label `experiment`; labels were bug, docs",
                    "interpreted_at": "2026-03-02T09:00:01.2Z",
                }
            ]
        }
    )

    id: UUID
    source: str
    provider_id: str
    received_at: datetime
    body_bytes: int
    verdict: Verdict
    reason: str | None
    interpreted_at: datetime | None


class DeliveryPage(BaseModel):
    """Deliveries, newest first; `next` is the cursor of the next page, or null."""

    deliveries: list[DeliveryAnswer]
    next: str | None


class WholeDelivery(DeliveryAnswer):
    """One delivery; with the admin token also what was sent, while it is kept.

    A body that is not UTF-8 comes as base64 only.
    """

    headers: dict[str, str] | None = None
    body: str | None = None
    body_base64: str | None = None


def delivery_answer(row: inbox.InboxRow) -> DeliveryAnswer:
    """A stored delivery without what was sent."""
    return DeliveryAnswer(**_known(row))


def delivery_details(row: inbox.InboxRow, headers: Mapping[str, str], body: bytes | None) -> WholeDelivery:
    """A stored delivery with its headers and body."""
    answer = WholeDelivery(**_known(row), headers=dict(headers))
    if body is not None:
        try:
            answer.body = body.decode()
        except UnicodeDecodeError:
            answer.body_base64 = base64.b64encode(body).decode()
    return answer


def _known(row: inbox.InboxRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in DeliveryAnswer.model_fields} | {"verdict": row.verdict or "pending"}


def router(database: Database, read_guard: TokenGuard, admin_guard: TokenGuard) -> APIRouter:
    """The endpoints of the inbox.

    Args:
        read_guard: who may see verdicts.
        admin_guard: who may see bodies, and have failed deliveries interpreted again.
    """
    routes = APIRouter(prefix="/deliveries", tags=["deliveries"], route_class=StrictRoute)

    @routes.get("", summary="What was delivered, newest first", dependencies=[Depends(read_guard)])
    async def deliveries(
        source: Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]+$", examples=["github"])] = None,
        verdict: Verdict | None = None,
        since: Annotated[Timestamp | None, Query(description="Only those received since then.")] = None,
        # Refused by its own name, and not as any parameter that is wrong.
        cursor: Annotated[
            str | None,
            Query(description="`next` of the page before.", json_schema_extra={"pattern": f"^{inbox.CURSOR}$"}),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> DeliveryPage:
        """Each delivery has its verdict: pending, counted, ignored with the reason, or failed with the error."""
        async with database.transaction() as connection:
            rows, following = await inbox.read_page(
                connection,
                source=source_name(source) if source else None,
                verdict=verdict,
                since=since,
                cursor=cursor,
                limit=limit,
            )
        return DeliveryPage(deliveries=[delivery_answer(row) for row in rows], next=following)

    @routes.get(
        "/{delivery}",
        summary="One delivery",
        dependencies=[Depends(read_guard)],
        responses=describe_problems(UnknownDelivery),
    )
    async def delivery(delivery: UUID, credentials: Credentials) -> WholeDelivery:
        """Its verdict, and for the admin token also its headers and its body, while it is kept."""
        found = await _find(database, delivery)
        return delivery_details(*found) if admin_guard.accepts(credentials) else WholeDelivery(**_known(found[0]))

    @routes.post(
        "/{delivery}/retry",
        summary="Interpret a failed delivery again",
        status_code=202,
        dependencies=[Depends(admin_guard)],
        responses=_REFUSALS,
    )
    async def retry_delivery(delivery: UUID) -> WholeDelivery:
        """A delivery that failed is pending again, and a worker interprets it under today's code and rules.

        One that is pending already stays so, which is no error. One that is counted or ignored, or whose body is gone,
        cannot be retried.
        """
        [retried] = await retry_selected(database, [delivery])
        if retried.status == "refused":
            raise NotRetriable(retried.detail)
        return delivery_details(*await _find(database, delivery))

    return routes


_REFUSALS = describe_problems(TokenRefused, TokenNotConfigured, UnknownDelivery, NotRetriable, DatabaseUnavailable)


async def _find(database: Database, delivery: UUID) -> tuple[inbox.InboxRow, Mapping[str, str], bytes | None]:
    async with database.transaction() as connection:
        found = await inbox.read_delivery(connection, delivery)
    if found is None:
        raise UnknownDelivery(f"there is no delivery {delivery}")
    return found

"""Deliveries as the API and the command line show them."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.queries.deliveries import ListedDelivery
from service.queries.retry import RetryResult

_DERIVED = ("event", "reference")
Verdict = Literal["pending", "counted", "ignored", "failed"]
VerdictFilter = Literal["pending", "counted", "ignored", "failed", "refused"]
"""A status to list, or `refused` for the deliveries of which a part was refused, whatever their status."""


class DeliveryAnswer(BaseModel):
    """A delivery without its body.

    `event` is the name of the event in the provider's words; null if the delivery does not name it, or if the body that
    names it has been deleted or is large. `reference` is the subject that the delivery is about; null while the
    delivery is pending, and if it says nothing about a subject.
    """

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
                    "event": "issues opened",
                    "reference": "github:acme/app#45",
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
    event: str | None = None
    reference: str | None = None


class WholeDelivery(DeliveryAnswer):
    """A delivery. With the admin token, the answer includes the headers, and the body unless it has been deleted.

    A body that is not UTF-8 is in `body_base64` instead of `body`.
    """

    headers: dict[str, str] | None = None
    body: str | None = None
    body_base64: str | None = None


class RetriedDelivery(BaseModel):
    """The result of a retry for one delivery.

    `status` is `retried` (it had failed, and is pending again), `pending` (it was pending already), `refused` (it
    cannot be retried) or `unknown` (no delivery has this id). `detail` says why.
    """

    id: UUID
    status: Literal["retried", "pending", "refused", "unknown"]
    detail: str


class RetryAnswer(BaseModel):
    """The results of a retry: the number of retried deliveries, and the result for each delivery.

    `next` is the cursor of the next batch; it is null after the last batch.
    """

    retried: int
    deliveries: list[RetriedDelivery]
    next: str | None


def retry_answer(results: Sequence[RetryResult], following: str | None = None) -> RetryAnswer:
    """The answer that shows the results of a retry.

    Args:
        following: the cursor of the next batch; None after the last batch.
    """
    return RetryAnswer(
        retried=sum(result.status == "retried" for result in results),
        deliveries=[RetriedDelivery(id=each.delivery, status=each.status, detail=each.detail) for each in results],
        next=following,
    )


def delivery_answer(listed: ListedDelivery) -> DeliveryAnswer:
    """The answer for a stored delivery, without its headers and body."""
    return DeliveryAnswer(**_fields(listed))


def delivery_without_content(listed: ListedDelivery) -> WholeDelivery:
    """The answer for a stored delivery whose headers and body the client may not see."""
    return WholeDelivery(**_fields(listed))


def delivery_with_content(listed: ListedDelivery, headers: Mapping[str, str], body: bytes | None) -> WholeDelivery:
    """The answer for a stored delivery, with its headers, and its body unless the body has been deleted."""
    answer = WholeDelivery(**_fields(listed), headers=dict(headers))
    if body is not None:
        try:
            answer.body = body.decode()
        except UnicodeDecodeError:
            answer.body_base64 = base64.b64encode(body).decode()
    return answer


def _fields(listed: ListedDelivery) -> dict[str, Any]:
    row = listed.row
    stored = {name: getattr(row, name) for name in DeliveryAnswer.model_fields if name not in _DERIVED}
    reason = "; ".join(filter(None, (row.reason, *(f"no effect: {why}" for why in listed.futile))))
    return stored | {
        "verdict": row.verdict or "pending",
        "reason": reason or row.reason,
        "event": listed.event or None,
        "reference": listed.reference or None,
    }

"""Retry: requeue failed deliveries, which a worker then interprets by its current code and rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from service.storage import inbox, inbox_listing
from service.storage.database import Connection, Database

_BATCH = 500


class NotRetriable(Exception):
    """The delivery cannot be retried; the message says why."""


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The result of a retry for one delivery.

    Attributes:
        delivery: the delivery's id.
        status: *retried*: the delivery had failed, and is pending again; *pending*: the delivery was already pending;
            *refused*: the delivery cannot be retried, or has just failed again; *unknown*: there is no such delivery.
        detail: the status in words, and the reason for the status.
    """

    delivery: UUID
    status: Literal["retried", "pending", "refused", "unknown"]
    detail: str


async def retry_selected(database: Database, deliveries: Sequence[UUID]) -> list[RetryResult]:
    """Requeue the deliveries that have failed, and return a result for every delivery in the list.

    Raises:
        DatabaseUnavailable: PostgreSQL became unavailable. Only the deliveries of earlier batches were requeued.
    """
    retried: list[RetryResult] = []
    for start in range(0, len(deliveries), _BATCH):
        async with database.transaction() as connection:
            retried += await _retry(connection, deliveries[start : start + _BATCH])
    return retried


async def retry_failed(
    database: Database, source: str | None = None, since: datetime | None = None, cursor: str | None = None
) -> tuple[list[RetryResult], str | None]:
    """Requeue one batch of failed deliveries that still have their bodies, the newest first.

    Args:
        source: only deliveries of this source.
        since: only deliveries received at this time or later.
        cursor: the cursor that the previous batch returned.

    Returns:
        The results, and the cursor of the next batch (None after the last batch).

    Raises:
        InvalidCursor: the cursor does not have the form of an inbox cursor.
        DatabaseUnavailable: PostgreSQL became unavailable; no delivery of this batch was requeued.
    """
    async with database.transaction() as connection:
        # The cursor only moves to older deliveries, so a delivery that fails again meanwhile is not retried twice.
        rows, following = await inbox_listing.read_page(
            connection, source=source, verdict="failed", since=since, cursor=cursor, limit=_BATCH
        )
        return await _retry(connection, [row.id for row in rows]), following


async def _retry(connection: Connection, deliveries: Sequence[UUID]) -> list[RetryResult]:
    requeued = await inbox.requeue_failed(connection, deliveries)
    verdicts = await inbox.verdicts_of(connection, deliveries)
    return [
        _retried(delivery) if delivery in requeued else _not_retried(delivery, verdicts.get(delivery))
        for delivery in deliveries
    ]


def _retried(delivery: UUID) -> RetryResult:
    return RetryResult(delivery, "retried", "it had failed, and is pending again")


def _not_retried(delivery: UUID, verdict_and_body: tuple[str | None, bool] | None) -> RetryResult:
    match verdict_and_body:
        case None:
            return RetryResult(delivery, "unknown", f"there is no delivery {delivery}")
        case None, _:
            return RetryResult(delivery, "pending", "it is pending already")
        case "failed", False:
            why = "its body is gone: the delivery is older than LOOPGAUGE_RAW_RETENTION"
            return RetryResult(delivery, "refused", why)
        case "failed", True:
            return RetryResult(delivery, "refused", "a worker has just processed it, and it failed again")
        case verdict, _:
            why = f"it is {verdict}, and only failed deliveries are retried; use loopgauge replay"
            return RetryResult(delivery, "refused", why)

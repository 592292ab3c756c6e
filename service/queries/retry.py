"""Retry: failed deliveries wait for a worker once more, and are interpreted under today's code and rules."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from service.storage import inbox, inbox_listing
from service.storage.database import Connection, Database

_BATCH = 500


class NotRetriable(Exception):
    """The delivery cannot be interpreted again this way."""


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What became of one delivery that was to be retried.

    Attributes:
        delivery: its id.
        status: *retried*: it failed, and is pending now; *pending*: it was before; *refused* or *unknown*: nothing is
            done.
        detail: the same in words, and why.
    """

    delivery: UUID
    status: Literal["retried", "pending", "refused", "unknown"]
    detail: str


async def retry_selected(database: Database, deliveries: Sequence[UUID]) -> list[RetryResult]:
    """Let deliveries that failed be interpreted again; tells what became of each.

    Raises:
        DatabaseUnavailable: those of the last batch, and all after it, are as they were.
    """
    retried: list[RetryResult] = []
    for start in range(0, len(deliveries), _BATCH):
        async with database.transaction() as connection:
            retried += await _retry(connection, deliveries[start : start + _BATCH])
    return retried


async def retry_failed(
    database: Database, source: str | None = None, since: datetime | None = None
) -> AsyncIterator[RetryResult]:
    """Let every delivery that has failed so far be interpreted again, the newest first.

    Args:
        source: only of this source.
        since: only those received then or later.

    Raises:
        DatabaseUnavailable: what was not told about is as it was.
    """
    cursor = None
    while True:
        async with database.transaction() as connection:
            # Downwards from the newest, so what fails once more meanwhile is not met again.
            rows, cursor = await inbox_listing.read_page(
                connection, source=source, verdict="failed", since=since, cursor=cursor, limit=_BATCH
            )
            retried = await _retry(connection, [row.id for row in rows])
        for one in retried:
            yield one
        if cursor is None:
            return


async def _retry(connection: Connection, deliveries: Sequence[UUID]) -> list[RetryResult]:
    renewed = await inbox.requeue_failed(connection, deliveries)
    standings = await inbox.verdicts_of(connection, deliveries)
    return [_retried(one) if one in renewed else _not_retried(one, standings.get(one)) for one in deliveries]


def _retried(delivery: UUID) -> RetryResult:
    return RetryResult(delivery, "retried", "it had failed, and is pending again")


def _not_retried(delivery: UUID, standing: tuple[str | None, bool] | None) -> RetryResult:
    match standing:
        case None:
            return RetryResult(delivery, "unknown", f"there is no delivery {delivery}")
        case None, _:
            return RetryResult(delivery, "pending", "it is pending already")
        case "failed", False:
            return RetryResult(delivery, "refused", "its body is gone, since LOOPGAUGE_RAW_RETENTION is over")
        case "failed", True:
            return RetryResult(delivery, "refused", "a worker was at it just now, and it failed again")
        case verdict, _:
            why = f"it is {verdict}, and only failed deliveries are retried; use loopgauge replay"
            return RetryResult(delivery, "refused", why)

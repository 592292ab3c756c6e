"""Interpret: stored deliveries become lifecycle events and links, and each gets its verdict."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from service.providers import PROVIDERS
from service.rules.defaults import interpret
from service.rules.model import Interpretation
from service.storage import events, inbox
from service.storage.database import Database, DatabaseRejected
from service.storage.events import Said
from service.storage.inbox import Settlement
from service.telemetry import Telemetry
from service.webhook import Delivery, UnreadableDelivery

_BATCH = 50
_log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]


async def interpret_pending(database: Database, telemetry: Telemetry, clock: Clock) -> int:
    """Interpret the next pending deliveries in one transaction, and return how many there were.

    What a delivery says and its verdict are committed together, so a worker that dies leaves it pending.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    try:
        return await _interpret_batch(database, telemetry, clock, _BATCH)
    except DatabaseRejected:
        # One delivery says something that PostgreSQL does not take: alone, it fails alone.
        return await _interpret_alone(database, telemetry, clock)


async def _interpret_batch(database: Database, telemetry: Telemetry, clock: Clock, limit: int) -> int:
    async with database.transaction() as connection:
        claimed = await inbox.claim(connection, limit)
        if not claimed:
            return 0
        interpreted = [(delivery, interpret_delivery(delivery)) for delivery in claimed]
        await events.record(connection, [_said(*pair) for pair in interpreted])
        await inbox.settle(connection, [_settlement(*pair) for pair in interpreted], clock())
    _count(telemetry, interpreted)
    return len(claimed)


async def _interpret_alone(database: Database, telemetry: Telemetry, clock: Clock) -> int:
    try:
        return await _interpret_batch(database, telemetry, clock, 1)
    except DatabaseRejected as error:
        async with database.transaction() as connection:
            claimed = await inbox.claim(connection, 1)
            failed = [(delivery, Interpretation("failed", str(error))) for delivery in claimed]
            await inbox.settle(connection, [_settlement(*pair) for pair in failed], clock())
        _count(telemetry, failed)
        return len(claimed)


def interpret_delivery(delivery: Delivery) -> Interpretation:
    """What one delivery says under today's rules. A delivery that cannot be read, or trips us, is *failed*."""
    provider = PROVIDERS.get(delivery.provider)
    if provider is None:
        return Interpretation("failed", f"provider `{delivery.provider}` is not known to this version of loopgauge")
    try:
        return interpret(provider.observe(delivery.headers, delivery.body))
    except UnreadableDelivery as error:
        return Interpretation("failed", str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop its neighbours; the delivery is kept
        _log.exception("delivery failed", delivery=str(delivery.id), source=delivery.source)
        return Interpretation("failed", f"a fault in loopgauge: {type(error).__name__}")


def _said(delivery: Delivery, interpretation: Interpretation) -> Said:
    return Said(delivery.id, delivery.received_at, interpretation.events, interpretation.links)


def _settlement(delivery: Delivery, interpretation: Interpretation) -> Settlement:
    return Settlement(delivery.id, interpretation.verdict, interpretation.reason)


def _count(telemetry: Telemetry, interpreted: Sequence[tuple[Delivery, Interpretation]]) -> None:
    for delivery, interpretation in interpreted:
        telemetry.count_interpreted(delivery.source, interpretation.verdict)

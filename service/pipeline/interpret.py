"""Interpret: stored deliveries become lifecycle events and links, and each gets its verdict."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from service.deliveries.delivery import Delivery
from service.pipeline.judge import interpret_delivery
from service.rules.model import Interpretation, Rules
from service.storage import events, inbox
from service.storage.database import Connection, Database, DatabaseRejected, savepoint
from service.storage.events import Said
from service.storage.inbox import Settlement
from service.telemetry import Telemetry

_BATCH = 200

Clock = Callable[[], datetime]


async def interpret_pending(database: Database, rules: Rules, telemetry: Telemetry, clock: Clock) -> int:
    """Interpret the next pending deliveries in one transaction, and return how many there were.

    What a delivery says and its verdict are committed together, so a worker that dies leaves it pending.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    async with database.transaction() as connection:
        claimed = await inbox.claim(connection, _BATCH)
        written = await write_down(connection, rules, claimed, clock(), events.record)
    verdicts = Counter((delivery.source, found.verdict) for delivery, found in written.interpreted)
    for (source, verdict), number in verdicts.items():
        telemetry.count_interpreted(source, verdict, number)
    telemetry.count_recorded(written.recorded)
    return len(claimed)


Interpreted: TypeAlias = tuple[Delivery, Interpretation]
Record: TypeAlias = Callable[[Connection, Sequence[Said]], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written down of deliveries, and the kinds of those events in it that were not known before."""

    interpreted: list[Interpreted]
    recorded: list[str]


async def write_down(
    connection: Connection, rules: Rules, deliveries: Sequence[Delivery], now: datetime | None, record: Record
) -> Written:
    """Interpret deliveries, and write down what they say and their verdicts.

    Args:
        now: when the verdicts are come to; None leaves the deliveries with those that they have.
        record: how what they say is recorded: as news, or instead of what they said before.
    """
    interpreted = [(delivery, interpret_delivery(rules, delivery)) for delivery in deliveries]
    try:
        return await _write(connection, rules, interpreted, now, record)
    except DatabaseRejected:
        # One delivery says something that PostgreSQL does not take: alone, it fails alone.
        written = [await _write_alone(connection, rules, one, now, record) for one in interpreted]
        return Written(
            list(chain.from_iterable(one.interpreted for one in written)),
            list(chain.from_iterable(one.recorded for one in written)),
        )


async def _write(
    connection: Connection, rules: Rules, interpreted: list[Interpreted], now: datetime | None, record: Record
) -> Written:
    if not interpreted:
        return Written([], [])
    said = [_said(*one) for one in interpreted]
    async with savepoint(connection):
        # First, since others may wait for what is recorded, from then on until the end of the transaction.
        if now is not None:
            verdicts = zip(said, interpreted, strict=True)
            settled = [Settlement(one.delivery, found.verdict, found.reason) for one, (_, found) in verdicts]
            await inbox.settle(connection, settled, rules.digest, now)
        recorded = await record(connection, said)
    return Written(interpreted, recorded)


async def _write_alone(
    connection: Connection, rules: Rules, interpreted: Interpreted, now: datetime | None, record: Record
) -> Written:
    try:
        return await _write(connection, rules, [interpreted], now, record)
    except DatabaseRejected as error:
        failed = interpreted[0], Interpretation("failed", str(error))
        return await _write(connection, rules, [failed], now, record)


def _said(delivery: Delivery, interpretation: Interpretation) -> Said:
    events = {statement.event: statement.rule for statement in interpretation.statements}
    return Said(delivery.id, delivery.received_at, events, interpretation.links, interpretation.aliases)

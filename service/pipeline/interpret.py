"""Interpret: turn stored deliveries into lifecycle events and links, and give each delivery its verdict."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeAlias

import structlog

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Nothing, Observed
from service.deliveries.payload import RawPayload
from service.lifecycle.events import EARLIEST, LATEST
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.model import Interpretation, Rules
from service.rules.near_misses import NearMiss, find_near_misses
from service.storage import inbox, recording
from service.storage.database import Connection, Database, savepoint
from service.storage.errors import DatabaseRejected
from service.storage.inbox import DeliveryVerdict
from service.storage.recording import InterpretedDelivery
from service.telemetry import Telemetry

_BATCH = 200

_log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
Interpreted: TypeAlias = tuple[Delivery, Interpretation]
_Write: TypeAlias = Callable[[Sequence[Interpreted]], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Deliveries with their interpretations, and the kinds of the events that were not stored before."""

    interpreted: list[Interpreted]
    new_kinds: list[str]


def interpret_delivery(rules: Rules, delivery: Delivery) -> Interpretation:
    """Interpret one delivery by the given rules, without storing anything.

    The verdict is *failed* if the delivery cannot be read, or if an unexpected error occurs.
    """
    provider = PROVIDERS.get(delivery.provider)
    if provider is None:
        return Interpretation("failed", f"provider `{delivery.provider}` is not known to this version of loopgauge")
    try:
        observed = provider.observe(delivery)
        interpretation = apply_rules(rules, provider.name, observed, RawPayload(provider, delivery))
        _check_times(interpretation)
    except UnreadableDelivery as error:
        return Interpretation("failed", str(error))
    except Exception as error:  # noqa: BLE001 - a bug must not stop the rest of the batch; the delivery is kept
        _log.exception("delivery failed", delivery=str(delivery.id), source=delivery.source)
        return Interpretation("failed", f"a fault in loopgauge: {type(error).__name__}")
    return interpretation


def find_near_misses_of(rules: Rules, delivery: Delivery) -> list[NearMiss]:
    """The rules that nearly match a delivery which does not count; none if the delivery cannot be read."""
    provider = PROVIDERS[delivery.provider]
    try:
        observed = provider.observe(delivery)
    except UnreadableDelivery:
        return []
    observations = [] if isinstance(observed, Nothing) else [each for each in observed if isinstance(each, Observed)]
    return find_near_misses(rules, provider.name, observations, RawPayload(provider, delivery))


async def interpret_pending(database: Database, rules: Rules, telemetry: Telemetry, clock: Clock) -> int:
    """Interpret the next pending deliveries in one transaction, and return their number.

    The events and the verdict of a delivery are committed together, so the delivery stays pending if the worker dies.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost; try again later.
    """
    async with database.transaction() as connection:
        claimed = await inbox.claim_pending(connection, _BATCH)
        recorded = await record_interpretations(connection, rules, claimed, clock())
    verdicts = Counter((delivery.source, interpretation.verdict) for delivery, interpretation in recorded.interpreted)
    for (source, verdict), number in verdicts.items():
        telemetry.count_interpreted(source, verdict, number)
    telemetry.count_recorded(recorded.new_kinds)
    return len(claimed)


async def record_interpretations(
    connection: Connection, rules: Rules, deliveries: Sequence[Delivery], now: datetime
) -> Recorded:
    """Interpret deliveries, and record their verdicts, events, links and renames."""

    async def write(batch: Sequence[Interpreted]) -> list[str]:
        await _record_verdicts(connection, batch, rules.digest, now)
        return await recording.record_deliveries(connection, [_interpreted_delivery(*one) for one in batch])

    return await _write_interpretations(connection, rules, deliveries, write)


async def revise_interpretations(
    connection: Connection, rules: Rules, deliveries: Sequence[Delivery], now: datetime
) -> None:
    """Interpret deliveries again, record the new verdicts, and replace the recorded events, links and renames."""

    async def write(batch: Sequence[Interpreted]) -> list[str]:
        await _record_verdicts(connection, batch, rules.digest, now)
        return await recording.revise_deliveries(connection, [_interpreted_delivery(*one) for one in batch])

    await _write_interpretations(connection, rules, deliveries, write)


async def revise_events(connection: Connection, rules: Rules, deliveries: Sequence[Delivery]) -> None:
    """Interpret deliveries again, and replace the recorded events, links and renames, but keep the verdicts."""

    async def write(batch: Sequence[Interpreted]) -> list[str]:
        return await recording.revise_deliveries(connection, [_interpreted_delivery(*one) for one in batch])

    await _write_interpretations(connection, rules, deliveries, write)


async def _write_interpretations(
    connection: Connection, rules: Rules, deliveries: Sequence[Delivery], write: _Write
) -> Recorded:
    interpreted = [(delivery, interpret_delivery(rules, delivery)) for delivery in deliveries]
    try:
        return await _write_batch(connection, interpreted, write)
    except DatabaseRejected:
        # PostgreSQL rejects a value of one delivery. Write each delivery alone, so that only the rejected delivery
        # fails.
        recorded = [await _write_alone(connection, one, write) for one in interpreted]
        return Recorded(
            list(chain.from_iterable(one.interpreted for one in recorded)),
            list(chain.from_iterable(one.new_kinds for one in recorded)),
        )


async def _write_batch(connection: Connection, interpreted: list[Interpreted], write: _Write) -> Recorded:
    if not interpreted:
        return Recorded([], [])
    async with savepoint(connection):
        return Recorded(interpreted, await write(interpreted))


async def _write_alone(connection: Connection, interpreted: Interpreted, write: _Write) -> Recorded:
    try:
        return await _write_batch(connection, [interpreted], write)
    except DatabaseRejected as error:
        failed = interpreted[0], Interpretation("failed", str(error))
        return await _write_batch(connection, [failed], write)


async def _record_verdicts(connection: Connection, batch: Sequence[Interpreted], digest: str, now: datetime) -> None:
    # Record the verdicts first. Recording the events takes locks that are held until the transaction ends. Take these
    # locks late, because other workers wait for them.
    verdicts = [DeliveryVerdict(delivery.id, given.verdict, given.reason) for delivery, given in batch]
    await inbox.record_verdicts(connection, verdicts, digest, now)


def _interpreted_delivery(delivery: Delivery, interpretation: Interpretation) -> InterpretedDelivery:
    rules_by_event = {statement.event: statement.rule for statement in interpretation.statements}
    return InterpretedDelivery(
        delivery.id,
        delivery.received_at,
        rules_by_event,
        interpretation.links,
        interpretation.aliases,
        identities=interpretation.identities,
        source=delivery.source,
        pushes=interpretation.pushes,
    )


def _check_times(interpretation: Interpretation) -> None:
    """Refuse times such as the year 1, which some senders write for "none".

    The driver sends the first instant of the year 1 to PostgreSQL as minus infinity.
    """
    stated = [event.occurred_at for event in interpretation.events]
    stated += [link.stated_at for link in interpretation.links]
    stated += [alias.renamed_at for alias in interpretation.aliases]
    stated += [identified.at for identified in interpretation.identities]
    stated += [push.pushed_at for push in interpretation.pushes]
    for at in stated:
        if not EARLIEST <= at < LATEST:
            raise UnreadableDelivery(f"the time {at.isoformat()} is out of range")

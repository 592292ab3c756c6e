"""Lifecycle events: what the deliveries said, and which of them said it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, text

from service.lifecycle.aliases import Alias
from service.lifecycle.codec import data_of, event_id, kind_of, read_event
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import LinkSet
from service.lifecycle.references import Ref
from service.storage import aliases, dirty_subjects, links
from service.storage.database import Connection
from service.storage.tables import among, columns, deliveries, event_deliveries, events


@dataclass(frozen=True, slots=True)
class Said:
    """What one delivery said."""

    delivery: UUID
    received_at: datetime
    events: Mapping[LifecycleEvent, str] = field(default_factory=dict)
    """Each with the name of the rule that made it."""
    links: Sequence[LinkSet] = ()
    aliases: Sequence[Alias] = ()


async def record(connection: Connection, said: Iterable[Said]) -> list[str]:
    """Record what deliveries said, and mark every subject that it names as touched.

    Events that are known already only gain a delivery that brought them. The order in which concurrent calls take
    rows is the same for all, so that they wait for each other and never in a circle.

    Returns:
        The kind of each event that was not known before.
    """
    heard = list(said)
    recorded: list[str] = []
    await aliases.lock(connection, alone=any(one.aliases for one in heard))
    ids = {event: event_id(event) for event in {event for one in heard for event in one.events}}
    rows = _event_rows(heard, ids)
    # First what nobody else writes: who brings the same events or links waits for our end.
    if rows:
        await connection.execute(_INSERT_PROVENANCE, columns(_PROVENANCE, _provenance_rows(heard, ids)))
    newest = await links.state(connection, ((one.delivery, link) for one in heard for link in one.links))
    if rows:
        recorded = await _insert(connection, rows)
    replaced = await links.put_in_force(connection, newest)
    renamed = await aliases.record(connection, ((one.delivery, alias) for one in heard for alias in one.aliases))
    subjects = {event.subject for one in heard for event in one.events} | replaced
    for link in (link for one in heard for link in one.links):
        subjects |= {link.evidence, *link.targets}
    await dirty_subjects.touch(connection, subjects | renamed)
    return recorded


async def _insert(connection: Connection, rows: Sequence[Mapping[str, object]]) -> list[str]:
    return list(await connection.scalars(_INSERT, columns(_EVENT, rows)))


_EVENT = ("subject", "id", "kind", "occurred_at", "received_at", "data")
_INSERT = text(
    """
    INSERT INTO events (subject, id, kind, occurred_at, received_at, data)
    SELECT * FROM unnest(
        CAST(:subject AS text[]), CAST(:id AS uuid[]), CAST(:kind AS text[]), CAST(:occurred_at AS timestamptz[]),
        CAST(:received_at AS timestamptz[]), CAST(:data AS jsonb[])
    )
    ON CONFLICT DO NOTHING
    RETURNING kind
    """
)
_PROVENANCE = ("subject", "event_id", "delivery_id", "rule")
_INSERT_PROVENANCE = text(
    """
    INSERT INTO event_deliveries (subject, event_id, delivery_id, rule)
    SELECT * FROM unnest(
        CAST(:subject AS text[]), CAST(:event_id AS uuid[]), CAST(:delivery_id AS uuid[]), CAST(:rule AS text[])
    )
    ON CONFLICT DO NOTHING
    """
)


def _event_rows(heard: Iterable[Said], ids: Mapping[LifecycleEvent, UUID]) -> list[dict[str, object]]:
    first: dict[LifecycleEvent, datetime] = {}
    for one in heard:
        for event in one.events:
            first.setdefault(event, one.received_at)
    return [
        {
            "subject": event.subject,
            "id": ids[event],
            "kind": kind_of(event),
            "occurred_at": event.occurred_at,
            "received_at": first[event],
            "data": msgspec.json.encode(data_of(event)).decode(),
        }
        for event in sorted(first, key=lambda event: (event.subject, ids[event]))
    ]


def _provenance_rows(heard: Iterable[Said], ids: Mapping[LifecycleEvent, UUID]) -> list[dict[str, object]]:
    brought = {(event.subject, ids[event], one.delivery): rule for one in heard for event, rule in one.events.items()}
    return [
        {"subject": subject, "event_id": event, "delivery_id": by, "rule": brought[subject, event, by]}
        for subject, event, by in sorted(brought)
    ]


async def revise(connection: Connection, said: Iterable[Said]) -> list[str]:
    """Let deliveries say this instead of what they said before.

    An event, a link or a name stays while any other delivery asserts it. Nobody else records meanwhile, since what
    they find already there might be what is taken away.

    Returns:
        The kind of each event that was not known before.
    """
    heard = list(said)
    by = [one.delivery for one in heard]
    await aliases.lock(connection, alone=True)
    brought = {Ref(subject) for subject in await connection.scalars(_WITHDRAW_EVENTS, {"deliveries": by})}
    stated = await links.withdraw(connection, by)
    renamed = await aliases.known_by(connection, await aliases.withdraw(connection, by))
    recorded = await record(connection, heard)
    await connection.execute(_DROP_UNASSERTED, {"subjects": sorted(brought)})
    await links.restore(connection, stated)
    linked = {Ref(subject) for row in stated for subject in (row.evidence, *row.targets)}
    await dirty_subjects.touch(connection, brought | linked | renamed)
    return recorded


_WITHDRAW_EVENTS = text("DELETE FROM event_deliveries WHERE delivery_id = ANY(:deliveries) RETURNING subject")
_DROP_UNASSERTED = text(
    """
    DELETE FROM events WHERE subject = ANY(:subjects) AND NOT EXISTS (
        SELECT FROM event_deliveries
        WHERE event_deliveries.subject = events.subject AND event_deliveries.event_id = events.id
    )
    """
)


async def events_of(connection: Connection, subjects: Collection[Ref]) -> dict[Ref, list[LifecycleEvent]]:
    """All committed events of the subjects.

    Raises:
        UnreadableEvent: an event was written by a newer version.
    """
    rows = await connection.execute(
        select(events.c.subject, events.c.kind, events.c.occurred_at, events.c.data).where(
            among(events.c.subject, subjects)
        )
    )
    found: dict[Ref, list[LifecycleEvent]] = {}
    for row in rows:
        subject = Ref(row.subject)
        found.setdefault(subject, []).append(read_event(row.kind, subject, row.occurred_at, row.data))
    return found


@dataclass(frozen=True, slots=True)
class Origin:
    """A delivery that brought an event, and the rule that made the event of it."""

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


async def origins_of(connection: Connection, subjects: Collection[Ref]) -> dict[tuple[Ref, UUID], list[Origin]]:
    """Which deliveries brought each event of the subjects, the earliest first, by subject and event id."""
    rows = await connection.execute(
        select(event_deliveries, deliveries.c.source, deliveries.c.received_at)
        .join(deliveries, deliveries.c.id == event_deliveries.c.delivery_id)
        .where(among(event_deliveries.c.subject, subjects))
        .order_by(deliveries.c.received_at, deliveries.c.id)
    )
    origins: dict[tuple[Ref, UUID], list[Origin]] = {}
    for row in rows:
        origin = Origin(row.delivery_id, row.source, row.received_at, row.rule)
        origins.setdefault((Ref(row.subject), row.event_id), []).append(origin)
    return origins


async def not_heard_of_since(connection: Connection, before: datetime, after: str, limit: int) -> list[Ref]:
    """Subjects of which nothing was received since a time, in alphabetical order, those that come after a name."""
    found = await connection.scalars(_NOT_HEARD_OF, {"before": before, "after": after, "limit": limit})
    return [Ref(subject) for subject in found]


async def still_not_heard_of(connection: Connection, before: datetime, subjects: Collection[Ref]) -> list[Ref]:
    """Those of the subjects of which still nothing was received since a time."""
    heard = await connection.scalars(
        select(events.c.subject).where(among(events.c.subject, subjects), events.c.received_at >= before)
    )
    return sorted(set(subjects) - set(map(Ref, heard)))


async def forget(connection: Connection, subjects: Collection[Ref]) -> None:
    """Forget everything that subjects said, and that was said about them."""
    for statement in _FORGET:
        await connection.execute(statement, {"subjects": sorted(subjects)})


_NOT_HEARD_OF = text(
    """
    SELECT subject FROM events WHERE subject COLLATE "C" > :after GROUP BY subject
    HAVING max(received_at) < :before ORDER BY subject COLLATE "C" LIMIT :limit
    """
)
_FORGET = (
    text("DELETE FROM events WHERE subject = ANY(:subjects)"),
    text("DELETE FROM event_deliveries WHERE subject = ANY(:subjects)"),
    text("DELETE FROM links WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
    text("DELETE FROM link_statements WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
)

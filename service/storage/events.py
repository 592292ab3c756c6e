"""The tables `events` and `event_deliveries`: lifecycle events, and the deliveries that brought these events."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import text

from service.lifecycle.codec import data_of, kind_of, read_event
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.references import Ref
from service.storage.database import Connection, driver_of
from service.storage.tables import columns

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


async def insert_provenance(
    connection: Connection, rules: Mapping[tuple[LifecycleEvent, UUID], str], ids: Mapping[LifecycleEvent, UUID]
) -> None:
    """Record which deliveries brought which events.

    Args:
        rules: for each event and delivery, the name of the rule that made the event from the delivery.
        ids: the id of each event.
    """
    by_key = {(event.subject, ids[event], delivery): rule for (event, delivery), rule in rules.items()}
    rows = [
        {"subject": subject, "event_id": event, "delivery_id": delivery, "rule": by_key[subject, event, delivery]}
        for subject, event, delivery in sorted(by_key)
    ]
    if rows:
        await connection.execute(_INSERT_PROVENANCE, columns(_PROVENANCE, rows))


_EVENT = ("subject", "id", "kind", "occurred_at", "received_at", "data")
_INSERT_EVENTS = text(
    """
    INSERT INTO events (subject, id, kind, occurred_at, received_at, data)
    SELECT * FROM unnest(
        CAST(:subject AS text[]), CAST(:id AS uuid[]), CAST(:kind AS text[]), CAST(:occurred_at AS timestamptz[]),
        CAST(:received_at AS timestamptz[]), CAST(:data AS jsonb[])
    ) AS stated(subject, id, kind, occurred_at, received_at, data)
    WHERE NOT EXISTS (
        SELECT FROM spare_events WHERE spare_events.subject = stated.subject AND spare_events.id = stated.id
    )
    ON CONFLICT DO NOTHING
    RETURNING kind
    """
)


async def insert_events(
    connection: Connection, received: Mapping[LifecycleEvent, datetime], ids: Mapping[LifecycleEvent, UUID]
) -> list[str]:
    """Insert events that are not stored yet, in the order of their subjects and ids.

    Args:
        received: for each event, when the first delivery that brought it was received.
        ids: the id of each event.

    Returns:
        The kind of each new event.
    """
    rows = [
        {
            "subject": event.subject,
            "id": ids[event],
            "kind": kind_of(event),
            "occurred_at": event.occurred_at,
            "received_at": received[event],
            "data": msgspec.json.encode(data_of(event)).decode(),
        }
        for event in sorted(received, key=lambda event: (event.subject, ids[event]))
    ]
    return list(await connection.scalars(_INSERT_EVENTS, columns(_EVENT, rows))) if rows else []


_WITHDRAW_PROVENANCE = text("DELETE FROM event_deliveries WHERE delivery_id = ANY(:deliveries) RETURNING subject")


async def withdraw_provenance(connection: Connection, delivery_ids: Sequence[UUID]) -> set[Ref]:
    """Delete the rows of `event_deliveries` for these deliveries, and return the subjects in these rows."""
    subjects = await connection.scalars(_WITHDRAW_PROVENANCE, {"deliveries": delivery_ids})
    return {Ref(subject) for subject in subjects}


EventRow: TypeAlias = tuple[str, str, datetime, str]
"""The subject, kind, time and JSON data of a stored event."""

_ROWS = "SELECT subject, kind, occurred_at, data::text FROM events WHERE subject = ANY($1) LIMIT $2"


async def read_rows(connection: Connection, subjects: Collection[Ref], most: int) -> Sequence[EventRow]:
    """Read the events of the subjects, without decoding them.

    Args:
        most: the largest number of events to read. If the result has this number of events, there may be more.
    """
    rows: Sequence[EventRow] = await (await driver_of(connection)).fetch(_ROWS, sorted(subjects), most)
    return rows


def decode_rows(rows: Iterable[EventRow]) -> dict[Ref, list[LifecycleEvent]]:
    """Decode events, by subject. The decoding of thousands of events takes a while, so a thread may call this function.

    Raises:
        UnreadableEvent: a newer release of loopgauge wrote an event in a form that this release cannot read.
    """
    by_subject: dict[Ref, list[LifecycleEvent]] = {}
    for subject, kind, occurred_at, data in rows:
        event = decode_row(subject, kind, occurred_at, data)
        by_subject.setdefault(event.subject, []).append(event)
    return by_subject


def decode_row(subject: str, kind: str, occurred_at: datetime, data: str) -> LifecycleEvent:
    """Decode an event.

    Raises:
        UnreadableEvent: a newer release of loopgauge wrote the event in a form that this release cannot read.
    """
    return read_event(kind, Ref(subject), occurred_at, msgspec.json.decode(data))


async def events_of(
    connection: Connection, subjects: Collection[Ref], most: int = 10_000
) -> dict[Ref, list[LifecycleEvent]]:
    """Read and decode events of the subjects, at most `most` of them.

    Raises:
        UnreadableEvent: a newer release of loopgauge wrote an event in a form that this release cannot read.
    """
    return decode_rows(await read_rows(connection, subjects, most))


@dataclass(frozen=True, slots=True)
class Origin:
    """A delivery that brought an event, and the rule that made the event."""

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


_MOST_ORIGINS = 20
_ORIGINS = text(
    """
    SELECT found.* FROM unnest(CAST(:subjects AS text[]), CAST(:ids AS uuid[])) AS wanted(subject, id)
    CROSS JOIN LATERAL (
        SELECT brought.*, deliveries.source, deliveries.received_at
        FROM event_deliveries AS brought JOIN deliveries ON deliveries.id = brought.delivery_id
        WHERE brought.subject = wanted.subject AND brought.event_id = wanted.id
        ORDER BY deliveries.received_at, deliveries.id LIMIT :most
    ) AS found
    ORDER BY found.received_at, found.delivery_id
    """
)


async def origins_of(
    connection: Connection, identified: Collection[tuple[Ref, UUID]]
) -> dict[tuple[Ref, UUID], list[Origin]]:
    """Read the deliveries that brought each event, the earliest first, and at most 20 for each event.

    Args:
        identified: the subject and the id of each event, which are also the keys of the result.
    """
    wanted = {"subjects": [subject for subject, _ in identified], "ids": [event for _, event in identified]}
    origins: dict[tuple[Ref, UUID], list[Origin]] = {}
    for row in await connection.execute(_ORIGINS, {**wanted, "most": _MOST_ORIGINS}):
        origin = Origin(row.delivery_id, row.source, row.received_at, row.rule)
        origins.setdefault((Ref(row.subject), row.event_id), []).append(origin)
    return origins


_STATED_BY = text(
    """
    SELECT brought.delivery_id, stored.subject, stored.kind, stored.occurred_at, CAST(stored.data AS text) AS data
    FROM event_deliveries AS brought CROSS JOIN LATERAL (
        SELECT * FROM events WHERE subject = brought.subject AND id = brought.event_id
        UNION ALL
        SELECT * FROM spare_events WHERE subject = brought.subject AND id = brought.event_id
        LIMIT 1
    ) AS stored
    WHERE brought.delivery_id = ANY(:deliveries) AND brought.rule = :rule
    ORDER BY stored.occurred_at, stored.id
    """
)


async def stated_by(
    connection: Connection, delivery_ids: Collection[UUID], rule: str
) -> dict[UUID, list[LifecycleEvent]]:
    """Read the events that a rule made from these deliveries, by delivery.

    Raises:
        UnreadableEvent: a newer release of loopgauge wrote an event in a form that this release cannot read.
    """
    by_delivery: dict[UUID, list[LifecycleEvent]] = {}
    for row in await connection.execute(_STATED_BY, {"deliveries": list(delivery_ids), "rule": rule}):
        event = decode_row(row.subject, row.kind, row.occurred_at, row.data)
        by_delivery.setdefault(row.delivery_id, []).append(event)
    return by_delivery


_LIST_INACTIVE = text(
    """
    SELECT subject FROM events WHERE subject COLLATE "C" > :after GROUP BY subject
    HAVING max(received_at) < :before ORDER BY subject COLLATE "C" LIMIT :limit
    """
)


async def list_inactive(connection: Connection, before: datetime, after: str, limit: int) -> list[Ref]:
    """List subjects whose newest event was received before `before`, in alphabetical order.

    Args:
        after: list only subjects whose name comes after this name.
    """
    inactive = await connection.scalars(_LIST_INACTIVE, {"before": before, "after": after, "limit": limit})
    return [Ref(subject) for subject in inactive]


_SELECT_ACTIVE = [
    text(f"SELECT DISTINCT subject FROM {table} WHERE subject = ANY(:subjects) AND received_at >= :before")  # noqa: S608 - constants
    for table in ("events", "spare_events")
]


async def filter_inactive(connection: Connection, before: datetime, subjects: Collection[Ref]) -> list[Ref]:
    """Select the subjects for which no event was received at `before` or later."""
    values = {"subjects": sorted(subjects), "before": before}
    active = [one for query in _SELECT_ACTIVE for one in await connection.scalars(query, values)]
    return sorted(set(subjects) - set(map(Ref, active)))


_DELETE_SUBJECTS = (
    text("DELETE FROM events WHERE subject = ANY(:subjects)"),
    text("DELETE FROM spare_events WHERE subject = ANY(:subjects)"),
    text("DELETE FROM event_deliveries WHERE subject = ANY(:subjects)"),
    text("DELETE FROM links WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
    text("DELETE FROM link_statements WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
)


async def delete_subjects(connection: Connection, subjects: Collection[Ref]) -> None:
    """Delete all events of the subjects, and every link whose `evidence` or `stated_by` is one of the subjects."""
    for statement in _DELETE_SUBJECTS:
        await connection.execute(statement, {"subjects": sorted(subjects)})

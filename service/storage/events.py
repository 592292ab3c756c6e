"""Lifecycle events and links: what the deliveries said, and which subjects have news for projection."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.codec import data_of, event_id, kind_of, read_event
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import LinkSet, Ref
from service.storage.database import Connection
from service.storage.tables import among, event_deliveries, events, links, touch_marks, touched


@dataclass(frozen=True, slots=True)
class Said:
    """What one delivery said."""

    delivery: UUID
    received_at: datetime
    events: Sequence[LifecycleEvent]
    links: Sequence[LinkSet]


async def record(connection: Connection, said: Iterable[Said]) -> None:
    """Record what deliveries said, and mark every subject that it names as touched.

    Events that are known already only gain a delivery that brought them. The order in which concurrent calls take
    rows is the same for all, so that they wait for each other and never in a circle.
    """
    heard = list(said)
    if news := _event_rows(heard):
        await connection.execute(insert(events).on_conflict_do_nothing(), news)
        await connection.execute(insert(event_deliveries).on_conflict_do_nothing(), _provenance_rows(heard))
    replaced = await _record_links(connection, heard)
    subjects = {event.subject for one in heard for event in one.events} | replaced
    for link in (link for one in heard for link in one.links):
        subjects |= {link.evidence, *link.targets}
    await _touch(connection, subjects)


def _event_rows(heard: Iterable[Said]) -> list[dict[str, object]]:
    rows: dict[tuple[str, UUID], dict[str, object]] = {}
    for one in heard:
        for event in one.events:
            row = {
                "subject": event.subject,
                "id": event_id(event),
                "kind": kind_of(event),
                "occurred_at": event.occurred_at,
                "received_at": one.received_at,
                "data": data_of(event),
            }
            rows.setdefault((event.subject, event_id(event)), row)
    return [rows[key] for key in sorted(rows)]


def _provenance_rows(heard: Iterable[Said]) -> list[dict[str, object]]:
    brought = {(event.subject, event_id(event), one.delivery) for one in heard for event in one.events}
    return [{"subject": subject, "event_id": event, "delivery_id": by} for subject, event, by in sorted(brought)]


async def _record_links(connection: Connection, heard: Iterable[Said]) -> set[Ref]:
    """Keep the newest set of links per evidence, channel and speaker; returns the targets that it replaced."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in heard:
        for link in one.links:
            row = _link_row(link, one.delivery)
            known = newest.setdefault(_link_key(row), row)
            if _recency(known) < _recency(row):
                newest[_link_key(row)] = row
    if not newest:
        return set()
    rows = [newest[key] for key in sorted(newest)]
    # After this each row exists, and whoever else was about to make it has committed: what is read next, under a
    # lock, is what will be replaced.
    await connection.execute(insert(links).on_conflict_do_nothing(), rows)
    stored = await connection.execute(_LOCK_LINKS, {column: [row[column] for row in rows] for column in _LINK_KEY})
    outdated = {_link_key(row): row for row in stored.mappings() if _recency(row) < _recency(newest[_link_key(row)])}
    if outdated:
        await connection.execute(
            insert(links).on_conflict_do_update(
                index_elements=[links.c[column] for column in _LINK_KEY],
                set_={name: insert(links).excluded[name] for name in ("targets", "stated_at", "delivery_id")},
            ),
            [newest[key] for key in sorted(outdated)],
        )
    return {Ref(target) for row in outdated.values() for target in row["targets"]}


_LINK_KEY = ("evidence", "channel", "stated_by")

_LOCK_LINKS = text(
    """
    SELECT links.* FROM links JOIN unnest(
        CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[])
    ) AS wanted(evidence, channel, stated_by) USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by
    FOR UPDATE OF links
    """
)


def _link_key(row: Mapping[str, Any] | RowMapping) -> tuple[str, ...]:
    return tuple(row[column] for column in _LINK_KEY)


def _recency(row: Mapping[str, Any] | RowMapping) -> tuple[datetime, list[str]]:
    # Two sets stated in the same second need an order that does not depend on which came first.
    return row["stated_at"], row["targets"]


def _link_row(link: LinkSet, delivery: UUID) -> dict[str, Any]:
    return {
        "evidence": link.evidence,
        "channel": link.channel,
        "stated_by": link.stated_by,
        "targets": sorted(link.targets),
        "stated_at": link.stated_at,
        "delivery_id": delivery,
    }


async def _touch(connection: Connection, subjects: Iterable[Ref]) -> None:
    rows = [{"subject": subject} for subject in sorted(set(subjects))]
    if rows:
        renewed = {"mark": touch_marks.next_value()}
        await connection.execute(
            insert(touched).on_conflict_do_update(index_elements=[touched.c.subject], set_=renewed), rows
        )


async def take_touched(connection: Connection, limit: int) -> list[Ref]:
    """The longest touched subjects that no other worker holds; held until the transaction ends, then forgotten.

    Who touches one of them again meanwhile waits for the end of this transaction and makes a new mark.
    """
    oldest = select(touched.c.subject).order_by(touched.c.mark).limit(limit).with_for_update(skip_locked=True)
    taken = await connection.scalars(delete(touched).where(touched.c.subject.in_(oldest)).returning(touched.c.subject))
    return [Ref(subject) for subject in taken]


async def links_around(connection: Connection, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """Every link among what the subjects are evidence for, what is evidence for them, and so on for those above.

    Returns:
        (evidence, target) pairs.
    """
    rows = await connection.execute(_AROUND, {"subjects": sorted(subjects)})
    return [(Ref(row.evidence), Ref(row.target)) for row in rows]


# Upwards from the subjects and from all that lies below them, since something below may serve another root too;
# then downwards from all of those.
_AROUND = text(
    """
    WITH RECURSIVE below(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT links.evidence FROM below JOIN links ON links.targets @> ARRAY[below.subject]
    ), above(subject) AS (
        SELECT subject FROM below
        UNION
        SELECT unnest(links.targets) FROM above JOIN links ON links.evidence = above.subject
    ), around(subject) AS (
        SELECT subject FROM above
        UNION
        SELECT links.evidence FROM around JOIN links ON links.targets @> ARRAY[around.subject]
    )
    SELECT links.evidence, unnest(links.targets) AS target FROM around JOIN links ON links.evidence = around.subject
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

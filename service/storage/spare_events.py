"""The table `spare_events`: events of busy subjects that folds do not read. `read_page` reads all events, spare or
not.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import text

from service.lifecycle.references import Ref
from service.storage.cursors import EventPosition
from service.storage.database import Connection, driver_of

IdentifiedRow: TypeAlias = tuple[str, str, datetime, str, UUID]
"""The subject, kind, time, JSON data and id of a stored event."""

_UNASSERTED = """
    DELETE FROM {table} AS stored WHERE subject = ANY(:subjects) AND NOT EXISTS (
        SELECT FROM event_deliveries
        WHERE event_deliveries.subject = stored.subject AND event_deliveries.event_id = stored.id
    )
    RETURNING subject
"""
_DELETE_UNASSERTED = text(_UNASSERTED.format(table="events"))
_DELETE_UNASSERTED_SPARE = text(_UNASSERTED.format(table="spare_events"))
_RESTORE_SPARE = text(
    """
    WITH restored AS (DELETE FROM spare_events WHERE subject = ANY(:subjects) RETURNING *)
    INSERT INTO events SELECT * FROM restored ON CONFLICT DO NOTHING
    """
)


async def delete_unasserted(connection: Connection, subjects: Collection[Ref]) -> None:
    """Delete each event of the subjects that no delivery states: `event_deliveries` has no row for such an event.

    If this deletes an event that is not spare, restore all spare events of its subject, because one of them may now
    decide.
    """
    named = {"subjects": sorted(subjects)}
    await connection.execute(_DELETE_UNASSERTED_SPARE, named)
    thinner = set(await connection.scalars(_DELETE_UNASSERTED, named))
    if thinner:
        await connection.execute(_RESTORE_SPARE, {"subjects": sorted(thinner)})


_IDENTIFIED = "SELECT subject, kind, occurred_at, data::text, id FROM events WHERE subject = $1 LIMIT $2"
_LOCK_EVENTS = text("SELECT FROM events WHERE subject = :subject AND id = ANY(:ids) ORDER BY id FOR UPDATE")
_MOVE_SPARE = text(
    """
    WITH moved AS (DELETE FROM events WHERE subject = :subject AND id = ANY(:ids) RETURNING *)
    INSERT INTO spare_events SELECT * FROM moved ON CONFLICT DO NOTHING
    """
)


async def read_events(connection: Connection, subject: Ref, most: int) -> Sequence[IdentifiedRow]:
    """Read at most `most` events of one subject, without the spare events. Each has its id, and is not decoded."""
    rows: Sequence[IdentifiedRow] = await (await driver_of(connection)).fetch(_IDENTIFIED, subject, most)
    return rows


async def move(connection: Connection, subject: Ref, ids: Collection[UUID]) -> None:
    """Move events of a subject to the table `spare_events`, which folds do not read.

    The caller blocks the revision of deliveries (`aliases.lock_shared`).
    """
    spare = {"subject": subject, "ids": sorted(ids)}
    await connection.execute(_LOCK_EVENTS, spare)
    await connection.execute(_MOVE_SPARE, spare)


_PAGE = """
    SELECT subject, kind, occurred_at, data::text, id FROM (
        SELECT * FROM events WHERE subject = ANY($1)
        UNION ALL
        SELECT * FROM spare_events AS spare WHERE subject = ANY($1)
            AND NOT EXISTS (SELECT FROM events WHERE events.subject = spare.subject AND events.id = spare.id)
    ) AS stored
    WHERE kind <> 'refused' AND (occurred_at, subject COLLATE "C", id) > ($2, $3, $4)
    ORDER BY occurred_at, subject COLLATE "C", id LIMIT $5
"""


async def read_page(
    connection: Connection, subjects: Collection[Ref], after: EventPosition, limit: int
) -> Sequence[IdentifiedRow]:
    """Read a page of all events of the subjects, spare or not, in order of time, without refusals.

    Args:
        after: the position of the last event of the previous page.
    """
    rows: Sequence[IdentifiedRow] = await (await driver_of(connection)).fetch(_PAGE, sorted(subjects), *after, limit)
    return rows

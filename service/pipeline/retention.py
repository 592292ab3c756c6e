"""Retention: delete bodies, and evidence that belongs to no experiment, after a time."""

from datetime import datetime

from service.lifecycle.references import Ref
from service.pipeline.surroundings import read_surroundings
from service.storage import aliases, events, inbox
from service.storage.database import Connection, Database

# One scan of all events finds many subjects; each transaction deletes a few.
_SCAN = 5000
_BATCH = 100


async def delete_bodies(database: Database, before: datetime) -> int:
    """Delete the bodies of processed deliveries that were received before a time, and return how many.

    The deliveries stay, and so do their events. Each small batch is a transaction of its own.

    Raises:
        DatabaseUnavailable: some batches are done; the next call does the rest.
    """
    deleted = 0
    while True:
        async with database.transaction() as connection:
            batch = await inbox.delete_bodies(connection, before, _BATCH)
        deleted += batch
        if batch < _BATCH:
            return deleted


async def delete_unattached(database: Database, before: datetime) -> int:
    """Delete subjects that belong to no experiment and were last received before a time, and return how many.

    Experiments and all their evidence stay. So do excluded subjects, which a metric counts. Each small batch is a
    transaction of its own, so that recording never waits long.

    Raises:
        DatabaseUnavailable: some batches are done; the next call does the rest.
    """
    deleted, last = 0, ""
    while True:
        async with database.transaction() as connection:
            stale = await events.list_inactive(connection, before, last, _SCAN)
        for start in range(0, len(stale), _BATCH):
            async with database.transaction() as connection:
                await aliases.lock_exclusive(connection)
                batch = await events.filter_inactive(connection, before, stale[start : start + _BATCH])
                unattached = await _select_unattached(connection, batch)
                await events.delete_subjects(connection, unattached)
            deleted += len(unattached)
        if len(stale) < _SCAN:
            return deleted
        last = stale[-1]


async def _select_unattached(connection: Connection, subjects: list[Ref]) -> list[Ref]:
    surroundings = await read_surroundings(connection, subjects)

    def is_attached(subject: Ref) -> bool:
        canonical = surroundings.canonical(subject)
        linked = {canonical} | surroundings.graph.ancestors(canonical) | surroundings.graph.descendants(canonical)
        return bool(linked & surroundings.marked or linked & surroundings.excluded.keys())

    return [subject for subject in subjects if not is_attached(subject)]

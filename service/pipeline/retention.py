"""Retention: delete old bodies, and old evidence that belongs to no experiment."""

from datetime import datetime

from service.lifecycle.references import Ref
from service.pipeline.surroundings import read_surroundings
from service.storage import aliases, events, inbox
from service.storage.database import Connection, Database

# Each query for old subjects reads all events. It returns many subjects, so that few queries are necessary.
# While a transaction deletes subjects, workers cannot record deliveries. It deletes few subjects, so that the workers
# wait only briefly.
_SCAN = 5000
_BATCH = 100


async def delete_bodies(database: Database, before: datetime) -> int:
    """Delete the bodies of processed deliveries received before `before`, and return the number of deleted bodies.

    The deliveries and their events stay. Each small batch is a separate transaction.

    Raises:
        DatabaseUnavailable: some batches may be committed; call again to continue.
    """
    deleted = 0
    while True:
        async with database.transaction() as connection:
            batch = await inbox.delete_bodies(connection, before, _BATCH)
        deleted += batch
        if batch < _BATCH:
            return deleted


async def delete_unattached(database: Database, before: datetime) -> int:
    """Delete subjects that belong to no experiment, and return their number.

    Only subjects whose events were all received before `before` are deleted. Experiments and all their evidence
    stay. Excluded subjects and their evidence stay too, because a metric counts excluded subjects. Each small batch is
    a separate transaction, so that transactions that record deliveries wait only for one batch.

    Raises:
        DatabaseUnavailable: some batches may be committed; call again to continue.
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

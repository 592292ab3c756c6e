"""Retention: delete old bodies, old pushes, and old evidence that belongs to no experiment."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.lifecycle.errors import TooManyRelatives
from service.lifecycle.references import Ref
from service.pipeline.clock_check import check_clock
from service.pipeline.surroundings import read_surroundings
from service.storage import aliases, events, inbox, old_pushes
from service.storage.database import Connection, Database

# Each query for old subjects reads all events. It returns many subjects, so that few queries are necessary.
# While a transaction deletes subjects, workers cannot record deliveries. It deletes few subjects, so that the workers
# wait only briefly.
_SCAN = 5000
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many bodies of deliveries and how many unattached subjects were deleted."""

    bodies: int
    subjects: int


async def delete_old(
    database: Database, clock: Callable[[], datetime], raw_retention: timedelta, evidence_retention: timedelta
) -> Deleted:
    """Delete the bodies, the pushes and the unattached subjects that are older than their retention.

    Args:
        clock: returns the current time, UTC.

    Raises:
        ClockInDoubt: the clock may be wrong, so nothing was deleted.
        DatabaseUnavailable: some batches may be committed; call again to continue.
    """
    now = await check_clock(database, clock)
    bodies = await delete_bodies(database, now - raw_retention)
    subjects = await delete_unattached(database, now - evidence_retention)
    await delete_pushes(database, now - evidence_retention)
    return Deleted(bodies, subjects)


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
            deleted += await _delete_batch(database, before, stale[start : start + _BATCH])
        if len(stale) < _SCAN:
            return deleted
        last = stale[-1]


async def delete_pushes(database: Database, before: datetime) -> int:
    """Delete pushes to default branches that were received before `before`, and return their number.

    Experiments keep their shipments. A later deployment no longer ships the commits of a deleted push. Each small batch
    is a separate transaction.

    Raises:
        DatabaseUnavailable: some batches may be committed; call again to continue.
    """
    deleted = 0
    while True:
        async with database.transaction() as connection:
            await aliases.lock_exclusive(connection)
            names = await aliases.read_all(connection)
            batch = await old_pushes.delete_old(connection, before, _BATCH, names)
        deleted += batch
        if batch < _BATCH:
            return deleted


async def _delete_batch(database: Database, before: datetime, subjects: Sequence[Ref]) -> int:
    try:
        async with database.transaction() as connection:
            await aliases.lock_exclusive(connection)
            inactive = await events.filter_inactive(connection, before, subjects)
            unattached = await _select_unattached(connection, inactive)
            await events.delete_subjects(connection, unattached)
        return len(unattached)
    except TooManyRelatives:
        # Try each subject in a transaction of its own. Keep each subject that has too many relatives even so: it may
        # belong to an experiment.
        each = [[subject] for subject in subjects] if len(subjects) > 1 else []
        return sum([await _delete_batch(database, before, one) for one in each])


async def _select_unattached(connection: Connection, subjects: Collection[Ref]) -> list[Ref]:
    surroundings = await read_surroundings(connection, subjects)
    attached = surroundings.graph.relatives(surroundings.marked | surroundings.excluded.keys())
    # The end of a project or group excludes what is in it for as long as this end is stored.
    attached |= surroundings.ends.keys()
    # The deployment of a commit may ship the commits on which it stands.
    deployed = await old_pushes.select_deployed(connection, subjects)
    meanings = surroundings.aliases.subjects
    return [one for one in subjects if attached.isdisjoint(meanings(one)) and one not in deployed]

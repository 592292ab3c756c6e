"""Retain: bodies, and evidence that never came to belong to an experiment, are kept for a time and then forgotten."""

from datetime import datetime

from service.lifecycle.references import Ref
from service.pipeline.surroundings import read_surroundings
from service.storage import aliases, events, inbox
from service.storage.database import Connection, Database

# One look through all events finds many; each transaction takes few.
_AT_ONCE = 5000
_BATCH = 100


async def forget_bodies(database: Database, before: datetime) -> int:
    """Forget what was sent in deliveries that have their verdict and were received before a time.

    The deliveries stay, and so does all that came of them. It goes in small batches, each committed by itself.

    Returns:
        How many bodies were forgotten.

    Raises:
        DatabaseUnavailable: it stopped half-way; the rest is forgotten next time.
    """
    forgotten = 0
    while True:
        async with database.transaction() as connection:
            batch = await inbox.delete_bodies(connection, before, _BATCH)
        forgotten += batch
        if batch < _BATCH:
            return forgotten


async def forget_unattached(database: Database, before: datetime) -> int:
    """Forget subjects of which nothing was received since `before`, and that no experiment is tied to.

    Experiments and all their evidence stay, those among them that are left out of figures, since these are counted. It
    goes in small batches, so that recording never waits long.

    Returns:
        How many subjects were forgotten.

    Raises:
        DatabaseUnavailable: it stopped half-way; the rest is forgotten next time.
    """
    forgotten, last = 0, ""
    while True:
        async with database.transaction() as connection:
            stale = await events.list_inactive(connection, before, last, _AT_ONCE)
        for start in range(0, len(stale), _BATCH):
            async with database.transaction() as connection:
                await aliases.lock_exclusive(connection)
                batch = await events.filter_inactive(connection, before, stale[start : start + _BATCH])
                unattached = await _unattached(connection, batch)
                await events.delete_subjects(connection, unattached)
            forgotten += len(unattached)
        if len(stale) < _AT_ONCE:
            return forgotten
        last = stale[-1]


async def _unattached(connection: Connection, subjects: list[Ref]) -> list[Ref]:
    around = await read_surroundings(connection, subjects)

    def is_attached(subject: Ref) -> bool:
        newest = around.newest(subject)
        tied = {newest} | around.graph.ancestors(newest) | around.graph.descendants(newest)
        return bool(tied & around.marked or tied & around.excluded.keys())

    return [subject for subject in subjects if not is_attached(subject)]

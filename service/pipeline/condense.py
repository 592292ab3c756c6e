"""Condense: move the events of a busy subject that folds need not read to another table."""

from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

from service.lifecycle.references import Ref
from service.lifecycle.thinning import thin
from service.pipeline.off_loop import compute
from service.storage import aliases, events, spare_events
from service.storage.database import Transactions
from service.storage.spare_events import IdentifiedRow

_MOST = 50_000
"""The largest number of events to thin at a time. The next condensation goes on with the others."""


async def condense(database: Transactions, subjects: Iterable[Ref]) -> None:
    """Move the events that thinning leaves out to the table `spare_events`.

    Folds thin the events anyway, so no experiment changes.

    Args:
        subjects: names under which events are stored.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost.
    """
    for subject in subjects:
        async with database.transaction() as connection:
            # Events are spare only while the events that say the same are stored. A revision of deliveries may delete
            # the latter, so block revisions meanwhile.
            await aliases.lock_shared(connection)
            rows = await spare_events.read_events(connection, subject, _MOST)
            spare = await compute(partial(_find_spare, rows), len(rows))
            await spare_events.move(connection, subject, spare)


def _find_spare(rows: Sequence[IdentifiedRow]) -> list[UUID]:
    stored = {
        events.decode_row(subject, kind, occurred_at, data): identifier
        for subject, kind, occurred_at, data, identifier in rows
    }
    kept = set(thin(stored.keys()))
    return [identifier for event, identifier in stored.items() if event not in kept]

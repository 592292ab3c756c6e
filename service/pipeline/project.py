"""Project: experiments are folded anew from all that is committed about them."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import TypeAlias

import structlog

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory
from service.pipeline.surroundings import read_surroundings
from service.storage import dirty_subjects, exclusions, experiments
from service.storage.database import Connection, Transactions, savepoint
from service.storage.errors import DatabaseTimeout, DatabaseUnavailable
from service.telemetry import Telemetry

BATCH = 100
"""How many touched subjects are projected at a time."""

_log = structlog.get_logger(__name__)


Reclassified: TypeAlias = list[tuple[FailureCategory, FailureCategory]]
"""Failures whose category is another one now: the one before, and the one now."""


async def project_dirty(
    database: Transactions, clock: Callable[[], datetime], telemetry: Telemetry | None = None
) -> int:
    """Fold the experiments that touched subjects belong to, or belonged to, and return how many were touched.

    One that is being touched again at this moment is not done with, and comes again. Where all of them are, 0 is
    returned: going on at once would do the same once more.

    A subject that cannot be projected fails alone: it is set aside for a while, with the error, and does not stop the
    others.

    Args:
        telemetry: told of failures whose category changed; None where nobody counts them.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    claimed, reclassified = await _project_next(database, clock)
    if telemetry is not None:
        telemetry.count_reclassified(reclassified)
    return claimed


async def _project_next(database: Transactions, clock: Callable[[], datetime]) -> tuple[int, Reclassified]:
    try:
        async with database.transaction() as connection:
            claimed = await dirty_subjects.claim_dirty(connection, BATCH, clock())
            reclassified = await project(connection, claimed.keys())
            done = await dirty_subjects.clear(connection, claimed)
        return len(claimed) if done else 0, reclassified
    except DatabaseUnavailable as error:
        if not isinstance(error, DatabaseTimeout):
            raise
    except Exception:  # noqa: BLE001 - which subject it is comes out when each is taken alone
        _log.debug("projection of a batch failed", exc_info=True)
    return await _project_each(database, clock)


async def _project_each(database: Transactions, clock: Callable[[], datetime]) -> tuple[int, Reclassified]:
    reclassified: Reclassified = []
    failed: dict[Ref, str] = {}
    async with database.transaction() as connection:
        claimed = await dirty_subjects.claim_dirty(connection, BATCH, clock())
        for subject in claimed:
            try:
                async with savepoint(connection):
                    reclassified += await project(connection, [subject])
            except Exception as error:
                if isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseTimeout):
                    raise
                _log.error("projection failed", subject=subject, exc_info=error)
                failed[subject] = f"{type(error).__name__}: {error}"
        # At the end: who touches one of them again waits for what holds its mark.
        done = await dirty_subjects.clear(connection, {one: mark for one, mark in claimed.items() if one not in failed})
        for subject, error_text in failed.items():
            done += await dirty_subjects.postpone(connection, subject, claimed[subject], error_text, clock())
    return len(claimed) if done else 0, reclassified


async def project(connection: Connection, touched: Collection[Ref]) -> Reclassified:
    """Fold what touched subjects belong to, and note which of them are left out.

    The roots, and what is left out, are locked before anything that goes into the fold is read, so whoever commits last
    is folded last. Each of them is then judged by what is known around itself: a touched subject may serve another one
    by now. What comes up only after the lock was made so by a commit that left a touched mark of its own.
    """
    if not touched:
        return []
    before = await read_surroundings(connection, touched)
    affected = before.roots | before.excluded.keys()
    affected |= await experiments.select_roots(connection, before.names) | await exclusions.select_subjects(
        connection, before.names
    )
    await experiments.lock_roots(connection, affected)
    now = await read_surroundings(connection, affected.union(touched))
    folded = [now.fold(root) for root in now.roots & affected]
    reclassified = await _reclassified(connection, folded)
    await experiments.replace(connection, folded, affected - now.roots)
    left_out = {subject: now.excluded[subject] for subject in now.excluded.keys() & affected}
    await exclusions.replace(connection, left_out, affected - left_out.keys())
    return reclassified


async def _reclassified(connection: Connection, folded: Iterable[Experiment]) -> Reclassified:
    failed = {one.root: one.failure_category for one in folded if one.failure_category is not None}
    before = await experiments.failure_categories(connection, failed)
    return [(before[root], category) for root, category in failed.items() if before.get(root, category) != category]

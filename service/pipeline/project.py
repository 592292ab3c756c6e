"""Project: compute ("fold") experiments anew from all committed events about them."""

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
"""The largest number of dirty subjects that are projected at a time."""

_log = structlog.get_logger(__name__)


Reclassified: TypeAlias = list[tuple[FailureCategory, FailureCategory]]
"""The old and the new category of each failure whose category changed."""


async def project_dirty(
    database: Transactions, clock: Callable[[], datetime], telemetry: Telemetry | None = None
) -> int:
    """Fold the experiments of the next dirty subjects, and return the number of these subjects.

    A subject that is marked dirty again meanwhile stays dirty. If all subjects stay dirty, the result is 0, so that the
    caller waits before it retries. If a subject cannot be projected, its error is stored and the subject is postponed;
    the projection of other subjects continues.

    Args:
        telemetry: counts failures whose category changed; None for a replay, which does not count these failures.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost; try again later.
    """
    claimed, reclassified = await _project_batch(database, clock)
    if telemetry is not None:
        telemetry.count_reclassified(reclassified)
    return claimed


async def _project_batch(database: Transactions, clock: Callable[[], datetime]) -> tuple[int, Reclassified]:
    try:
        async with database.transaction() as connection:
            claimed = await dirty_subjects.claim_dirty(connection, BATCH, clock())
            reclassified = await project(connection, claimed.keys())
            cleared = await dirty_subjects.clear(connection, claimed)
        return len(claimed) if cleared else 0, reclassified
    except DatabaseUnavailable as error:
        if not isinstance(error, DatabaseTimeout):
            raise
    except Exception:  # noqa: BLE001 - projecting each subject alone shows which one fails
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
        # Clear or postpone the subjects last: from here until this transaction ends, a process that marks one of them
        # dirty again must wait.
        projected = {subject: mark for subject, mark in claimed.items() if subject not in failed}
        changed = await dirty_subjects.clear(connection, projected)
        for subject, error_text in failed.items():
            changed += await dirty_subjects.postpone(connection, subject, claimed[subject], error_text, clock())
    return len(claimed) if changed else 0, reclassified


async def project(connection: Connection, dirty: Collection[Ref]) -> Reclassified:
    """Fold the experiments that dirty subjects belong to now or belonged to before, and store the subjects' exclusions.

    The first reading of the surroundings finds the roots to lock. The second reading, under the locks, provides the
    events to fold, and sees everything that earlier projections of these roots saw. A root that appears only in the
    second reading is not folded here: the commit that introduced the root also marked a subject dirty, and the
    projection of that subject folds the root.
    """
    if not dirty:
        return []
    before = await read_surroundings(connection, dirty)
    affected = before.roots | before.excluded.keys()
    affected |= await experiments.select_roots(connection, before.names)
    affected |= await exclusions.select_subjects(connection, before.names)
    await experiments.lock_roots(connection, affected)
    now = await read_surroundings(connection, affected.union(dirty))
    folded = [now.fold(root) for root in now.roots & affected]
    reclassified = await _find_reclassified(connection, folded)
    await experiments.replace(connection, folded, affected - now.roots)
    excluded = {subject: now.excluded[subject] for subject in now.excluded.keys() & affected}
    await exclusions.replace(connection, excluded, affected - excluded.keys())
    return reclassified


async def _find_reclassified(connection: Connection, folded: Iterable[Experiment]) -> Reclassified:
    failed = {
        experiment.root: experiment.failure_category for experiment in folded if experiment.failure_category is not None
    }
    before = await experiments.failure_categories(connection, failed)
    return [(before[root], category) for root, category in failed.items() if before.get(root, category) != category]

"""Project: compute ("fold") experiments anew from all committed events about them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

import structlog

from service.lifecycle.containers import is_container
from service.lifecycle.errors import TooManyRelatives
from service.lifecycle.experiment import Experiment
from service.lifecycle.identities import has_branches
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory
from service.pipeline.condense import condense
from service.pipeline.linked import MOST_LINKS
from service.pipeline.off_loop import compute
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.storage import aliases, dirty_subjects, exclusions, experiments, links, subjects
from service.storage.database import Connection, Transactions
from service.storage.errors import DatabaseTimeout, DatabaseUnavailable
from service.telemetry import Telemetry

BATCH = 100
"""The largest number of dirty subjects that are projected at a time."""

MOST_EFFORT = 300_000
"""The largest effort of one projection, in events to fold. An effort of this size takes some seconds."""

_log = structlog.get_logger(__name__)


Reclassified: TypeAlias = list[tuple[FailureCategory, FailureCategory]]
"""The old and the new category of each failure whose category changed."""


async def project_dirty(
    database: Transactions,
    clock: Callable[[], datetime],
    telemetry: Telemetry | None = None,
    *,
    each_alone: bool = False,
) -> int:
    """Fold the experiments of the next dirty subjects, and return the number of these subjects.

    A subject that is marked dirty again meanwhile stays dirty. If all subjects stay dirty, the result is 0, so that the
    caller waits before it retries. If a subject cannot be projected, its error is stored and the subject is postponed;
    the projection of other subjects continues.

    Args:
        telemetry: counts failures whose category changed; None for a replay, which does not count these failures.
        each_alone: project each subject in transactions of its own, and count each attempt before it begins. This is
            slower, but finds the subject whose projection ends the connection or the process.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost; try again later, with
            `each_alone`.
    """
    projected = await (_project_each if each_alone else _project_batch)(database, clock)
    if telemetry is not None:
        telemetry.count_reclassified(projected.reclassified)
    await condense(database, projected.crowded)
    return projected.subjects


@dataclass(slots=True)
class _Projected:
    """The results of a batch.

    Attributes:
        subjects: the number of subjects that are clean or postponed now.
        reclassified: the failures whose category changed.
        crowded: the stored names of subjects with many spare events.
    """

    subjects: int = 0
    reclassified: Reclassified = field(default_factory=list)
    crowded: set[Ref] = field(default_factory=set)


async def _project_batch(database: Transactions, clock: Callable[[], datetime]) -> _Projected:
    try:
        async with database.transaction() as connection:
            claimed = await dirty_subjects.claim_dirty(connection, BATCH, clock())
            projection = await project(connection, claimed.keys())
            cleared = await dirty_subjects.clear(connection, claimed)
        return _Projected(len(claimed) if cleared else 0, projection.reclassified, set(projection.crowded))
    except Exception as error:
        if _is_lost(error):
            raise
        # Projecting each subject alone shows which one fails.
        _log.debug("projection of a batch failed", exc_info=True)
    return await _project_each(database, clock)


async def _project_each(database: Transactions, clock: Callable[[], datetime]) -> _Projected:
    projected = _Projected()
    for _ in range(BATCH):
        async with database.transaction() as connection:
            attempt = await dirty_subjects.begin_attempt(connection, clock())
        if attempt is None:
            break
        subject, mark = attempt
        try:
            async with database.transaction() as connection:
                projection = await project(connection, [subject])
                projected.subjects += await dirty_subjects.finish_attempt(connection, subject, mark)
            projected.reclassified += projection.reclassified
            projected.crowded.update(projection.crowded)
        except Exception as error:
            if _is_lost(error):
                raise
            await _postpone(database, subject, mark, error, clock())
            projected.crowded.update(map(Ref, error.busy) if isinstance(error, TooManyRelatives) else ())
            projected.subjects += 1
    return projected


def _is_lost(error: Exception) -> bool:
    """Whether the connection was lost, so that the error tells nothing about the subjects."""
    return isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseTimeout)


async def _postpone(database: Transactions, subject: Ref, mark: int, error: Exception, now: datetime) -> None:
    async with database.transaction() as connection:
        shown = (await aliases.read_all(connection)).canonical(subject)
        if isinstance(error, TooManyRelatives):
            reason = f"{dirty_subjects.SET_ASIDE}{error}"
            await dirty_subjects.fail_attempt(connection, subject, mark, reason, now)
            # Set the ancestors of the subject aside too: they have all its relatives, and more.
            above = await links.ancestors(connection, subject, MOST_LINKS) - {subject}
            others = await dirty_subjects.set_aside(connection, above, reason, now)
            _log.warning("subject set aside", subject=shown, cause=str(error), others=others)
        elif isinstance(error, DatabaseTimeout):
            await dirty_subjects.fail_attempt(connection, subject, mark, f"{dirty_subjects.SET_ASIDE}{error}", now)
            _log.warning("subject set aside", subject=shown, cause=str(error))
        else:
            await dirty_subjects.fail_attempt(connection, subject, mark, f"{type(error).__name__}: {error}", now)
            _log.error("projection failed", subject=shown, exc_info=error)


@dataclass(frozen=True, slots=True)
class Projection:
    """The results of a projection, besides the stored experiments.

    Attributes:
        crowded: the stored names of subjects with many spare events, which the caller condenses after the commit.
    """

    reclassified: Reclassified
    crowded: Sequence[Ref] = ()


async def project(connection: Connection, dirty: Collection[Ref]) -> Projection:
    """Fold the experiments that dirty subjects belong to now or belonged to before, and store the subjects' exclusions.

    The first reading of the surroundings finds the roots to lock. The second reading, under the locks, provides the
    events to fold, and sees everything that earlier projections of these roots saw. A root that appears only in the
    second reading is not folded here: the commit that introduced the root also marked a subject dirty, and the
    projection of that subject folds the root.
    """
    if not dirty:
        return Projection([])
    before = await read_surroundings(connection, dirty)
    affected = before.roots | before.excluded.keys()
    affected |= await experiments.select_roots(connection, before.names)
    affected |= await exclusions.select_subjects(connection, before.names)
    await experiments.lock_roots(connection, affected)
    now = await read_surroundings(connection, affected.union(dirty))
    folded = await compute(partial(_fold, now, now.roots & affected), now.size)
    archived = {one.root: exclusion for one in folded if (exclusion := now.exclusion_of(one))}
    kept = [one for one in folded if one.root not in archived]
    reclassified = await _find_reclassified(connection, kept)
    await experiments.replace(connection, kept, affected - {one.root for one in kept})
    excluded = {subject: now.excluded[subject] for subject in now.excluded.keys() & affected} | archived
    await exclusions.replace(connection, excluded, affected - excluded.keys())
    await _mark_members(connection, dirty, now)
    return Projection(reclassified, now.crowded)


async def _mark_members(connection: Connection, dirty: Collection[Ref], now: Surroundings) -> None:
    """Mark dirty what is in dirty projects and groups, because its exclusion may change.

    Also mark the tickets that texts name in small letters, because this counts since the first sighting of a project.

    No lock is needed. A subject whose events are committed before this transaction looks is found. Any other subject is
    projected after its commit, and then sees the events of its project, which were committed before.
    """
    containers = {one for subject in dirty if is_container(subject) for one in now.aliases.subjects(subject)}
    if not containers:
        return
    # The plain names of the projects in a group begin with its name.
    names = {name for one in containers for name in now.aliases.names_in(one) if not name.startswith(f"{one}/")}
    loose = {name for name in names if name == name.lower() and not has_branches(name)}
    tickets = await subjects.select_linked_members(connection, loose) if loose else set[Ref]()
    # A project that never ended has nothing to mark, except what an end excluded that was taken back by a replay.
    ended = [one for one in containers if now.events.get(one)]
    found = await subjects.select_members(connection, names, everything=bool(ended))
    # Mark only the projects and groups below: otherwise one would mark itself without end.
    above = tuple(f"{now.canonical(one)}/" for one in containers)
    members = {one for one in found if not is_container(one) or now.canonical(one).startswith(above)}
    await dirty_subjects.mark_dirty(connection, members | {now.canonical(one) for one in tickets})


def _fold(now: Surroundings, roots: Iterable[Ref]) -> list[Experiment]:
    effort, folded = 0, []
    for root in sorted(roots):
        effort += now.effort(root)
        if effort > MOST_EFFORT:
            raise TooManyRelatives(f"its experiments have more than {MOST_EFFORT:,} events together")
        folded.append(now.fold(root))
    return folded


async def _find_reclassified(connection: Connection, folded: Iterable[Experiment]) -> Reclassified:
    failed = {
        experiment.root: experiment.failure_category for experiment in folded if experiment.failure_category is not None
    }
    before = await experiments.failure_categories(connection, failed)
    return [(before[root], category) for root, category in failed.items() if before.get(root, category) != category]

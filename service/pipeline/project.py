"""Project: experiments are folded anew from all that is committed about them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import structlog

from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Aliases, Graph, Ref
from service.lifecycle.excluded import Excluded, excluded
from service.lifecycle.experiment import Attempt, Experiment, fold, is_marked
from service.lifecycle.taxonomy import FailureCategory
from service.storage import events, exclusions, experiments, links, marks, names
from service.storage.database import Connection, DatabaseTimeout, DatabaseUnavailable, Transactions, savepoint
from service.telemetry import Telemetry

BATCH = 100
"""How many touched subjects are projected at a time."""

_log = structlog.get_logger(__name__)


Reclassified: TypeAlias = list[tuple[FailureCategory, FailureCategory]]
"""Failures whose category is another one now: the one before, and the one now."""


async def project_touched(
    database: Transactions, clock: Callable[[], datetime], telemetry: Telemetry | None = None, *, alone: bool = False
) -> int:
    """Fold the experiments that touched subjects belong to, or belonged to, and return how many are done with.

    One that is being touched again at this moment is not done with: it is for the next time.

    A subject that cannot be projected fails alone: it is set aside for a while, with the error, and does not stop the
    others.

    Args:
        telemetry: told of failures whose category changed; None where nobody counts them.
        alone: nobody else can project this meanwhile.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    done, reclassified = await _project_next(database, clock, alone=alone)
    if telemetry is not None:
        telemetry.count_reclassified(reclassified)
    return done


async def _project_next(
    database: Transactions, clock: Callable[[], datetime], *, alone: bool
) -> tuple[int, Reclassified]:
    try:
        async with database.transaction() as connection:
            claimed = await marks.claim(connection, BATCH, clock(), alone=alone)
            return await project(connection, claimed, alone=alone)
    except DatabaseUnavailable as error:
        if not isinstance(error, DatabaseTimeout):
            raise
    except Exception:  # noqa: BLE001 - which subject it is comes out when each is taken alone
        _log.debug("projection of a batch failed", exc_info=True)
    return await _project_each(database, clock, alone=alone)


async def _project_each(
    database: Transactions, clock: Callable[[], datetime], *, alone: bool
) -> tuple[int, Reclassified]:
    done = 0
    reclassified: Reclassified = []
    async with database.transaction() as connection:
        claimed = await marks.claim(connection, BATCH, clock(), alone=alone)
        for subject, mark in claimed.items():
            try:
                async with savepoint(connection):
                    cleared, moved = await project(connection, {subject: mark}, alone=alone)
                done, reclassified = done + cleared, reclassified + moved
            except DatabaseUnavailable as error:
                if not isinstance(error, DatabaseTimeout):
                    raise
                done += await _set_aside(connection, subject, mark, error, clock())
            except Exception as error:  # noqa: BLE001 - a fault in one subject must not stop the others
                done += await _set_aside(connection, subject, mark, error, clock())
    return done, reclassified


async def _set_aside(connection: Connection, subject: Ref, mark: int, error: Exception, now: datetime) -> int:
    _log.error("projection failed", subject=subject, exc_info=error)
    return await marks.set_aside(connection, subject, mark, f"{type(error).__name__}: {error}", now)


async def project(
    connection: Connection, touched: Mapping[Ref, int], *, alone: bool = False
) -> tuple[int, Reclassified]:
    """Fold what touched subjects belong to, note which of them are left out, and take their marks, as given, away.

    The roots, and what is left out, are locked before anything that goes into the fold is read, so whoever commits last
    is folded last. What comes up only after the lock was made so by a commit that left a touched mark of its own. Who
    is `alone` need not lock.

    Returns:
        How many are done with, and the failures whose category changed.
    """
    if not touched:
        return 0, []
    before = await read_surroundings(connection, touched)
    affected = before.roots | before.excluded.keys()
    affected |= await experiments.known(connection, before.names) | await exclusions.known(connection, before.names)
    if not alone:
        await experiments.lock(connection, affected)
    now = await read_surroundings(connection, touched)
    folded = [now.fold(root) for root in now.roots & affected]
    reclassified = await _reclassified(connection, folded)
    await experiments.replace(connection, folded, affected - now.roots)
    left_out = {subject: now.excluded[subject] for subject in now.excluded.keys() & affected}
    await exclusions.replace(connection, left_out, affected - left_out.keys())
    return await marks.forget(connection, touched), reclassified


async def _reclassified(connection: Connection, folded: Iterable[Experiment]) -> Reclassified:
    failed = {one.root: one.failure_category for one in folded if one.failure_category is not None}
    before = await experiments.categories(connection, failed)
    return [(before[root], category) for root, category in failed.items() if before.get(root, category) != category]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around some subjects, under the newest name of each."""

    names: frozenset[Ref]
    """Every name of the subjects, of what they serve and of what serves them: where a mark or a link can make a
    difference."""
    marked: frozenset[Ref]
    """The subjects that are marked as experiments, and not excluded."""
    roots: frozenset[Ref]
    """The subjects, what they serve and what serves them, so far as they are experiments."""
    excluded: Mapping[Ref, Excluded]
    """Those of the subjects, of what they serve and of what serves them that are left out of figures, and no evidence
    for an experiment either."""
    graph: Graph
    heard: Mapping[Ref, list[LifecycleEvent]]
    aliases: Aliases

    def newest(self, subject: Ref) -> Ref:
        """The name under which a subject stands here."""
        return self.aliases.canonical(subject)

    def fold(self, root: Ref) -> Experiment:
        """The experiment of a root."""
        serving = self.graph.descendants(root)
        attempts = [
            Attempt(self.heard[subject], self._heard_of(self.graph.descendants(subject) - {root}))
            for subject in serving & self.marked
        ]
        return fold(root, self.heard[root], self._heard_of(serving), attempts)

    def with_more(self, root: Ref, events: Iterable[LifecycleEvent]) -> "Surroundings":
        """The same where a root had further events."""
        return replace(self, heard={**self.heard, root: [*self.heard[root], *events]})

    def _heard_of(self, subjects: Iterable[Ref]) -> list[LifecycleEvent]:
        return [event for subject in subjects for event in self.heard.get(subject, ())]


async def read_surroundings(connection: Connection, subjects: Collection[Ref]) -> Surroundings:
    """What is known around the subjects, as it is committed now."""
    aliases = await names.everything(connection)
    serving = await _links_around(connection, aliases, subjects)
    graph = Graph.of((aliases.canonical(evidence), aliases.canonical(target)) for evidence, target in serving)
    touched = {aliases.canonical(subject) for subject in subjects}
    everybody = touched.union(*([graph.upwards.keys(), graph.downwards.keys()]))
    heard: dict[Ref, list[LifecycleEvent]] = {}
    known = await events.events_of(connection, frozenset[Ref]().union(*map(aliases.names, everybody)))
    for subject, said in known.items():
        heard.setdefault(aliases.canonical(subject), []).extend(said)
    marked = frozenset(subject for subject, own in heard.items() if is_marked(own))
    candidates = touched.union(*(graph.ancestors(subject) | graph.descendants(subject) for subject in touched))
    everywhere = frozenset[Ref](subjects).union(*map(aliases.names, candidates))
    roots = frozenset(subject for subject in candidates if graph.is_root(subject, marked))
    left_out = {
        subject: why
        for subject in candidates & heard.keys()
        if (why := excluded(heard[subject])) and not graph.ancestors(subject) & marked
    }
    return Surroundings(everywhere, marked, roots, left_out, graph, heard, aliases)


async def _links_around(connection: Connection, aliases: Aliases, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """The links around the subjects, whatever name they were stated under."""
    known = frozenset[Ref]().union(*map(aliases.names, subjects))
    while True:
        found = await links.around(connection, known)
        linked = {subject for link in found for subject in link}
        everywhere = known.union(*map(aliases.names, linked))
        if everywhere - known <= linked:
            return found
        known = everywhere

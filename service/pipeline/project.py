"""Project: experiments are folded anew from all that is committed about them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Aliases, Graph, Ref
from service.lifecycle.experiment import Experiment, fold, is_marked
from service.storage import events, experiments, links, marks, names
from service.storage.database import Connection, DatabaseTimeout, DatabaseUnavailable, Transactions, savepoint

_BATCH = 100
_log = structlog.get_logger(__name__)


async def project_touched(database: Transactions, clock: Callable[[], datetime], *, alone: bool = False) -> int:
    """Fold the experiments that touched subjects belong to, or belonged to, and return how many were touched.

    A subject that cannot be projected fails alone: it is set aside for a while, with the error, and does not stop the
    others.

    Args:
        alone: nobody else can project this meanwhile.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    try:
        async with database.transaction() as connection:
            claimed = await marks.claim(connection, _BATCH, clock())
            await project(connection, claimed, alone=alone)
            return len(claimed)
    except DatabaseUnavailable as error:
        if not isinstance(error, DatabaseTimeout):
            raise
    except Exception:  # noqa: BLE001 - which subject it is comes out when each is taken alone
        _log.debug("projection of a batch failed", exc_info=True)
    return await _project_each(database, clock, alone=alone)


async def _project_each(database: Transactions, clock: Callable[[], datetime], *, alone: bool) -> int:
    async with database.transaction() as connection:
        claimed = await marks.claim(connection, _BATCH, clock())
        for subject in claimed:
            try:
                async with savepoint(connection):
                    await project(connection, [subject], alone=alone)
            except DatabaseUnavailable as error:
                if not isinstance(error, DatabaseTimeout):
                    raise
                await _set_aside(connection, subject, error, clock())
            except Exception as error:  # noqa: BLE001 - a fault in one subject must not stop the others
                await _set_aside(connection, subject, error, clock())
    return len(claimed)


async def _set_aside(connection: Connection, subject: Ref, error: Exception, now: datetime) -> None:
    _log.error("projection failed", subject=subject, exc_info=error)
    await marks.set_aside(connection, subject, f"{type(error).__name__}: {error}", now)


async def project(connection: Connection, touched: Collection[Ref], *, alone: bool = False) -> None:
    """Fold what touched subjects belong to, and take their marks away.

    The roots are locked before anything that goes into the fold is read, so whoever commits last is folded last. A
    root that comes up only after the lock was made one by a commit that left a touched mark of its own. Who is `alone`
    need not lock.
    """
    if not touched:
        return
    before = await read_surroundings(connection, touched)
    affected = before.roots | await experiments.known(connection, before.names)
    if not alone:
        await experiments.lock(connection, affected)
    now = await read_surroundings(connection, touched)
    folded = [now.fold(root) for root in now.roots & affected]
    await experiments.replace(connection, folded, affected - now.roots)
    await marks.forget(connection, touched)


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
    graph: Graph
    heard: Mapping[Ref, list[LifecycleEvent]]
    aliases: Aliases

    def newest(self, subject: Ref) -> Ref:
        """The name under which a subject stands here."""
        return self.aliases.canonical(subject)

    def fold(self, root: Ref) -> Experiment:
        """The experiment of a root."""
        evidence = [event for subject in self.graph.descendants(root) for event in self.heard.get(subject, ())]
        return fold(root, self.heard[root], evidence)


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
    return Surroundings(everywhere, marked, roots, graph, heard, aliases)


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

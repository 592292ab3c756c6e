"""Project: experiments are folded anew from all that is committed about them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Graph, Ref
from service.lifecycle.experiment import Experiment, fold, is_marked
from service.storage import events, experiments
from service.storage.database import Connection, Database

_BATCH = 100


async def project_touched(database: Database) -> int:
    """Fold the experiments that touched subjects belong to, or belonged to, and return how many were touched.

    The roots are locked before anything that goes into the fold is read, so whoever commits last is folded last. A
    root that comes up only after the lock was made one by a commit that left a touched mark of its own.

    Raises:
        DatabaseUnavailable: nothing was committed; try again later.
    """
    async with database.transaction() as connection:
        touched = await events.take_touched(connection, _BATCH)
        if not touched:
            return 0
        before = await _read(connection, touched)
        affected = before.roots | await experiments.known(connection, before.candidates)
        await experiments.lock(connection, affected)
        now = await _read(connection, touched)
        folded = [now.fold(root) for root in now.roots & affected]
        await experiments.replace(connection, folded, affected - now.roots)
    return len(touched)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What is known around some subjects."""

    candidates: frozenset[Ref]
    """The subjects themselves, what they serve, and what serves them: where a mark or a link can make a difference."""
    roots: frozenset[Ref]
    """The candidates that are experiments."""
    graph: Graph
    heard: Mapping[Ref, list[LifecycleEvent]]

    def fold(self, root: Ref) -> Experiment:
        evidence = [event for subject in self.graph.descendants(root) for event in self.heard.get(subject, ())]
        return fold(root, self.heard[root], evidence)


async def _read(connection: Connection, touched: Collection[Ref]) -> _Surroundings:
    pairs = await events.links_around(connection, touched)
    graph = Graph.of(pairs)
    heard = await events.events_of(connection, {*touched, *(subject for pair in pairs for subject in pair)})
    marked = frozenset(subject for subject, own in heard.items() if is_marked(own))
    candidates = frozenset(touched).union(
        *(graph.ancestors(subject) | graph.descendants(subject) for subject in touched)
    )
    roots = frozenset(subject for subject in candidates if graph.is_root(subject, marked))
    return _Surroundings(candidates, roots, graph, heard)

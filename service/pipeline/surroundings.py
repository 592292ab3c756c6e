"""Surroundings: all that is committed about some subjects and about what is linked to them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from service.lifecycle.aliases import Aliases
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Graph
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Attempt, Experiment, fold, is_marked
from service.lifecycle.references import Ref
from service.storage import aliases, events, links
from service.storage.database import Connection


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
    excluded: Mapping[Ref, Exclusion]
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

    def with_events(self, root: Ref, events: Iterable[LifecycleEvent]) -> "Surroundings":
        """The same where a root had further events."""
        return replace(self, heard={**self.heard, root: [*self.heard[root], *events]})

    def _heard_of(self, subjects: Iterable[Ref]) -> list[LifecycleEvent]:
        return [event for subject in subjects for event in self.heard.get(subject, ())]


async def read_surroundings(connection: Connection, subjects: Collection[Ref]) -> Surroundings:
    """What is known around the subjects, as it is committed now."""
    names = await aliases.read_all(connection)
    serving = await _links_around(connection, names, subjects)
    graph = Graph.of((names.canonical(evidence), names.canonical(target)) for evidence, target in serving)
    touched = {names.canonical(subject) for subject in subjects}
    everybody = touched.union(*([graph.upwards.keys(), graph.downwards.keys()]))
    heard: dict[Ref, list[LifecycleEvent]] = {}
    known = await events.events_of(connection, frozenset[Ref]().union(*map(names.names, everybody)))
    for subject, said in known.items():
        heard.setdefault(names.canonical(subject), []).extend(said)
    marked = frozenset(subject for subject, own in heard.items() if is_marked(own))
    candidates = touched.union(*(graph.ancestors(subject) | graph.descendants(subject) for subject in touched))
    everywhere = frozenset[Ref](subjects).union(*map(names.names, candidates))
    roots = frozenset(subject for subject in candidates if graph.is_root(subject, marked))
    left_out = {
        subject: why
        for subject in candidates & heard.keys()
        if (why := find_exclusion(heard[subject])) and not graph.ancestors(subject) & marked
    }
    return Surroundings(everywhere, marked, roots, left_out, graph, heard, names)


async def _links_around(connection: Connection, names: Aliases, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """The links around the subjects, whatever name they were stated under."""
    known = frozenset[Ref]().union(*map(names.names, subjects))
    while True:
        found = await links.neighbourhood(connection, known)
        linked = {subject for link in found for subject in link}
        everywhere = known.union(*map(names.names, linked))
        if everywhere - known <= linked:
            return found
        known = everywhere

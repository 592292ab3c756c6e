"""Surroundings: everything that is committed about some subjects and about the subjects linked to them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from service.lifecycle.aliases import Aliases
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Graph
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Attempt, Experiment, fold, is_marked
from service.lifecycle.grounds import Grounds, find_grounds
from service.lifecycle.references import Ref
from service.storage import aliases, events, links
from service.storage.database import Connection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Some subjects with their ancestors and descendants, each under its newest name.

    Attributes:
        names: every name of the subjects and of their ancestors and descendants.
        marked: every subject in `events` that is marked as an experiment and not excluded.
        roots: the subjects, ancestors and descendants that are experiments.
        excluded: the subjects, ancestors and descendants that metrics exclude and that are evidence for no experiment.
        events: the events of the subjects, and of every subject in `graph`.
    """

    names: frozenset[Ref]
    marked: frozenset[Ref]
    roots: frozenset[Ref]
    excluded: Mapping[Ref, Exclusion]
    graph: Graph
    events: Mapping[Ref, list[LifecycleEvent]]
    aliases: Aliases

    def canonical(self, subject: Ref) -> Ref:
        """The newest name of a subject."""
        return self.aliases.canonical(subject)

    def fold(self, root: Ref) -> Experiment:
        """Fold the experiment of a root from the events of the root and of its evidence."""
        evidence = self.graph.descendants(root)
        attempts = [
            Attempt(self.events[subject], self._events_of(self.graph.descendants(subject) - {root}))
            for subject in evidence & self.marked
        ]
        return fold(root, self.events[root], self._events_of(evidence), attempts)

    def grounds(self, root: Ref) -> Grounds:
        """Find the events that decide the experiment of a root."""
        return find_grounds(self.events[root], self._events_of(self.graph.descendants(root)))

    def with_events(self, root: Ref, events: Iterable[LifecycleEvent]) -> "Surroundings":
        """A copy of the surroundings with additional events of a root."""
        return replace(self, events={**self.events, root: [*self.events[root], *events]})

    def _events_of(self, subjects: Iterable[Ref]) -> list[LifecycleEvent]:
        return [event for subject in subjects for event in self.events.get(subject, ())]


async def read_surroundings(connection: Connection, subjects: Collection[Ref]) -> Surroundings:
    """Read the surroundings of subjects, as they are committed now."""
    names = await aliases.read_all(connection)
    graph = Graph.of(
        (names.canonical(evidence), names.canonical(target))
        for evidence, target in await _read_links(connection, names, subjects)
    )
    canonical = {names.canonical(subject) for subject in subjects}
    linked = canonical.union(graph.upwards.keys(), graph.downwards.keys())
    events_by_subject: dict[Ref, list[LifecycleEvent]] = {}
    stored = await events.events_of(connection, frozenset[Ref]().union(*map(names.names, linked)))
    for subject, subject_events in stored.items():
        events_by_subject.setdefault(names.canonical(subject), []).extend(subject_events)
    marked = frozenset(subject for subject, own in events_by_subject.items() if is_marked(own))
    relatives = canonical.union(*(graph.ancestors(subject) | graph.descendants(subject) for subject in canonical))
    excluded = {
        subject: exclusion
        for subject in relatives & events_by_subject.keys()
        if (exclusion := find_exclusion(events_by_subject[subject])) and not graph.ancestors(subject) & marked
    }
    return Surroundings(
        names=frozenset[Ref](subjects).union(*map(names.names, relatives)),
        marked=marked,
        roots=frozenset(subject for subject in relatives if graph.is_root(subject, marked)),
        excluded=excluded,
        graph=graph,
        events=events_by_subject,
        aliases=names,
    )


async def _read_links(connection: Connection, names: Aliases, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """Read the links in the neighbourhood of the subjects, including links that name a subject by a former name."""
    searched = frozenset[Ref]().union(*map(names.names, subjects))
    while True:
        found = await links.neighbourhood(connection, searched)
        linked = {subject for link in found for subject in link}
        all_names = searched.union(*map(names.names, linked))
        if all_names - searched <= linked:
            return found
        searched = all_names

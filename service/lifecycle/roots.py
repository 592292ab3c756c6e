"""The strongly connected components of the graph of evidence: they decide which marked subjects are roots.

The subjects of a cycle are each other's evidence, so they form one component. A subject outside any cycle is a
component of its own. One pass over the components (Tarjan's algorithm) finds all roots, in time proportional to the
number of subjects and links.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property

from service.lifecycle.evidence import Graph
from service.lifecycle.references import Ref


class Components:
    """The components of a graph, and the marked subjects above and below each of them."""

    def __init__(self, graph: Graph, marked: Collection[Ref]) -> None:
        self._graph = graph
        self._unlinked = frozenset(marked) - graph.upwards.keys() - graph.downwards.keys()
        self._members = list(_find_components(graph.upwards))
        self._places = {subject: place for place, members in enumerate(self._members) for subject in members}
        chosen = frozenset(marked)
        self._marked = [sorted(chosen.intersection(members)) for members in self._members]
        self._served = self._find_served()

    def is_root(self, subject: Ref) -> bool:
        """Whether a subject is the root of an experiment. A root is marked and has no marked ancestor.

        Marked subjects in one cycle are ancestors of each other. In this case the alphabetically first of them is the
        root.
        """
        place = self._places.get(subject)
        if place is None:
            return subject in self._unlinked
        return not self._served[place] and subject in self._marked[place][:1]

    def has_marked_ancestor(self, subject: Ref) -> bool:
        """Whether any ancestor of a subject is marked."""
        place = self._places.get(subject)
        if place is None:
            return False
        return self._served[place] or self._marked[place] not in ([], [subject])

    def evidence_of(self, subject: Ref) -> Callable[[Ref], bool]:
        """A function that tells whether its argument is the subject itself, or evidence for the subject."""
        place = self._places.get(subject)
        if place is None:
            return lambda other: other == subject
        below, places = self._below[place], self._places
        return lambda other: (found := places.get(other)) is not None and bool(below >> found & 1)

    def _find_served(self) -> list[bool]:
        """For each component, whether a component above it has a marked subject."""
        served: list[bool] = []
        # A component comes after all components above it.
        for place, members in enumerate(self._members):
            above = {self._places[target] for subject in members for target in self._graph.upwards.get(subject, ())}
            served.append(any(served[one] or bool(self._marked[one]) for one in above - {place}))
        return served

    @cached_property
    def _below(self) -> list[int]:
        """For each component, a bit set of the places of this component and of all components below it."""
        below = [1 << place for place in range(len(self._members))]
        for place in reversed(range(len(self._members))):
            for subject in self._members[place]:
                for evidence in self._graph.downwards.get(subject, ()):
                    below[place] |= below[self._places[evidence]]
        return below


def _find_components(upwards: Mapping[Ref, Collection[Ref]]) -> Iterator[list[Ref]]:
    """Yield the strongly connected components, each after all components that it serves."""
    search = _Search(upwards)
    for subject in upwards:
        if subject not in search.found:
            yield from search.run(subject)


class _Search:
    """Tarjan's algorithm, with a stack of its own in place of recursion: a chain of links may be long."""

    def __init__(self, upwards: Mapping[Ref, Collection[Ref]]) -> None:
        self.found: dict[Ref, int] = {}
        """The order in which subjects were found."""
        self._upwards = upwards
        self._lowest: dict[Ref, int] = {}
        self._open: list[Ref] = []
        """The subjects that belong to no complete component yet."""
        self._complete: set[Ref] = set()

    def run(self, start: Ref) -> Iterator[list[Ref]]:
        """Yield the components that are reached from a subject for the first time."""
        path = [(start, self._enter(start))]
        while path:
            subject, targets = path[-1]
            target = next(targets, None)
            if target is None:
                path.pop()
                if path:
                    self._lower(path[-1][0], self._lowest[subject])
                if self._lowest[subject] == self.found[subject]:
                    yield self._take_component(subject)
            elif target not in self.found:
                path.append((target, self._enter(target)))
            elif target not in self._complete:
                self._lower(subject, self.found[target])

    def _enter(self, subject: Ref) -> Iterator[Ref]:
        self.found[subject] = self._lowest[subject] = len(self.found)
        self._open.append(subject)
        return iter(self._upwards.get(subject, ()))

    def _lower(self, subject: Ref, order: int) -> None:
        self._lowest[subject] = min(self._lowest[subject], order)

    def _take_component(self, first: Ref) -> list[Ref]:
        members: list[Ref] = []
        while not members or members[-1] != first:
            members.append(self._open.pop())
        self._complete.update(members)
        return members

"""The graph of evidence: links between subjects, and the experiments that each subject serves.

A link points from evidence to its target, for example from a commit to its change, or from a change to its item. The
graph is a pure function of the set of links, so the links may arrive in any order. The graph may have cycles, and a
subject may have several targets.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.references import Ref

Channel = str
"""The part of a payload that states a link, such as `body`, `title`, `branch`, `merge commit`, `parent` or `api`."""

MOST_TARGETS = 50
"""The maximum number of targets that a subject may have on one channel."""


@dataclass(frozen=True, slots=True)
class LinkSet:
    """All targets of a piece of evidence, as one delivery states them on one channel.

    `evidence` is the subject that links to `targets`; `stated_by` is the subject whose payload states the links. The
    newest set for the same `evidence`, `channel` and `stated_by` replaces the older ones: an edit from "Closes #1" to
    "Closes #2" moves the evidence from item 1 to item 2, and an empty set withdraws the links.
    """

    evidence: Ref
    channel: Channel
    stated_by: Ref
    targets: frozenset[Ref]
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class Graph:
    """The current links among some subjects, in both directions."""

    upwards: Mapping[Ref, frozenset[Ref]]
    downwards: Mapping[Ref, frozenset[Ref]]

    @classmethod
    def of(cls, links: Iterable[tuple[Ref, Ref]]) -> "Graph":
        """The graph whose links are these (evidence, target) pairs."""
        upwards: defaultdict[Ref, set[Ref]] = defaultdict(set)
        downwards: defaultdict[Ref, set[Ref]] = defaultdict(set)
        for evidence, target in links:
            upwards[evidence].add(target)
            downwards[target].add(evidence)
        return cls(
            {ref: frozenset(targets) for ref, targets in upwards.items()},
            {ref: frozenset(evidence) for ref, evidence in downwards.items()},
        )

    def ancestors(self, subject: Ref) -> frozenset[Ref]:
        """The transitive closure of the subject's targets, without the subject."""
        return _reach([subject], self.upwards) - {subject}

    def descendants(self, subject: Ref) -> frozenset[Ref]:
        """The transitive closure of the subject's evidence, without the subject."""
        return _reach([subject], self.downwards) - {subject}

    def descendants_without(self, subject: Ref, barred: frozenset[Ref]) -> frozenset[Ref]:
        """The descendants that links connect with the subject even without the barred subjects."""
        steps = {target: evidence - barred for target, evidence in self.downwards.items()} if barred else self.downwards
        return _reach([subject], steps) - {subject}

    def below(self, subjects: Collection[Ref]) -> frozenset[Ref]:
        """The subjects and all their descendants."""
        return frozenset(subjects) | _reach(subjects, self.downwards)

    def above(self, subjects: Collection[Ref]) -> frozenset[Ref]:
        """The subjects and all their ancestors."""
        return frozenset(subjects) | _reach(subjects, self.upwards)

    def relatives(self, subjects: Collection[Ref]) -> frozenset[Ref]:
        """The subjects, all their ancestors and all their descendants."""
        return frozenset(subjects) | _reach(subjects, self.upwards) | _reach(subjects, self.downwards)


def _reach(start: Iterable[Ref], steps: Mapping[Ref, frozenset[Ref]]) -> frozenset[Ref]:
    """The subjects that one or more steps lead to."""
    reached: set[Ref] = set()
    frontier = list(start)
    while frontier:
        for neighbour in steps.get(frontier.pop(), frozenset()):
            if neighbour not in reached:
                reached.add(neighbour)
                frontier.append(neighbour)
    return frozenset(reached)

"""Subjects, the links between them, and which subjects serve which experiment.

A link points from evidence to what it is evidence for: a commit to its change, a change to its item. What
a subject serves is a pure function of the set of links, so the order in which they were heard of does not
matter. Links may form cycles, and a subject may serve several others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.references import Ref

Channel = str
"""The place in a payload that made a link: `body`, `title`, `branch`, `head`, `merge commit`, `api`."""

MOST_TARGETS = 50
"""How many subjects one subject may say, on one channel, that it serves."""


@dataclass(frozen=True, slots=True)
class LinkSet:
    """All that one subject states on one channel, at one time, about what a piece of evidence serves.

    The newest set that `stated_by` states about `evidence` on `channel` replaces its older ones, so an edit
    from "Closes #1" to "Closes #2" moves the evidence, and an empty set takes a link back.
    """

    evidence: Ref
    channel: Channel
    stated_by: Ref
    targets: frozenset[Ref]
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class Graph:
    """The links in force among some subjects, readable in both directions."""

    upwards: Mapping[Ref, frozenset[Ref]]
    downwards: Mapping[Ref, frozenset[Ref]]

    @classmethod
    def of(cls, links: Iterable[tuple[Ref, Ref]]) -> "Graph":
        """The graph of (evidence, target) pairs."""
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
        """Everything that the subject is evidence for, at any distance, itself left out."""
        return _reach(subject, self.upwards)

    def descendants(self, subject: Ref) -> frozenset[Ref]:
        """Everything that is evidence for the subject, at any distance, itself left out."""
        return _reach(subject, self.downwards)

    def is_root(self, subject: Ref, marked: frozenset[Ref]) -> bool:
        """Whether a subject is an experiment of its own: marked, and without a marked ancestor.

        Marked subjects that are evidence for each other in a circle would all lose their experiment; the
        alphabetically first of the circle stays its root.
        """
        if subject not in marked:
            return False
        above = self.ancestors(subject) & marked
        circle = above & self.descendants(subject)
        return above == circle and all(subject < other for other in circle)


def _reach(start: Ref, steps: Mapping[Ref, frozenset[Ref]]) -> frozenset[Ref]:
    reached: set[Ref] = set()
    frontier = [start]
    while frontier:
        for neighbour in steps.get(frontier.pop(), frozenset()):
            if neighbour not in reached:
                reached.add(neighbour)
                frontier.append(neighbour)
    return frozenset(reached - {start})

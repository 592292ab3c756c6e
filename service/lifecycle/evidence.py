"""Subjects, the links between them, and which subjects serve which experiment.

A link points from evidence to what it is evidence for: a commit to its change, a change to its item. What
a subject serves is a pure function of the set of links, so the order in which they were heard of does not
matter. Links may form cycles, and a subject may serve several others.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import NAMESPACE_URL, UUID, uuid5

from service.lifecycle.errors import BadReference

Ref = NewType("Ref", str)
"""A typed reference to a subject: `github:acme/app#45`, `github:acme/app!7`, `commit:<sha>`, `key:anything`."""

Channel = str
"""The place in a payload that made a link: `body`, `title`, `branch`, `head`, `merge commit`, `api`."""

_REFERENCE = re.compile(r"[a-z][a-z0-9_-]*:[^\s\x00-\x1f\x7f-\x9f]+")
# What references of the kinds that everybody shares look like; others are as their makers please.
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "branch": (re.compile(r"[^@]+@.+"), "branch:acme/app@exp/cache"),
    "github": (re.compile(r"[^#!]+[#!][0-9]+"), "github:acme/app#45 or github:acme/app!7"),
    "gitlab": (re.compile(r"[^#!]+[#!][0-9]+"), "gitlab:acme/app#45 or gitlab:acme/app!7"),
    "jira": (re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+"), "jira:ML-12"),
}
_IN_PROJECT = re.compile(r"(jira:[^-]+|[^@#!]+)([#!-][0-9]+|@.+)?")
MOST_TARGETS = 50
"""How many subjects one subject may say, on one channel, that it serves."""

_EXPERIMENTS = uuid5(NAMESPACE_URL, "loopgauge:experiment")


def parse_reference(text: str) -> Ref:
    """The reference that a text spells.

    Raises:
        BadReference: the text has no scheme or no name, white space or controls in it, or not the form of its scheme.
    """
    if not _REFERENCE.fullmatch(text):
        raise BadReference(f"{text!r} is not a reference; expected a form such as github:acme/app#45")
    scheme, _, named = text.partition(":")
    form, example = _FORMS.get(scheme, (None, ""))
    if form is not None and not form.fullmatch(named):
        raise BadReference(f"{text!r} is not a reference; expected {example}")
    if scheme == "jira":
        return Ref(f"jira:{text[5:].upper()}")
    # Free keys and the names of branches are compared with case, all else without.
    place, rest = _split(text)
    return Ref(text if scheme == "key" else place.lower() + (rest if scheme == "branch" else rest.lower()))


def item(provider: str, project: str, number: int) -> Ref:
    """The reference of an issue or ticket. Projects are compared without case, as the forges do."""
    return Ref(f"{provider}:{project.lower()}#{number}")


def change(provider: str, project: str, number: int) -> Ref:
    """The reference of a pull or merge request."""
    return Ref(f"{provider}:{project.lower()}!{number}")


def project(provider: str, name: str) -> Ref:
    """The reference of a project, as the start of those of its items and changes."""
    return Ref(f"{provider}:{name.lower()}")


def branches(project: str) -> Ref:
    """The reference of a project as the start of those of its branches."""
    return Ref(f"branch:{project.lower()}")


def branch(project: str, name: str) -> Ref:
    """The reference of a branch; its name is compared with case."""
    return Ref(f"{branches(project)}@{name}")


def commit(sha: str) -> Ref:
    """The reference of a commit; the hash alone names it in every fork and mirror."""
    return Ref(f"commit:{sha.lower()}")


def experiment_id(root: Ref) -> UUID:
    """The public id of the experiment with this root: a UUIDv5 of the reference."""
    return uuid5(_EXPERIMENTS, root)


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
class Alias:
    """A subject, or everything in a project, has a new name: transfers, key moves and renames.

    Attributes:
        old: the reference before, or, where a project was renamed, the project's as in `github:acme/app`.
        new: the same now.
        renamed_at: when.
    """

    old: Ref
    new: Ref
    renamed_at: datetime


class _Names:
    """Names that were given to each other: the one given last stands for all of them."""

    def __init__(self, given: Iterable[tuple[str, str]]) -> None:
        self._newest: dict[str, str] = {}
        self._all: dict[str, frozenset[str]] = {}
        for old, new in given:
            names = self.all(old) | self.all(new)
            self._newest.update(dict.fromkeys(names, new))
            self._all.update(dict.fromkeys(names, names))

    def newest(self, name: str) -> str:
        return self._newest.get(name, name)

    def all(self, name: str) -> frozenset[str]:
        return self._all.get(name, frozenset({name}))


class Aliases:
    """All names that subjects and projects have had, in whatever order they became known."""

    def __init__(self, aliases: Iterable[Alias]) -> None:
        # Of two names given at once the alphabetically last is the newest.
        ordered = sorted(aliases, key=lambda alias: (alias.renamed_at, alias.new, alias.old))
        self._projects = _Names((alias.old, alias.new) for alias in ordered if not _split(alias.old)[1])
        self._subjects = _Names(
            (self._in_newest_project(alias.old), self._in_newest_project(alias.new))
            for alias in ordered
            if _split(alias.old)[1]
        )

    def canonical(self, subject: Ref) -> Ref:
        """The newest name of a subject."""
        return Ref(self._subjects.newest(self._in_newest_project(subject)))

    def names(self, subject: Ref) -> frozenset[Ref]:
        """Every name of a subject, the given one among them."""
        own = map(_split, self._subjects.all(self._in_newest_project(subject)))
        return frozenset(Ref(project + rest) for now, rest in own for project in self._projects.all(now)) | {subject}

    def _in_newest_project(self, subject: str) -> str:
        project, rest = _split(subject)
        return self._projects.newest(project) + rest


def _split(subject: str) -> tuple[str, str]:
    """A reference's project and the rest: `github:acme/app` and `#45`, `jira:ML` and `-12`."""
    parts = _IN_PROJECT.fullmatch(subject)
    return (parts[1], parts[2] or "") if parts else (subject, "")


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

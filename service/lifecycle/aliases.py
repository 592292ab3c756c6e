"""Aliases: former names of subjects and projects, and the canonical name of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.references import Ref, split_project


@dataclass(frozen=True, slots=True)
class Alias:
    """The new name of a subject, or of a project and everything in it, after a transfer, move or rename.

    Attributes:
        old: the former reference of the subject or project, such as `github:acme/app#45` or `github:acme/app`.
    """

    old: Ref
    new: Ref
    renamed_at: datetime


class _EquivalentNames:
    """Groups of names. All names in a group mean one subject or project; the newest name is canonical."""

    def __init__(self, renames: Iterable[tuple[str, str]]) -> None:
        self._canonical: dict[str, str] = {}
        self._classes: dict[str, frozenset[str]] = {}
        for old, new in renames:
            names = self.names(old) | self.names(new)
            self._canonical.update(dict.fromkeys(names, new))
            self._classes.update(dict.fromkeys(names, names))

    def canonical(self, name: str) -> str:
        return self._canonical.get(name, name)

    def names(self, name: str) -> frozenset[str]:
        return self._classes.get(name, frozenset({name}))


class Aliases:
    """All names of subjects and projects. The order in which aliases arrive does not matter."""

    def __init__(self, aliases: Iterable[Alias]) -> None:
        # Tie-break: if two names were given at the same time, the alphabetically last name counts as the newest.
        ordered = sorted(aliases, key=lambda alias: (alias.renamed_at, alias.new, alias.old))
        self._projects = _EquivalentNames(
            (alias.old, alias.new) for alias in ordered if not split_project(alias.old)[1]
        )
        self._subjects = _EquivalentNames(
            (self._in_canonical_project(alias.old), self._in_canonical_project(alias.new))
            for alias in ordered
            if split_project(alias.old)[1]
        )

    def canonical(self, subject: Ref) -> Ref:
        """The canonical name of a subject."""
        return Ref(self._subjects.canonical(self._in_canonical_project(subject)))

    def names(self, subject: Ref) -> frozenset[Ref]:
        """Every name of a subject, including the name in `subject`."""
        parts = map(split_project, self._subjects.names(self._in_canonical_project(subject)))
        names = (Ref(name + rest) for project, rest in parts for name in self._projects.names(project))
        return frozenset(names) | {subject}

    def _in_canonical_project(self, subject: str) -> str:
        project, rest = split_project(subject)
        return self._projects.canonical(project) + rest

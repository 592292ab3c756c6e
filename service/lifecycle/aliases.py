"""Aliases: the names that subjects and projects had, and the newest name of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.references import Ref, split_project


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


class _EquivalentNames:
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
        self._projects = _EquivalentNames(
            (alias.old, alias.new) for alias in ordered if not split_project(alias.old)[1]
        )
        self._subjects = _EquivalentNames(
            (self._in_newest_project(alias.old), self._in_newest_project(alias.new))
            for alias in ordered
            if split_project(alias.old)[1]
        )

    def canonical(self, subject: Ref) -> Ref:
        """The newest name of a subject."""
        return Ref(self._subjects.newest(self._in_newest_project(subject)))

    def names(self, subject: Ref) -> frozenset[Ref]:
        """Every name of a subject, the given one among them."""
        own = map(split_project, self._subjects.all(self._in_newest_project(subject)))
        return frozenset(Ref(project + rest) for now, rest in own for project in self._projects.all(now)) | {subject}

    def _in_newest_project(self, subject: str) -> str:
        project, rest = split_project(subject)
        return self._projects.newest(project) + rest

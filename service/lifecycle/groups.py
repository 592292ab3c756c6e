"""Groups of projects. If a group is renamed, the names of all projects below it change."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from service.lifecycle.identities import Holding
from service.lifecycle.references import Ref

Rename: TypeAlias = tuple[Ref, Ref, datetime]
"""The old name, the new name, and the time of a rename."""


def groups_of(project: str) -> Iterator[Ref]:
    """The groups of a project's plain name, from the innermost to the outermost: `gitlab:acme/a` and `gitlab:acme`."""
    path = project.partition("~")[0]
    while "/" in path:
        path = path.rpartition("/")[0]
        yield Ref(path)


def renames_below(renames: Sequence[Rename], held: Collection[Holding]) -> list[Rename]:
    """The renames of the known projects below the groups that were renamed.

    A project that had left the group before is not renamed, nor one that came to the group later.

    Args:
        renames: the renames of projects and groups, in order of time.
        held: the names of the projects whose ids are known, and of their branches.
    """
    members = _Members({old for old, _, _ in renames})
    for name, since, until in _periods(held) if renames else ():
        members.add(name, since, until)
    found: list[Rename] = []
    for old, new, at in renames:
        members.leave(old, at)
        for name in members.below(old, at):
            becomes = Ref(new + name.removeprefix(old))
            members.add(becomes, at, None)
            found.append((name, becomes, at))
    return found


@dataclass(slots=True)
class _Members:
    """The names below each of some groups, and the period of each."""

    groups: set[Ref]
    _below: defaultdict[Ref, dict[Ref, tuple[datetime, datetime | None]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, name: Ref, since: datetime, until: datetime | None) -> None:
        for group in groups_of(name):
            if group in self.groups:
                self._below[group].setdefault(name, (since, until))

    def leave(self, name: Ref, at: datetime) -> None:
        """End the period of a name that is renamed itself."""
        for group in groups_of(name):
            if period := self._below[group].get(name):
                self._below[group][name] = (period[0], at)

    def below(self, group: Ref, at: datetime) -> list[Ref]:
        """The names below a group at a time."""
        periods = self._below[group].items()
        return [name for name, (since, until) in periods if since < at and (until is None or until > at)]


def _periods(held: Iterable[Holding]) -> Iterator[tuple[Ref, datetime, datetime | None]]:
    """Each name of each holder, from its first sighting to the first sighting of the holder's next name."""
    by_holder: defaultdict[Ref, list[Holding]] = defaultdict(list)
    for holding in held:
        by_holder[holding.holder].append(holding)
    for holdings in by_holder.values():
        ordered = sorted(holdings, key=lambda holding: (holding.first_at, holding.name))
        ends = [*(holding.first_at for holding in ordered[1:]), None]
        for holding, until in zip(ordered, ends, strict=True):
            yield holding.name, holding.first_at, until

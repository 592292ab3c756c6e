"""Aliases: former names of subjects and projects, and the canonical name of each.

Renames and ids tell which names mean one subject. All names that an id had, and its stored name, mean one project or
item. A rename joins its two names, unless ids say that they belong to different projects. The newest name is canonical.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from service.lifecycle.events import EARLIEST
from service.lifecycle.groups import renames_below
from service.lifecycle.identities import (
    Holders,
    Holding,
    branches_of,
    has_branches,
    is_item,
    merge,
    site_of,
    unite_hosts,
    write_qualified,
)
from service.lifecycle.references import Ref, join_project, split_project
from service.lifecycle.teams import fold_team

_TICK = timedelta(microseconds=1)
_Moment = tuple[date, datetime]
"""The day and the time of a name: of the last sighting of a holder under it, or of a rename."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The new name of a subject, or of a project and everything in it, after a transfer, move or rename.

    Attributes:
        old: the former reference of the subject or project, such as `github:acme/app#45` or `github:acme/app`.
    """

    old: Ref
    new: Ref
    renamed_at: datetime


@dataclass(slots=True)
class _Group:
    """Names that all mean one subject or project.

    Attributes:
        newest: the canonical name, after the moment at which it was given.
        holder: the holder of the names; empty if no id is known.
    """

    names: set[str]
    newest: tuple[_Moment, str] | None = None
    holder: str = ""


@dataclass(slots=True)
class _EquivalentNames:
    """Groups of names. All names in a group mean one subject or project; the newest name is canonical."""

    _groups: dict[str, _Group] = field(default_factory=dict)

    def hold(self, holder: str, name: str, moment: _Moment) -> None:
        """Record that a holder has had a name."""
        self._join(holder, name, moment)
        if site_of(holder):
            self._groups[name].holder = holder

    def unite(self, holder: str, same: str) -> None:
        """Record that two holders are one. The newest name stays."""
        group = self._groups[same]
        self._groups[holder] = group
        group.names.add(holder)

    def rename(self, old: str, new: str, moment: _Moment) -> None:
        """Record a rename. It has no effect on names that different holders have had."""
        holders = {group.holder for name in (old, new) if (group := self._groups.get(name)) and group.holder}
        if len(holders) < 2:  # noqa: PLR2004 - a pair of names has two holders
            self._join(old, new, moment)

    def canonical(self, name: str) -> str:
        group = self._groups.get(name)
        return group.newest[1] if group and group.newest else name

    def names(self, name: str) -> Iterable[str]:
        group = self._groups.get(name)
        return group.names if group else (name,)

    def holder(self, name: str) -> Ref | None:
        """The holder of a name, or None if no id is known."""
        group = self._groups.get(name)
        return Ref(group.holder) if group and group.holder else None

    def __bool__(self) -> bool:
        return bool(self._groups)

    def _join(self, old: str, new: str, moment: _Moment) -> None:
        group, other = (self._groups.get(name) or _Group({name}) for name in (old, new))
        if group is not other:
            # Tie-break: if two names were given at the same moment, the alphabetically last name counts as the newest.
            newest = max((each.newest for each in (group, other) if each.newest), default=None)
            group = _Group(group.names | other.names, newest, group.holder or other.holder)
            self._groups.update(dict.fromkeys(group.names, group))
        group.newest = max(group.newest or (moment, new), (moment, new))


class Aliases:
    """All names of subjects and projects. The order in which aliases and holdings arrive does not matter."""

    def __init__(self, aliases: Iterable[Alias], holdings: Iterable[Holding] = ()) -> None:
        renames = sorted(aliases, key=_order)
        held = sorted(holdings, key=lambda holding: (holding.newness, holding.holder, holding.name))
        self._projects = _EquivalentNames()
        self._subjects = _EquivalentNames()
        of_projects = [alias for alias in renames if not split_project(alias.old)[1]]
        projects = _with_other_names([holding for holding in held if not is_item(holding.holder)])
        united = unite_hosts(projects)
        projects = list(merge(replace(one, holder=united.get(one.holder, one.holder)) for one in projects).values())
        below = renames_below([(alias.old, alias.new, alias.renamed_at) for alias in of_projects], projects)
        of_projects = sorted([*of_projects, *(Alias(*rename) for rename in below)], key=_order)
        self._holders = _find_holders(of_projects, projects)
        self._join_projects(of_projects)
        for holder, same in united.items():
            self._projects.unite(holder, same)
        for holding in held:
            if is_item(holding.holder):
                self._subjects.hold(holding.holder, self._in_canonical_project(holding.name), holding.newness)
        for alias in renames:
            if split_project(alias.old)[1]:
                old = self._in_canonical_project(alias.old, alias.renamed_at - _TICK)
                new = self._in_canonical_project(alias.new, alias.renamed_at)
                self._subjects.rename(old, new, _moment(alias))

    def canonical(self, subject: Ref, at: datetime | None = None, beside: str = "") -> Ref:
        """The canonical name of a subject.

        Args:
            at: the time at which `subject` had this meaning, because a name may mean another subject later; None for
                now.
            beside: a stored name of the subject whose text has the name. If several sites have a name, it means the
                subject on the same site.
        """
        return Ref(self._subjects.canonical(self._in_canonical_project(subject, at, site_of(beside) if beside else "")))

    def names(self, subject: Ref) -> frozenset[Ref]:
        """Every name under which something may be stored about a subject, including the name in `subject`.

        A contested name is among the names of each of its holders: `canonical` tells what it means at a time.
        """
        projects = map(split_project, self._subjects.names(self._in_canonical_project(subject)))
        return frozenset(
            join_project(spelling, rest)
            for project, rest in projects
            for name in self._projects.names(project)
            for spelling in self._holders.spellings(name)
        ) | {subject}

    def own_names(self, subject: Ref) -> frozenset[Ref]:
        """The names of a subject, each in the form that means no other subject."""
        projects = map(split_project, self._subjects.names(self._in_canonical_project(subject)))
        return frozenset(
            join_project(name, rest) for project, rest in projects for name in self._projects.names(project)
        )

    def renamed_teams(self, subject: Ref) -> Mapping[str, str]:
        """The newest name of the subject's project, by former name, as derived teams have these names."""
        project = split_project(self.canonical(subject))[0]
        plain = {name: name.partition(":")[2].partition("~")[0] for name in self._projects.names(project)}
        former = {fold_team(plain[name]) for name in plain if name != project and not site_of(name)}
        return dict.fromkeys(former, plain.get(project, project))

    def qualified(self, subject: Ref) -> Ref:
        """The name that means a subject for good, such as `github:acme/app~github.com/4242#45`, if its id is known."""
        canonical = self.canonical(subject)
        project, rest = split_project(canonical)
        holder = self._projects.holder(project)
        return join_project(write_qualified(project.partition("~")[0], holder), rest) if holder else canonical

    def meanings(self, subject: Ref) -> Sequence[Ref]:
        """The canonical names of the subjects that a person may mean by a name: several, if several sites have it."""
        project, rest = split_project(subject)
        if not self._holders.is_contested(project) or self._holders.holder_at(project, None):
            return [self.canonical(subject)]
        forms = dict.fromkeys(self._holders.forms(project))
        return list(dict.fromkeys(self.canonical(join_project(form, rest)) for form in forms))

    def subjects(self, name: Ref) -> frozenset[Ref]:
        """The canonical names of all subjects that a stored name means at some time."""
        project, rest = split_project(name)
        forms = self._holders.forms(project) if self._holders.is_contested(project) else ()
        return frozenset(self.canonical(join_project(form, rest)) for form in forms) | {self.canonical(name)}

    @property
    def are_plain(self) -> bool:
        """Whether every subject has one name."""
        return not self._projects and not self._subjects

    def names_in(self, container: Ref) -> frozenset[Ref]:
        """Every name of a project; or of a group and of the projects in it."""
        projects = (Ref(name) for name in self._holders.names_below(f"{container}/"))
        every = (subject for name in (container, *projects) for subject in self.subjects(name))
        return frozenset[Ref]().union(*map(self.names, every))

    def is_contested(self, name: str) -> bool:
        """Whether a name means different subjects at different times, or on different sites."""
        return self._holders.is_contested(split_project(name)[0])

    def _join_projects(self, renames: Iterable[Alias]) -> None:
        for holding in self._holders.all:
            self._projects.hold(holding.holder, self._holders.form(holding), holding.newness)
        for alias in renames:
            old = self._holders.resolve(alias.old, alias.renamed_at - _TICK)
            new = self._holders.resolve(alias.new, alias.renamed_at)
            if not (self._holders.is_ambiguous(old) or self._holders.is_ambiguous(new)):
                self._projects.rename(old, new, _moment(alias))

    def _in_canonical_project(self, subject: str, at: datetime | None = None, site: str = "") -> str:
        project, rest = split_project(subject)
        named = self._holders.resolve(project, at, site)
        canonical = self._projects.canonical(named)
        return subject if canonical == project else join_project(canonical, rest)


def _order(alias: Alias) -> tuple[datetime, Ref, Ref]:
    return alias.renamed_at, alias.new, alias.old


def _moment(alias: Alias) -> _Moment:
    return alias.renamed_at.date(), alias.renamed_at


def _with_other_names(held: Sequence[Holding]) -> list[Holding]:
    """The holdings of projects, of the names of their branches, and of keys in small letters.

    A text may name a ticket in small letters. This name is as old as the key, and never the newest name.
    """
    branches = (
        replace(each, holder=branches_of(each.holder), name=branches_of(each.name))
        for each in held
        if has_branches(each.name)
    )
    loose = (replace(each, name=Ref(each.name.lower()), last_day=date.min) for each in held if _has_capitals(each.name))
    return [*held, *branches, *loose]


def _has_capitals(name: str) -> bool:
    return name != name.lower()


def _find_holders(renames: Sequence[Alias], held: Sequence[Holding]) -> Holders:
    """The holders of all names, also of those that only a rename tells."""
    if not held:
        return Holders(())
    seen = Holders(held)
    told = (holding for alias in renames for holding in (_find_former(alias, seen), _find_brief(alias, seen)))
    return Holders([*seen.all, *filter(None, told)])


def _find_former(alias: Alias, seen: Holders) -> Holding | None:
    """The holding of a name that a rename freed before another project took it, unless a sighting shows it."""
    later = seen.holders(alias.old)
    if not later or later[0].first_at < alias.renamed_at:
        return None
    renamed = seen.holder_at(alias.new, alias.renamed_at)
    if renamed and any(each.holder == renamed.holder for each in later):
        return None
    return Holding(renamed.holder if renamed else alias.new, alias.old, EARLIEST, alias.renamed_at.date())


def _find_brief(alias: Alias, seen: Holders) -> Holding | None:
    """The holding of a name that a rename gave before another project took it, unless a sighting shows it."""
    later = seen.holders(alias.new)
    if not later or later[0].first_at <= alias.renamed_at:
        return None
    renamed = seen.holder_at(alias.old, alias.renamed_at - _TICK)
    if renamed is None or renamed.first_at >= alias.renamed_at or any(one.holder == renamed.holder for one in later):
        return None
    return Holding(renamed.holder, alias.new, alias.renamed_at, alias.renamed_at.date())

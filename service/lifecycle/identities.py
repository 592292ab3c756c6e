"""Identities: the ids that providers give to projects and items, and the names that each id had.

An id stays when its project or item gets another name. A *holder* is an id on a site; it holds each of its names for a
period. Holders are written as references whose project is in braces, such as `github:{github.com/4242}`: under these
*stored names* the tables keep what deliveries say about the projects that they identify. People never see them.

A plain name that several holders have had is *contested*. Each holder then has a form of the name that tells it apart:

- On one site, the newest holder keeps the plain name. The form of a former holder ends with `~` and its id, such as
  `github:acme/app~4242`.
- On several sites, the plain name means no holder. The form ends with `~` and the host of the site, such as
  `github:acme/app~ghe.acme.com`; for former holders on this site, a slash and the id follow.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

from service.lifecycle.references import Ref, branches

_SITE = re.compile(r"[a-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9a-f:.]{2,45}\](?::[0-9]{1,5})?")
_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_HOLDER = re.compile(r"[a-z][a-z0-9_-]*:\{(?P<site>[^{}/]+)/(?P<id>#?[A-Za-z0-9_-]+)\}")
_QUALIFIED = re.compile(r"(?P<scheme>[a-z][a-z0-9_-]*):[^~]+~(?P<site>[^~/]+)/(?P<id>[^~/]+)")


@dataclass(frozen=True, slots=True)
class Holding:
    """A name that an id has had.

    Attributes:
        holder: the stored name of the project, such as `github:{github.com/4242}`, or of the item. If only a rename
            tells who held the name, and no id is known, the plain name that the holder got.
        name: the name: of a project, such as `github:acme/app`; of an item, its stored name.
        first_at: the earliest time at which a delivery shows the holder under this name.
        last_day: the latest day (UTC) on which a delivery shows this.
        sources: the sources of these deliveries.
    """

    holder: Ref
    name: Ref
    first_at: datetime
    last_day: date
    sources: frozenset[str] = frozenset()

    @property
    def newness(self) -> tuple[date, datetime]:
        """The key that sorts the names of a holder, and the holders of a name, by time."""
        return self.last_day, self.first_at

    def merge(self, other: "Holding") -> "Holding":
        """One holding, from two of the same name by the same holder."""
        first, last = min(self.first_at, other.first_at), max(self.last_day, other.last_day)
        return Holding(self.holder, self.name, first, last, self.sources | other.sources)


def merge(holdings: Iterable[Holding]) -> dict[tuple[Ref, Ref], Holding]:
    """Merge the holdings of each holder and name into one."""
    merged: dict[tuple[Ref, Ref], Holding] = {}
    for one in holdings:
        key = one.holder, one.name
        merged[key] = merged[key].merge(one) if key in merged else one
    return merged


def unite_hosts(holdings: Sequence[Holding]) -> dict[Ref, Ref]:
    """The holders that are others under a second host, each with the holder that it is.

    A server may get another host, or answer to two. A source whose deliveries show one id with one name on two hosts
    therefore posts about one project.
    """
    alike: defaultdict[tuple[str, str, str], list[Holding]] = defaultdict(list)
    for one in holdings:
        alike[one.holder.partition(":")[0], _id_of(one.holder), one.name].append(one)
    united: dict[Ref, Ref] = {}
    for group in alike.values():
        ordered = sorted(group, key=lambda one: one.holder) if len(group) > 1 else []
        for place, one in enumerate(ordered):
            same = next((first for first in ordered[:place] if first.sources & one.sources), None)
            if same is not None:
                united.setdefault(one.holder, united.get(same.holder, same.holder))
    return united


def project_holder(scheme: str, site: str, identifier: str) -> Ref | None:
    """The stored name of the project with this id, or None if the site is unknown or a text has an unusual form."""
    return _holder(scheme, site, identifier, "")


def item_holder(scheme: str, site: str, identifier: str) -> Ref | None:
    """The holder with this id of an item. Ids of items and ids of projects are different numbers."""
    return _holder(scheme, site, identifier, "#")


def _holder(scheme: str, site: str, identifier: str, mark: str) -> Ref | None:
    if not _SITE.fullmatch(site) or not _ID.fullmatch(identifier):
        return None
    return Ref(f"{scheme}:{{{site}/{mark}{identifier}}}")


def is_item(holder: Ref) -> bool:
    """Whether a holder is an item."""
    return "/#" in holder


def site_of(stored: str) -> str:
    """The site in a stored name, such as `github:{github.com/4242}`; empty for any other name."""
    found = _HOLDER.match(stored)
    return found["site"] if found else ""


def _id_of(holder: str) -> str:
    found = _HOLDER.match(holder)
    return found["id"] if found else ""


def branches_of(project: Ref) -> Ref:
    """The prefix of the references to a project's branches, for a plain name and for a stored name."""
    return branches(project.partition(":")[2])


def has_branches(project: str) -> bool:
    """Whether a project's plain name is a path, such as `acme/app`. Projects that are keys have no branches."""
    return "/" in project


def read_qualified(project: str) -> Ref | None:
    """The stored name that a fully qualified project means, such as `github:acme/app~github.com/4242`."""
    found = _QUALIFIED.fullmatch(project)
    return project_holder(found["scheme"], found["site"], found["id"]) if found else None


def write_qualified(plain: str, holder: Ref) -> str:
    """The fully qualified form of a project's plain name, which means this holder whatever else has the name."""
    return f"{plain}~{site_of(holder)}/{_id_of(holder)}"


class Holders:
    """The holders of each plain name, and the form of the name that means each of them."""

    def __init__(self, holdings: Iterable[Holding]) -> None:
        by_name: defaultdict[str, list[Holding]] = defaultdict(list)
        for holding in sorted(holdings, key=lambda each: (each.first_at, each.holder)):
            by_name[holding.name].append(holding)
        self._by_name: Mapping[str, Sequence[Holding]] = by_name
        self._forms: dict[tuple[str, str], str] = {}
        self._ambiguous = {name for name, held in by_name.items() if len(_sites(held)) > 1}
        self._spellings: dict[str, tuple[str, ...]] = {}
        for name, held in by_name.items():
            self._name_each(name, held)

    @property
    def all(self) -> Iterator[Holding]:
        """Every holding."""
        return chain.from_iterable(self._by_name.values())

    def names_below(self, prefix: str) -> Iterator[str]:
        """The plain names that begin with a text."""
        return (name for name in self._by_name if name.startswith(prefix))

    def form(self, holding: Holding) -> str:
        """The form of the name that means this holder."""
        return self._forms[holding.name, holding.holder]

    def spellings(self, form: str) -> Sequence[str]:
        """All texts under which something may be stored that belongs to the holder with this form of a name."""
        return self._spellings.get(form, (form,))

    def is_contested(self, name: str) -> bool:
        """Whether several holders have had this plain name."""
        return len(self._by_name.get(name, ())) > 1

    def is_ambiguous(self, name: str) -> bool:
        """Whether a plain name means no holder, because projects on several sites have it."""
        return name in self._ambiguous

    def forms(self, name: str) -> Sequence[str]:
        """The forms of a plain name, one for each holder; none if it has no holder."""
        return [self.form(holding) for holding in self._by_name.get(name, ())]

    def holders(self, name: str) -> Sequence[Holding]:
        """The holders of a plain name, in the order in which they were first seen."""
        return self._by_name.get(name, ())

    def holder_at(self, name: str, at: datetime | None, site: str = "") -> Holding | None:
        """The holder that a plain name means at a time, or None if it means none.

        Args:
            at: the time; None for now.
            site: the site of the text that has the name; empty if it is unknown.
        """
        held = self._by_name.get(name, ())
        if name in self._ambiguous:
            held = [holding for holding in held if site and site_of(holding.holder) == site]
        if not held:
            return None
        if at is None:
            return max(held, key=_newest)
        return next((holding for holding in reversed(held) if holding.first_at <= at), held[0])

    def resolve(self, name: str, at: datetime | None = None, site: str = "") -> str:
        """The form that a plain or qualified name means at a time. A name that means no holder stays as it is."""
        held = self._by_name.get(name)
        if held is not None:
            found = held[0] if len(held) == 1 else self.holder_at(name, at, site)
            return self.form(found) if found else name
        if "~" not in name:
            return name
        plain, _, qualifier = name.rpartition("~")
        if plain not in self._by_name:
            return name
        meant = [each for each in self._by_name[plain] if qualifier in _qualifiers(each.holder)]
        return self.form(max(meant, key=_newest)) if meant else name

    def _name_each(self, name: str, held: Sequence[Holding]) -> None:
        for holding in held:
            form = self._find_form(holding, held)
            self._forms[name, holding.holder] = form
            if len(held) > 1:
                others = (f"{name}~{qualifier}" for qualifier in _qualifiers(holding.holder))
                self._spellings[form] = tuple(dict.fromkeys((form, name, *others)))

    def _find_form(self, holding: Holding, held: Sequence[Holding]) -> str:
        name, site, identifier = holding.name, site_of(holding.holder), _id_of(holding.holder)
        if name not in self._ambiguous:
            return name if max(held, key=_newest) is holding else f"{name}~{identifier}"
        newest = max((each for each in held if site_of(each.holder) == site), key=_newest)
        return f"{name}~{site}" if newest is holding else f"{name}~{site}/{identifier}"


def _sites(held: Iterable[Holding]) -> set[str]:
    """The sites of holders. A holder whose id is unknown adds none."""
    return {site_of(holding.holder) for holding in held} - {""}


def _newest(holding: Holding) -> tuple[date, datetime, str]:
    return *holding.newness, holding.holder


def _qualifiers(holder: str) -> tuple[str, ...]:
    """The texts that may stand after `~`, for one holder."""
    site, identifier = site_of(holder), _id_of(holder)
    return (f"{site}/{identifier}", site, identifier) if site else ()

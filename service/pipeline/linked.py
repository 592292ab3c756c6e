"""The links around some subjects, whichever names of the subjects the links have."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias

from service.lifecycle.aliases import Aliases
from service.lifecycle.errors import TooManyRelatives
from service.lifecycle.evidence import Channel, Graph, LinkSet
from service.lifecycle.references import Ref
from service.pipeline.off_loop import compute
from service.storage import links
from service.storage.database import Connection

MOST_LINKS = 20_000
"""The largest number of links to follow from some subjects. More links than an organisation needs are an attack or a
mistake, and would keep all experiments waiting."""

Pairs: TypeAlias = Sequence[tuple[Ref, Ref]]
"""The canonical names of the evidence and of the target of each link."""
_Key: TypeAlias = tuple[Ref, Channel, Ref]
_Names: TypeAlias = frozenset[Ref]


async def read_links(connection: Connection, names: Aliases, subjects: Collection[Ref]) -> Pairs:
    """Read the links that decide which of the subjects are experiments, and which evidence they have.

    Args:
        subjects: canonical names.

    Raises:
        TooManyRelatives: there are more than `MOST_LINKS` links.
    """
    sets: dict[_Key, LinkSet] = {}
    read: tuple[_Names, _Names] = frozenset(), frozenset()
    below, above = _names_of(names, subjects), _Names()
    while True:
        found = await links.neighbourhood(connection, below, MOST_LINKS + 1, above)
        sets |= {(link.evidence, link.channel, link.stated_by): link for link in found}
        number = sum(len(link.targets) for link in sets.values())
        if max(number, len(found)) > MOST_LINKS:
            raise TooManyRelatives(f"more than {MOST_LINKS:,} links connect the subject with others")
        pairs = await compute(partial(resolve, names, sets.values()), number)
        if names.are_plain:
            return pairs
        read = read[0] | below, read[1] | above
        below, above = await compute(partial(_find_unread, names, subjects, sets, pairs, read), number)
        if not below and not above:
            return pairs


def resolve(names: Aliases, sets: Iterable[LinkSet]) -> Pairs:
    """The links that count, with the canonical names of their subjects.

    Different names of the evidence, or of the subject that states the links, may mean the same. The newest set then
    replaces the others, as it does if the names are equal.
    """
    newest: dict[_Key, LinkSet] = {}
    for link in sets:
        key = _meant(names, link, link.evidence), link.channel, _meant(names, link, link.stated_by)
        if key not in newest or _recency(newest[key]) < _recency(link):
            newest[key] = link
    return [
        (evidence, _meant(names, link, target)) for (evidence, _, _), link in newest.items() for target in link.targets
    ]


def _meant(names: Aliases, link: LinkSet, name: Ref) -> Ref:
    return names.canonical(name, link.stated_at, link.stated_by)


def _recency(link: LinkSet) -> tuple[datetime, list[Ref]]:
    return link.stated_at, sorted(link.targets)


def _names_of(names: Aliases, subjects: Iterable[Ref]) -> _Names:
    return _Names().union(*map(names.names, subjects))


def _find_unread(
    names: Aliases,
    subjects: Collection[Ref],
    sets: Mapping[_Key, LinkSet],
    pairs: Pairs,
    read: tuple[_Names, _Names],
) -> tuple[_Names, _Names]:
    """Other names of the subjects and their descendants, and of the ancestors of these, whose links were not read yet.

    A query finds the links of the names that it is given, and of all names that these links connect with them.
    """
    stored = Graph.of((link.evidence, target) for link in sets.values() for target in link.targets)
    read_below = stored.below(read[0])
    read_above = stored.above(read_below | read[1])
    graph = Graph.of(pairs)
    under = graph.below(subjects)
    below = _names_of(names, under) - read_below
    return below, _names_of(names, graph.above(under)) - read_above - below

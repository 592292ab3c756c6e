"""Look up the subjects that the tables know, whichever table names them.

A caller may name any subject, so each query uses indexes: it takes no longer when the tables grow.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import TextClause, text

from service.lifecycle.references import Ref
from service.storage.database import Connection

_MOST = 6

_SELECT_STORED = text(
    """
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE EXISTS (SELECT FROM events WHERE subject = name) OR EXISTS (SELECT FROM experiments WHERE root = name)
    """
)


async def select_stored(connection: Connection, names: Collection[Ref]) -> set[Ref]:
    """Select the names under which an event or an experiment is stored."""
    return await _select(connection, _SELECT_STORED, names)


# With EXISTS the planner would scan all links, because it expects to find a target soon. `OFFSET 0` keeps it from
# merging the lookup into the join.
_SELECT_LINKED = text(
    """
    SELECT DISTINCT name FROM unnest(CAST(:names AS text[])) AS name CROSS JOIN LATERAL (
        SELECT evidence FROM links WHERE evidence = name
        UNION ALL
        SELECT evidence FROM links WHERE targets @> ARRAY[name]
        OFFSET 0
    ) AS found
    """
)


async def select_linked(connection: Connection, names: Collection[Ref]) -> set[Ref]:
    """Select the names that a link contains."""
    return await _select(connection, _SELECT_LINKED, names)


async def _select(connection: Connection, query: TextClause, names: Collection[Ref]) -> set[Ref]:
    return {Ref(name) for name in await connection.scalars(query, {"names": sorted(names)})}


# The range contains every hash that begins with `:beginning`, whatever the collation: hashes consist of digits and the
# letters a to f, and `g` comes after all of them. `starts_with` excludes other names in the range.
_COMMITS = text(
    """
    SELECT DISTINCT subject FROM (
        SELECT subject FROM events WHERE subject >= :beginning AND subject < :beginning || 'g'
        UNION ALL
        SELECT evidence FROM links WHERE evidence >= :beginning AND evidence < :beginning || 'g'
    ) AS known
    WHERE starts_with(subject, :beginning) ORDER BY subject LIMIT :most
    """
)


async def commits_beginning(connection: Connection, abbreviated: Ref) -> list[Ref]:
    """Read some of the commits whose hash begins as in this reference, in alphabetical order."""
    commits = await connection.scalars(_COMMITS, {"beginning": abbreviated, "most": _MOST})
    return [Ref(commit) for commit in commits]


# `OFFSET 0` forces one lookup in the hash index for each address.
_BY_ADDRESS = text(
    """
    SELECT found.url, found.root FROM unnest(CAST(:addresses AS text[])) AS address CROSS JOIN LATERAL (
        SELECT url, root FROM experiments WHERE url = address AND url <> '' LIMIT :most OFFSET 0
    ) AS found
    """
)


async def roots_by_address(connection: Connection, addresses: Sequence[str]) -> Mapping[str, list[Ref]]:
    """Read the roots of the experiments with these addresses, by address."""
    roots: dict[str, list[Ref]] = {}
    for row in await connection.execute(_BY_ADDRESS, {"addresses": list(addresses), "most": _MOST}):
        roots.setdefault(row.url, []).append(Ref(row.root))
    return roots


_AROUND = text(
    """
    (SELECT root FROM experiments WHERE root < :name ORDER BY root DESC LIMIT :most)
    UNION ALL
    (SELECT root FROM experiments WHERE root >= :name ORDER BY root LIMIT :most)
    """
)
_MOST_AROUND = 50


async def roots_around(connection: Connection, name: Ref) -> list[Ref]:
    """Read the roots next to this name in alphabetical order, at most `_MOST_AROUND` on each side."""
    roots = await connection.scalars(_AROUND, {"name": name, "most": _MOST_AROUND})
    return [Ref(root) for root in roots]


# A container has few names, so each prefix is compared with each name. No index helps: the order of names depends on
# the collation. A group may have many projects, so PostgreSQL looks up their stored names in a hash table.
_MEMBERS = text(
    """
    SELECT DISTINCT known.subject FROM (
        SELECT subject FROM exclusions
        UNION ALL SELECT root FROM experiments WHERE :everything
        UNION ALL SELECT subject FROM events WHERE :everything
    ) AS known
    WHERE split_part(known.subject, '}', 1) = ANY(CAST(:holders AS text[])) OR EXISTS (
        SELECT FROM unnest(CAST(:prefixes AS text[])) AS prefix WHERE starts_with(known.subject, prefix)
    )
    """
)
_LINKED_MEMBERS = text(
    """
    SELECT DISTINCT target FROM links CROSS JOIN unnest(targets) AS target
    JOIN unnest(CAST(:projects AS text[])) AS project ON starts_with(target, project || '-')
    """
)
_SIGNS = ("#", "!", "@", "-", "~", "/")
"""The characters that may follow the name of a project or group in the name of a subject that is in it."""


async def select_members(connection: Connection, containers: Collection[Ref], *, everything: bool) -> set[Ref]:
    """Select the subjects whose names begin with the name of a project or group. A few others are among them.

    Args:
        containers: the plain and the stored names.
        everything: whether to select all stored subjects, or only those that are excluded.
    """
    holders = [name.removesuffix("}") for name in containers if name.endswith("}")]
    prefixes = [name + sign for name in containers if not name.endswith("}") for sign in _SIGNS]
    values = {"holders": sorted(holders), "prefixes": sorted(prefixes), "everything": everything}
    return {Ref(member) for member in await connection.scalars(_MEMBERS, values)}


async def select_linked_members(connection: Connection, projects: Collection[Ref]) -> set[Ref]:
    """Select the targets of links whose names begin with the name of a project whose items have keys."""
    return {Ref(target) for target in await connection.scalars(_LINKED_MEMBERS, {"projects": sorted(projects)})}

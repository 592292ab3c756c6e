"""The table `aliases`: subjects and projects that were renamed, transferred or moved; and all names, with their ids."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, text, union
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.identities import is_item
from service.lifecycle.references import Ref
from service.storage import identities
from service.storage.database import Connection
from service.storage.identities import Changes
from service.storage.tables import aliases, exclusions, experiments

_LOCK_SHARED = text("LOCK TABLE aliases IN ROW EXCLUSIVE MODE")


async def lock_shared(connection: Connection) -> None:
    """Block renames until the transaction ends. Other transactions may still record deliveries.

    A rename marks the renamed subject as dirty or, if a project was renamed, every stored subject of that project.
    Without this lock, the rename would miss subjects that this transaction has not committed yet.
    """
    await connection.execute(_LOCK_SHARED)


_LOCK_EXCLUSIVE = text("LOCK TABLE aliases IN SHARE ROW EXCLUSIVE MODE")


async def lock_exclusive(connection: Connection) -> None:
    """Block every other transaction that records deliveries or renames, until this transaction ends."""
    await connection.execute(_LOCK_EXCLUSIVE)


async def record_renames(connection: Connection, renames: Iterable[tuple[UUID, Alias]]) -> set[Ref]:
    """Record the renames that deliveries state, and return the affected subjects."""
    rows = [
        {"old": alias.old, "new": alias.new, "renamed_at": alias.renamed_at, "delivery_id": delivery}
        for delivery, alias in renames
    ]
    if not rows:
        return set()
    await connection.execute(insert(aliases).on_conflict_do_nothing(), rows)
    return await affected_subjects(connection, {str(row[name]) for row in rows for name in ("old", "new")})


_SUBJECTS_IN_PROJECTS = text(
    """
    SELECT DISTINCT known.subject FROM unnest(CAST(:names AS text[])) AS project
    JOIN (
        SELECT subject FROM events UNION ALL SELECT evidence FROM links
        UNION ALL SELECT root FROM experiments UNION ALL SELECT subject FROM exclusions
    ) AS known
        ON starts_with(known.subject, project || '#') OR starts_with(known.subject, project || '!')
        OR starts_with(known.subject, project || '@') OR starts_with(known.subject, project || '~')
        OR (strpos(project, '/') = 0 OR strpos(project, '{') > 0) AND starts_with(known.subject, project || '-')
    """
)


async def affected_subjects(connection: Connection, names: Collection[str]) -> set[Ref]:
    """Read each subject that has or had one of the names, or whose project has or had one of these names.

    Also read each stored root and excluded subject whose name is no longer canonical.
    """
    if not names:
        return set()
    known_aliases = await read_all(connection)
    below = frozenset[Ref]().union(*(known_aliases.names_in(Ref(name)) for name in names))
    all_names = _with_other_names(known_aliases, {*names, *below})
    # The query also searches experiments and exclusions, because these may be stored under a name that no event has.
    members = await connection.scalars(_SUBJECTS_IN_PROJECTS, {"names": sorted(all_names)})
    # After a chain of renames, a root or an excluded subject may be stored under a name that is not found above.
    roots = await connection.scalars(union(select(experiments.c.root), select(exclusions.c.subject)))
    renamed = {root for root in roots if known_aliases.canonical(Ref(root)) != root}
    # A link may name a subject by a name that no event has.
    return _with_other_names(known_aliases, {*members, *all_names, *renamed})


def _with_other_names(known: Aliases, names: Iterable[str]) -> set[Ref]:
    subjects = (subject for name in names for subject in known.subjects(Ref(name)))
    return set(map(Ref, names)).union(*map(known.names, subjects))


# PostgreSQL returns one row even if nothing was ever renamed or identified.
_ALL = text(
    """
    SELECT version, old, new, renamed_at FROM (VALUES (true)) AS always(singleton)
    LEFT JOIN identity_version USING (singleton) LEFT JOIN aliases ON true
    """
)
_MOST_CACHED = 4
_cached: dict[tuple[UUID, frozenset[Alias]], Aliases] = {}


async def read_all(connection: Connection) -> Aliases:
    """Read all names: the recorded renames, and the names of ids.

    Ids are many and change rarely, so they are read only once for each of their versions.
    """
    rows = (await connection.execute(_ALL)).all()
    renames = frozenset(Alias(Ref(row.old), Ref(row.new), row.renamed_at) for row in rows if row.old is not None)
    version: UUID | None = rows[0].version
    if version is None:
        return Aliases(renames)
    known = _cached.get((version, renames))
    if known is None:
        # Thousands of projects take a while, so other tasks go on meanwhile.
        known = await asyncio.to_thread(Aliases, renames, await identities.read_shared(connection))
    _cached[version, renames] = known
    while len(_cached) > _MOST_CACHED:
        del _cached[next(iter(_cached))]
    return known


async def record_identities(connection: Connection, changes: Changes) -> set[Ref]:
    """Record the names of ids, and return the stored subjects that are others now.

    The caller has the lock that the changes need.
    """
    # The projection of a project that is seen for the first time finds its tickets that texts name in small letters.
    first_seen = {row.name for row in changes.added if not is_item(row.holder) and row.name.lower() != row.name}
    if not changes.names:
        await identities.write(connection, changes)
        return first_seen
    before = await read_all(connection)
    await identities.write(connection, changes)
    after = await read_all(connection)
    changed = {name for name in changes.names if _changes_meaning(name, before, after)}
    return first_seen | await affected_subjects(connection, changed)


def _changes_meaning(name: Ref, before: Aliases, after: Aliases) -> bool:
    return after.is_contested(name) or before.subjects(name) != after.subjects(name)


_WITHDRAW = text("DELETE FROM aliases WHERE delivery_id = ANY(:deliveries) RETURNING old, new")


async def withdraw_renames(connection: Connection, delivery_ids: Sequence[UUID]) -> set[str]:
    """Delete the renames that the deliveries stated, and return the old and the new names."""
    rows = await connection.execute(_WITHDRAW, {"deliveries": delivery_ids})
    return {str(name) for row in rows for name in row}

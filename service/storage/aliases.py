"""Names: subjects and projects that were renamed, transferred or moved."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, text, union
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import aliases, exclusions, experiments


async def lock_shared(connection: Connection) -> None:
    """Lock out renames until the transaction ends; others may record at the same time.

    A rename marks every subject known by the old name, so whatever names a subject must commit before it or start
    after it.
    """
    await connection.execute(_LOCK_SHARED)


async def lock_exclusive(connection: Connection) -> None:
    """Lock out renames and everything else that records until the transaction ends."""
    await connection.execute(_LOCK_EXCLUSIVE)


_LOCK_SHARED = text("LOCK TABLE aliases IN ROW EXCLUSIVE MODE")
_LOCK_EXCLUSIVE = text("LOCK TABLE aliases IN SHARE ROW EXCLUSIVE MODE")


async def record_renames(connection: Connection, heard: Iterable[tuple[UUID, Alias]]) -> set[Ref]:
    """Keep new names; returns every subject that is known by one of the names, or lives where a project was renamed."""
    rows = [
        {"old": alias.old, "new": alias.new, "renamed_at": alias.renamed_at, "delivery_id": delivery}
        for delivery, alias in heard
    ]
    if not rows:
        return set()
    await connection.execute(insert(aliases).on_conflict_do_nothing(), rows)
    return await affected_subjects(connection, {str(row[name]) for row in rows for name in ("old", "new")})


async def affected_subjects(connection: Connection, names: Collection[str]) -> set[Ref]:
    """Every subject that has, or had, one of the names, or lives in a project that has or had it."""
    if not names:
        return set()
    known = await read_all(connection)
    everywhere = set(names).union(*(known.names(Ref(name)) for name in names))
    # An experiment may be known by a name under which nothing was said.
    living = await connection.scalars(_LIVING_IN, {"names": sorted(everywhere)})
    # An experiment whose newest name is another one now may have come by it in several steps.
    roots = await connection.scalars(union(select(experiments.c.root), select(exclusions.c.subject)))
    moved = {root for root in roots if known.canonical(Ref(root)) != root}
    return {Ref(subject) for subject in {*living, *everywhere, *moved}}


_LIVING_IN = text(
    """
    SELECT DISTINCT known.subject FROM unnest(CAST(:names AS text[])) AS project
    JOIN (
        SELECT subject FROM events UNION ALL SELECT root FROM experiments UNION ALL SELECT subject FROM exclusions
    ) AS known
        ON starts_with(known.subject, project || '#') OR starts_with(known.subject, project || '!')
        OR starts_with(known.subject, project || '@')
    """
)


async def read_all(connection: Connection) -> Aliases:
    """Every name that subjects have had."""
    rows = await connection.execute(select(aliases.c.old, aliases.c.new, aliases.c.renamed_at))
    return Aliases(Alias(Ref(row.old), Ref(row.new), row.renamed_at) for row in rows)


async def withdraw_renames(connection: Connection, deliveries: Sequence[UUID]) -> set[str]:
    """Take back the renames that deliveries told; returns the names, old and new."""
    rows = await connection.execute(_WITHDRAW, {"deliveries": deliveries})
    return {str(name) for row in rows for name in row}


_WITHDRAW = text("DELETE FROM aliases WHERE delivery_id = ANY(:deliveries) RETURNING old, new")

"""The tables `identities` and `identity_version`: the ids of projects and items, and the names that each id has had.

Rows are only added and widened, so they are a function of the set of deliveries, whatever their order. They depend on
no rule, and a replay keeps them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Row, or_, select, text

from service.lifecycle.identities import Holding, is_item, merge
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import aliases, among, array, columns

_Key: TypeAlias = tuple[Ref, Ref]

_RELATED = text(
    """
    SELECT holder, name, first_at, last_day, sources FROM identities WHERE holder = ANY(:holders)
    UNION
    SELECT holder, name, first_at, last_day, sources FROM identities WHERE name = ANY(:names)
    """
)


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that deliveries add or widen.

    Attributes:
        rows: the new contents of each row that changes.
        added: the rows that are new.
        names: the names whose meaning may change: those that a holder with several names, a name with several holders
            or a rename connects with one of the rows.
    """

    rows: Collection[Holding] = ()
    added: Collection[Holding] = ()
    names: Collection[Ref] = ()

    @property
    def needs_exclusive_lock(self) -> bool:
        """Whether no other transaction may record deliveries meanwhile.

        A row that is only widened, and whose names have one meaning, changes nothing else.
        """
        return bool(self.added or self.names)

    @property
    def needs_new_version(self) -> bool:
        """Whether the copies of the shared rows that processes have are outdated."""
        return bool(self.names) or any(not is_item(row.holder) for row in self.added)


async def find_changes(connection: Connection, stated: Iterable[Holding]) -> Changes:
    """Find the rows that the stated holdings add or widen."""
    merged = merge(stated)
    if not merged:
        return Changes()
    related = {"holders": sorted({one for one, _ in merged}), "names": sorted({name for _, name in merged})}
    rows = await connection.execute(_RELATED, related)
    known = merge(map(_holding, rows))
    after = merge([*known.values(), *merged.values()])
    changed = {key: row for key, row in after.items() if known.get(key) != row}
    if not changed:
        return Changes()
    added = [row for key, row in changed.items() if key not in known]
    return Changes(changed.values(), added, await _find_affected_names(connection, known, after, changed))


async def _find_affected_names(
    connection: Connection, known: Mapping[_Key, Holding], after: Mapping[_Key, Holding], changed: Iterable[_Key]
) -> set[Ref]:
    rows_of = Counter(one for key in after for one in key)
    # Nothing can be stored under the stored name of a holder that was never seen before.
    unknown = {holder for holder, _ in after} - {holder for holder, _ in known}
    by_rename = await _select_renamed(connection, {name for _, name in changed})
    affected: set[Ref] = set()
    for holder, name in changed:
        if rows_of[holder] > 1 or rows_of[name] > 1 or name in by_rename:
            affected |= {other for key in after if holder in key or name in key for other in key}
    return affected - unknown


async def _select_renamed(connection: Connection, names: Collection[Ref]) -> set[Ref]:
    found = await connection.execute(
        select(aliases.c.old, aliases.c.new).where(or_(among(aliases.c.old, names), among(aliases.c.new, names)))
    )
    return {Ref(name) for row in found for name in row}


_WRITE = text(
    """
    INSERT INTO identities (holder, name, first_at, last_day, sources, is_shared)
    SELECT holder, name, first_at, last_day, CAST(sources AS text[]), is_shared FROM unnest(
        CAST(:holder AS text[]), CAST(:name AS text[]), CAST(:first_at AS timestamptz[]), CAST(:last_day AS date[]),
        CAST(:sources AS text[]), CAST(:is_shared AS boolean[])
    ) AS stated(holder, name, first_at, last_day, sources, is_shared)
    ON CONFLICT (holder, name) DO UPDATE SET first_at = least(identities.first_at, excluded.first_at),
        last_day = greatest(identities.last_day, excluded.last_day),
        sources = ARRAY(SELECT DISTINCT unnest(identities.sources || excluded.sources) AS source ORDER BY source)
    """
)
_SHARE = text(
    """
    UPDATE identities SET is_shared = true WHERE NOT is_shared AND holder = ANY(ARRAY(
        SELECT holder FROM identities WHERE holder = ANY(:holders) GROUP BY holder HAVING count(*) > 1
    ))
    """
)

_RENEW_VERSION = text(
    """
    INSERT INTO identity_version (singleton, version) VALUES (true, gen_random_uuid())
    ON CONFLICT (singleton) DO UPDATE SET version = excluded.version
    """
)


async def write(connection: Connection, changes: Changes) -> None:
    """Write the rows, and give the shared rows a new version if processes have to read them again."""
    values = [
        {
            "holder": row.holder,
            "name": row.name,
            "first_at": row.first_at,
            "last_day": row.last_day,
            "sources": array(sorted(row.sources)),
            "is_shared": not is_item(row.holder),
        }
        for row in sorted(changes.rows, key=lambda row: (row.holder, row.name))
    ]
    if values:
        await connection.execute(_WRITE, columns(values[0].keys(), values))
    if items := [row.holder for row in changes.rows if is_item(row.holder)]:
        await connection.execute(_SHARE, {"holders": items})
    if changes.needs_new_version:
        await connection.execute(_RENEW_VERSION)


_SHARED = text("SELECT holder, name, first_at, last_day, sources FROM identities WHERE is_shared")


async def read_shared(connection: Connection) -> list[Holding]:
    """Read the names of all projects, and of the items that have had several names."""
    return list(map(_holding, await connection.execute(_SHARED)))


def _holding(row: Row[Any]) -> Holding:
    return Holding(Ref(row.holder), Ref(row.name), row.first_at, row.last_day, frozenset(row.sources))

"""The tables of links: `link_statements` has each set that a delivery states, and `links` has the newest sets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, RowMapping, text

from service.lifecycle.evidence import LinkSet
from service.lifecycle.merged_branches import Head
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import array, columns

NewestSets: TypeAlias = Mapping[tuple[str, ...], Mapping[str, Any]]
"""The newest stated set of links of each key. A key consists of `evidence`, `channel` and `stated_by`."""

_KEY = ("evidence", "channel", "stated_by")
# `array` contains the targets as one text: see `tables.array`.
_VALUES = (*_KEY, "array", "stated_at")
_UNNESTED_KEYS = """
    unnest(CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[]))
    AS wanted(evidence, channel, stated_by)
"""
_VALUE_ARRAYS = """
    CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[]), CAST(:array AS text[]),
    CAST(:stated_at AS timestamptz[])
"""

_INSERT_STATEMENTS = text(
    f"""
    INSERT INTO link_statements (evidence, channel, stated_by, targets, stated_at, delivery_id)
    SELECT evidence, channel, stated_by, CAST(targets AS text[]), stated_at, delivery_id
    FROM unnest({_VALUE_ARRAYS}, CAST(:delivery_id AS uuid[]))
        AS stated(evidence, channel, stated_by, targets, stated_at, delivery_id)
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
)


async def record_statements(connection: Connection, statements: Iterable[tuple[UUID, LinkSet]]) -> NewestSets:
    """Record the sets of links that deliveries state, and return the newest set of each key, for `activate`."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for delivery, link in statements:
        row = _row(link)
        rows.append({**row, "delivery_id": delivery})
        previous = newest.setdefault(_key(row), row)
        if _recency(previous) < _recency(row):
            newest[_key(row)] = row
    if rows:
        await connection.execute(_INSERT_STATEMENTS, columns((*_VALUES, "delivery_id"), sorted(rows, key=_key)))
    return newest


_INSERT = f"""
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT evidence, channel, stated_by, CAST(targets AS text[]), stated_at
    FROM unnest({_VALUE_ARRAYS}) AS stated(evidence, channel, stated_by, targets, stated_at)
"""  # noqa: S608 - constants
_INSERT_MISSING = text(f"{_INSERT} ON CONFLICT DO NOTHING")
_LOCK = text(
    """
    SELECT links.* FROM links JOIN unnest(
        CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[])
    ) AS wanted(evidence, channel, stated_by) USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by
    FOR UPDATE OF links
    """
)
_UPSERT = text(
    f"""
    {_INSERT}
    ON CONFLICT (evidence, channel, stated_by)
    DO UPDATE SET targets = excluded.targets, stated_at = excluded.stated_at
    """
)


async def activate(connection: Connection, newest: NewestSets) -> set[Ref]:
    """Activate each set that is newer than the active set of its key, and return the targets of the replaced sets."""
    if not newest:
        return set()
    rows = [newest[key] for key in sorted(newest)]
    # The insert waits for concurrent inserts of the same keys, so every row exists before the rows are locked and read.
    await connection.execute(_INSERT_MISSING, columns(_VALUES, rows))
    active = await connection.execute(_LOCK, columns(_KEY, rows))
    outdated = {_key(row): row for row in active.mappings() if _recency(row) < _recency(newest[_key(row)])}
    if outdated:
        await connection.execute(_UPSERT, columns(_VALUES, [newest[key] for key in sorted(outdated)]))
    return {Ref(target) for row in outdated.values() for target in row["targets"]}


_WITHDRAW = text(
    "DELETE FROM link_statements WHERE delivery_id = ANY(:deliveries) RETURNING evidence, channel, stated_by, targets"
)


async def withdraw_statements(connection: Connection, delivery_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Delete the sets of links that the deliveries stated, and return the deleted rows, for `restore`."""
    return (await connection.execute(_WITHDRAW, {"deliveries": delivery_ids})).all()


_DEACTIVATE = text(
    f"""
    DELETE FROM links USING {_UNNESTED_KEYS} WHERE links.evidence = wanted.evidence
    AND links.channel = wanted.channel AND links.stated_by = wanted.stated_by
    """  # noqa: S608 - constants
)
# This query sorts sets as `_recency` does. COLLATE "C" matters: the database's own collation may break ties
# differently.
_ACTIVATE_NEWEST = text(
    f"""
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT DISTINCT ON (evidence, channel, stated_by) evidence, channel, stated_by, targets, stated_at
    FROM link_statements JOIN (SELECT DISTINCT * FROM {_UNNESTED_KEYS}) AS wanted USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by, stated_at DESC, targets COLLATE "C" DESC
    """  # noqa: S608 - constants
)


async def restore(connection: Connection, withdrawn: Iterable[Row[Any]]) -> None:
    """For the key of each withdrawn statement, activate the newest remaining statement, if there is one."""
    rows = list(withdrawn)
    keys = {column: [getattr(row, column) for row in rows] for column in _KEY}
    await connection.execute(_DEACTIVATE, keys)
    await connection.execute(_ACTIVATE_NEWEST, keys)


def _key(row: Mapping[str, Any] | RowMapping) -> tuple[str, ...]:
    return tuple(row[column] for column in _KEY)


def _recency(row: Mapping[str, Any] | RowMapping) -> tuple[datetime, list[str]]:
    # The targets break ties: if two sets have the same `stated_at`, the newest set must not depend on which arrives
    # first.
    return row["stated_at"], row["targets"]


def _row(link: LinkSet) -> dict[str, Any]:
    return {
        "evidence": link.evidence,
        "channel": link.channel,
        "stated_by": link.stated_by,
        "targets": sorted(link.targets),
        "array": array(sorted(link.targets)),
        "stated_at": link.stated_at,
    }


# `below` finds the descendants of the subjects, and `served` adds all ancestors of these descendants. The links of
# `served` decide which of the subjects are experiments, and which evidence and which ancestors the subjects have.
#
# The query forces one index lookup for each step of a recursion. The planner assumes that each step reads ten times as
# many rows as the first step returned. Without the forced lookups, the planner would therefore scan all links and
# reserve memory for billions of rows. `OFFSET 0` keeps the planner from merging a lookup into the join, and an array
# hides the number of rows from the planner.
#
# PostgreSQL evaluates a recursion only as far as its rows are read, so `LIMIT :most_subjects` stops it early. Each
# subject that a recursion adds has a link or is the target of one, so the result has `most` links if a recursion is cut
# short.
NEIGHBOURHOOD = text(
    """
    WITH RECURSIVE below(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT found.evidence FROM below CROSS JOIN LATERAL (
            SELECT evidence FROM links WHERE targets @> ARRAY[below.subject] OFFSET 0
        ) AS found
    ), served(subject) AS (
        SELECT unnest(ARRAY(SELECT subject FROM below LIMIT :most_subjects) || CAST(:above AS text[]))
        UNION
        SELECT found.target FROM served CROSS JOIN LATERAL (
            SELECT unnest(targets) AS target FROM links WHERE evidence = served.subject OFFSET 0
        ) AS found
    )
    SELECT evidence, channel, stated_by, targets, stated_at FROM (
        SELECT links.*, sum(cardinality(targets)) OVER (ROWS UNBOUNDED PRECEDING) - cardinality(targets) AS before
        FROM links WHERE evidence = ANY(ARRAY(SELECT subject FROM served LIMIT :most_subjects)) LIMIT :most
    ) AS found WHERE before < :most
    """
)


async def neighbourhood(
    connection: Connection, subjects: Collection[Ref], most: int, above: Collection[Ref] = ()
) -> list[LinkSet]:
    """Read the sets of links that decide which of the subjects are experiments, and which evidence they have.

    Args:
        most: the number of links and of sets after which no further set is read.
        above: further subjects. Their ancestors are read, but not their evidence.
    """
    limits = {"most": most, "most_subjects": 2 * most + len(subjects) + len(above)}
    rows = await connection.execute(NEIGHBOURHOOD, {"subjects": sorted(subjects), "above": sorted(above), **limits})
    return [
        LinkSet(Ref(row.evidence), row.channel, Ref(row.stated_by), frozenset(row.targets), row.stated_at)
        for row in rows
    ]


_HEADS = text(
    """
    SELECT stated_by, evidence, stated_at FROM links
    WHERE evidence = ANY(:commits) AND channel = 'branch' AND stated_by = ANY(:branches)
    """
)


async def heads(connection: Connection, commits: Collection[Ref], branches: Collection[Ref]) -> list[Head]:
    """Read which of the commits were heads of the branches."""
    rows = await connection.execute(_HEADS, {"commits": sorted(commits), "branches": sorted(branches)})
    return [Head(Ref(branch), Ref(commit), at) for branch, commit, at in rows]


_ANCESTORS = text(
    """
    WITH RECURSIVE above(subject) AS (
        SELECT CAST(:subject AS text)
        UNION
        SELECT found.target FROM above CROSS JOIN LATERAL (
            SELECT unnest(targets) AS target FROM links WHERE evidence = above.subject OFFSET 0
        ) AS found
    )
    SELECT subject FROM above LIMIT :most
    """
)


async def ancestors(connection: Connection, subject: Ref, most: int) -> set[Ref]:
    """Read the subject and its ancestors, at most `most` of them."""
    return {Ref(found) for found in await connection.scalars(_ANCESTORS, {"subject": subject, "most": most})}

"""Links: what serves what, as it was stated and as it is in force."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, RowMapping, text

from service.lifecycle.evidence import LinkSet
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import array, columns

Newest: TypeAlias = Mapping[tuple[str, ...], Mapping[str, Any]]
"""Of what is stated the newest set, as a row, by evidence, channel and speaker."""


async def record_statements(connection: Connection, heard: Iterable[tuple[UUID, LinkSet]]) -> Newest:
    """Keep what deliveries state, which nobody else writes; returns what is to be put in force of it."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    stated: list[dict[str, Any]] = []
    for delivery, link in heard:
        row = _row(link)
        stated.append({**row, "delivery_id": delivery})
        known = newest.setdefault(_key(row), row)
        if _recency(known) < _recency(row):
            newest[_key(row)] = row
    if stated:
        await connection.execute(_STATE, columns((*_NAMED, "delivery_id"), sorted(stated, key=_key)))
    return newest


async def activate(connection: Connection, newest: Newest) -> set[Ref]:
    """Put in force what is newer than what is, and return the targets that it replaced."""
    if not newest:
        return set()
    rows = [newest[key] for key in sorted(newest)]
    # After this each row exists, and whoever else was about to make it has committed: what is read next, under a
    # lock, is what will be replaced.
    await connection.execute(_PUT, columns(_NAMED, rows))
    stored = await connection.execute(_LOCK, columns(_COLUMNS, rows))
    outdated = {_key(row): row for row in stored.mappings() if _recency(row) < _recency(newest[_key(row)])}
    if outdated:
        await connection.execute(_RENEW, columns(_NAMED, [newest[key] for key in sorted(outdated)]))
    return {Ref(target) for row in outdated.values() for target in row["targets"]}


async def withdraw_statements(connection: Connection, deliveries: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Take back what deliveries stated; returns what that was, for `restore`."""
    return (await connection.execute(_WITHDRAW, {"deliveries": deliveries})).all()


async def restore(connection: Connection, withdrawn: Iterable[Row[Any]]) -> None:
    """Put in force again, in place of what was withdrawn, the newest that is still stated."""
    gone = list(withdrawn)
    keys = {column: [getattr(row, column) for row in gone] for column in _COLUMNS}
    await connection.execute(_DROP, keys)
    await connection.execute(_RESTORE, keys)


_WITHDRAW = text(
    "DELETE FROM link_statements WHERE delivery_id = ANY(:deliveries) RETURNING evidence, channel, stated_by, targets"
)
_KEYS = """
    unnest(CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[]))
    AS wanted(evidence, channel, stated_by)
"""
_DROP = text(
    f"""
    DELETE FROM links USING {_KEYS} WHERE links.evidence = wanted.evidence
    AND links.channel = wanted.channel AND links.stated_by = wanted.stated_by
    """  # noqa: S608 - constants
)
# In the order of `_recency`: the database's own collation would break ties otherwise.
_RESTORE = text(
    f"""
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT DISTINCT ON (evidence, channel, stated_by) evidence, channel, stated_by, targets, stated_at
    FROM link_statements JOIN (SELECT DISTINCT * FROM {_KEYS}) AS wanted USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by, stated_at DESC, targets COLLATE "C" DESC
    """  # noqa: S608 - constants
)
_COLUMNS = ("evidence", "channel", "stated_by")
# `array` stands for the targets.
_NAMED = (*_COLUMNS, "array", "stated_at")
_STATED = """
    CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[]), CAST(:array AS text[]),
    CAST(:stated_at AS timestamptz[])
"""
_STATE = text(
    f"""
    INSERT INTO link_statements (evidence, channel, stated_by, targets, stated_at, delivery_id)
    SELECT evidence, channel, stated_by, CAST(targets AS text[]), stated_at, delivery_id
    FROM unnest({_STATED}, CAST(:delivery_id AS uuid[]))
        AS stated(evidence, channel, stated_by, targets, stated_at, delivery_id)
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
)
_INSERT = f"""
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT evidence, channel, stated_by, CAST(targets AS text[]), stated_at
    FROM unnest({_STATED}) AS stated(evidence, channel, stated_by, targets, stated_at)
"""  # noqa: S608 - constants
_PUT = text(f"{_INSERT} ON CONFLICT DO NOTHING")
_RENEW = text(
    f"""
    {_INSERT}
    ON CONFLICT (evidence, channel, stated_by)
    DO UPDATE SET targets = excluded.targets, stated_at = excluded.stated_at
    """
)
_LOCK = text(
    """
    SELECT links.* FROM links JOIN unnest(
        CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[])
    ) AS wanted(evidence, channel, stated_by) USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by
    FOR UPDATE OF links
    """
)


def _key(row: Mapping[str, Any] | RowMapping) -> tuple[str, ...]:
    return tuple(row[column] for column in _COLUMNS)


def _recency(row: Mapping[str, Any] | RowMapping) -> tuple[datetime, list[str]]:
    # Two sets stated in the same second need an order that does not depend on which came first.
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


async def neighbourhood(connection: Connection, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """The links that decide what the subjects, what they serve and what serves them are, and what serves those.

    Returns:
        (evidence, target) pairs.
    """
    rows = await connection.execute(NEIGHBOURHOOD, {"subjects": sorted(subjects)})
    return [(Ref(row.evidence), Ref(row.target)) for row in rows]


# A subject's own evidence, and all that this serves, tells which of them are experiments; what the subject serves,
# and all evidence of that, tells what those experiments are.
#
# Each step looks one subject up in an index, and that is said so that the planner cannot do otherwise: it expects each
# step of a recursion to find ten times as many as the one before, and would read all links, and set memory for billions
# aside, for a few hundred. `OFFSET 0` keeps a lookup apart from what it is joined to, an array from its length.
NEIGHBOURHOOD = text(
    """
    WITH RECURSIVE below(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT found.evidence FROM below CROSS JOIN LATERAL (
            SELECT evidence FROM links WHERE targets @> ARRAY[below.subject] OFFSET 0
        ) AS found
    ), served(subject) AS (
        SELECT unnest(ARRAY(SELECT subject FROM below))
        UNION
        SELECT found.target FROM served CROSS JOIN LATERAL (
            SELECT unnest(targets) AS target FROM links WHERE evidence = served.subject OFFSET 0
        ) AS found
    ), above(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT found.target FROM above CROSS JOIN LATERAL (
            SELECT unnest(targets) AS target FROM links WHERE evidence = above.subject OFFSET 0
        ) AS found
    ), serving(subject) AS (
        SELECT unnest(ARRAY(SELECT subject FROM above))
        UNION
        SELECT found.evidence FROM serving CROSS JOIN LATERAL (
            SELECT evidence FROM links WHERE targets @> ARRAY[serving.subject] OFFSET 0
        ) AS found
    )
    SELECT evidence, unnest(targets) AS target FROM links
    WHERE evidence = ANY(ARRAY(SELECT subject FROM served UNION ALL SELECT subject FROM serving))
    """
)

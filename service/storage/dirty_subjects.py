"""Touched marks: the subjects of which something was committed that projection has not seen."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, select, text

from service.lifecycle.references import Ref
from service.storage.database import Connection, is_exclusive
from service.storage.tables import touched


async def mark_dirty(connection: Connection, subjects: Iterable[Ref]) -> None:
    """Mark subjects of which something is being committed."""
    named = sorted(set(subjects))
    if named:
        await connection.execute(_TOUCH, {"subjects": named})


# What is new may be what lets a subject be projected that could not be before.
_TOUCH = text(
    """
    INSERT INTO touched (subject) SELECT unnest(CAST(:subjects AS text[]))
    ON CONFLICT (subject) DO UPDATE SET mark = excluded.mark, attempts = 0, retry_at = NULL, error = NULL
    """
)


async def claim_dirty(connection: Connection, limit: int, now: datetime) -> dict[Ref, int]:
    """The longest touched subjects that no other worker has claimed, with their marks; until the transaction ends.

    Who touches one of them again meanwhile waits for nobody and makes a new mark. Those that were set aside are passed
    over until their time has come, and then come after what is new, as do those that a migration touched.
    """
    query = (
        select(touched.c.subject, touched.c.mark)
        .where(_is_due(now))
        .order_by(touched.c.retry_at.nulls_first(), touched.c.mark)
    )
    if is_exclusive(connection):
        claimed = await connection.execute(query.limit(limit))
    else:
        longest = query.limit(_LOOKED_AT * limit).subquery()
        is_free = func.pg_try_advisory_xact_lock(_CLAIMS, func.hashtext(longest.c.subject))
        claimed = await connection.execute(select(longest).where(is_free).limit(limit))
    return {Ref(row.subject): row.mark for row in claimed}


# Any constant will do, so long as every process of every version takes the same one.
_CLAIMS = 0x746F7563
# What so many workers have claimed is passed over.
_LOOKED_AT = 8


async def newest_mark(connection: Connection) -> int:
    """The newest of all touched marks; 0 where there is none."""
    return await connection.scalar(select(func.max(touched.c.mark))) or 0


async def has_due(connection: Connection, mark: int, now: datetime) -> bool:
    """Whether a touched mark up to this one is still to be projected, those that were set aside for later left out."""
    return await connection.scalar(select(exists().where(touched.c.mark <= mark, _is_due(now)))) or False


def _is_due(now: datetime) -> ColumnElement[bool]:
    # What a migration touches is set aside for ever: the release before it, which does not know what it brought and
    # may run beside us, passes over that.
    by_migration = touched.c.retry_at == literal_column("'infinity'::timestamptz")
    return or_(touched.c.retry_at.is_(None), touched.c.retry_at <= now, by_migration)


async def clear(connection: Connection, claimed: Mapping[Ref, int]) -> int:
    """Take the marks of subjects that are projected away, unless they were renewed, or are just being renewed.

    Returns:
        How many were taken away.
    """
    forgotten = await connection.execute(_FORGET, {"subjects": list(claimed), "marks": list(claimed.values())})
    return forgotten.rowcount


# Who renews a mark at this moment is not waited for, so nobody waits in a circle.
_FORGET = text(
    """
    DELETE FROM touched WHERE subject = ANY(ARRAY(
        SELECT subject FROM touched JOIN unnest(CAST(:subjects AS text[]), CAST(:marks AS bigint[]))
            AS claimed(subject, mark) USING (subject, mark)
        FOR UPDATE OF touched SKIP LOCKED
    ))
    """
)


async def postpone(connection: Connection, subject: Ref, mark: int, error: str, now: datetime) -> int:
    """Leave a touched subject that cannot be projected for later: a minute at first, then twice as long each time.

    One whose mark was renewed, or is just being renewed, is left as it is: what is new may let it be projected.

    Returns:
        1, or 0 where it was renewed.
    """
    values = {"subject": subject, "mark": mark, "error": error, "now": now}
    return (await connection.execute(_SET_ASIDE, values)).rowcount


_SET_ASIDE = text(
    """
    UPDATE touched SET attempts = attempts + 1, error = :error,
        retry_at = CAST(:now AS timestamptz) + interval '1 minute' * power(2, least(attempts, 10))
    WHERE subject = (SELECT subject FROM touched WHERE subject = :subject AND mark = :mark FOR UPDATE SKIP LOCKED)
    """
)

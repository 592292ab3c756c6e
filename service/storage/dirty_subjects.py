"""The table `touched`: dirty subjects. A subject is dirty while a committed change to it is not projected yet.

Each change gives its subject a new mark, a number from an ascending sequence. A projection clears only the mark that it
claimed, so that a subject that changes during its projection stays dirty.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, select, text

from service.lifecycle.references import Ref
from service.storage.database import Connection, is_exclusive
from service.storage.tables import touched

# The first key of each claim's advisory lock: arbitrary, but it must be the same in all versions of loopgauge.
_CLAIM_LOCKS = 0x746F7563
# The number of candidates to read for each subject to claim: other workers may have claimed the first candidates.
_CANDIDATES = 8

# A new mark also ends a postponement: the subject has changed, and its projection may now succeed.
_MARK = text(
    """
    INSERT INTO touched (subject) SELECT unnest(CAST(:subjects AS text[]))
    ON CONFLICT (subject) DO UPDATE SET mark = excluded.mark, attempts = 0, retry_at = NULL, error = NULL
    """
)


async def mark_dirty(connection: Connection, subjects: Iterable[Ref]) -> None:
    """Mark subjects dirty, and give each subject a new mark."""
    ordered = sorted(set(subjects))
    if ordered:
        await connection.execute(_MARK, {"subjects": ordered})


async def claim_dirty(connection: Connection, limit: int, now: datetime) -> dict[Ref, int]:
    """Claim dirty subjects until the transaction ends, except subjects that other workers have claimed.

    Subjects that are not postponed come first, in the order of their marks, then subjects whose postponement is over,
    then subjects that a migration marked. A claim is an advisory lock and not a row lock, so that `mark_dirty` never
    waits for a claim.

    Returns:
        The mark of each claimed subject.
    """
    query = (
        select(touched.c.subject, touched.c.mark)
        .where(_is_due(now))
        .order_by(touched.c.retry_at.nulls_first(), touched.c.mark)
    )
    if is_exclusive(connection):
        claimed = await connection.execute(query.limit(limit))
    else:
        candidates = query.limit(_CANDIDATES * limit).subquery()
        is_free = func.pg_try_advisory_xact_lock(_CLAIM_LOCKS, func.hashtext(candidates.c.subject))
        claimed = await connection.execute(select(candidates).where(is_free).limit(limit))
    return {Ref(row.subject): row.mark for row in claimed}


async def newest_mark(connection: Connection) -> int:
    """Return the newest mark, or 0 if no subject is dirty."""
    return await connection.scalar(select(func.max(touched.c.mark))) or 0


async def has_due(connection: Connection, mark: int, now: datetime) -> bool:
    """Whether any subject with this mark or an older mark is still dirty and not postponed."""
    return await connection.scalar(select(exists().where(touched.c.mark <= mark, _is_due(now)))) or False


def _is_due(now: datetime) -> ColumnElement[bool]:
    # A migration marks subjects with an infinite `retry_at`. The previous release may still be running and must skip
    # these subjects, since it cannot project what the migration introduces.
    by_migration = touched.c.retry_at == literal_column("'infinity'::timestamptz")
    return or_(touched.c.retry_at.is_(None), touched.c.retry_at <= now, by_migration)


# SKIP LOCKED avoids a deadlock with transactions that renew several marks. Skipping is safe: a subject whose mark is
# being renewed stays dirty anyway.
_CLEAR = text(
    """
    DELETE FROM touched WHERE subject = ANY(ARRAY(
        SELECT subject FROM touched JOIN unnest(CAST(:subjects AS text[]), CAST(:marks AS bigint[]))
            AS claimed(subject, mark) USING (subject, mark)
        FOR UPDATE OF touched SKIP LOCKED
    ))
    """
)


async def clear(connection: Connection, claimed: Mapping[Ref, int]) -> int:
    """Clear the marks of projected subjects, except subjects that another transaction has marked again since the claim.

    A subject that another transaction is marking at this moment is skipped as well.

    Returns:
        The number of subjects that are clean now.
    """
    cleared = await connection.execute(_CLEAR, {"subjects": list(claimed), "marks": list(claimed.values())})
    return cleared.rowcount


_POSTPONE = text(
    """
    UPDATE touched SET attempts = attempts + 1, error = :error,
        retry_at = CAST(:now AS timestamptz) + interval '1 minute' * power(2, least(attempts, 10))
    WHERE subject = (SELECT subject FROM touched WHERE subject = :subject AND mark = :mark FOR UPDATE SKIP LOCKED)
    """
)


async def postpone(connection: Connection, subject: Ref, mark: int, error: str, now: datetime) -> int:
    """Postpone a subject whose projection failed, with exponential backoff from one minute.

    The subject is not postponed if another transaction has marked it again since the claim, or is marking it at this
    moment: the change may let the next projection succeed.

    Returns:
        1 if the subject was postponed, otherwise 0.
    """
    values = {"subject": subject, "mark": mark, "error": error, "now": now}
    return (await connection.execute(_POSTPONE, values)).rowcount

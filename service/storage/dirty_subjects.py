"""The table `touched`: dirty subjects. A subject is dirty while a committed change to it is not projected yet.

Each change gives its subject a new mark, a number from an ascending sequence. A projection clears only the mark that it
claimed, so that a subject that changes during its projection stays dirty.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, select, text

from service.lifecycle.references import Ref
from service.storage.database import Connection, is_exclusive
from service.storage.tables import touched

# The first key of each claim's advisory lock: arbitrary, but it must be the same in all versions of loopgauge.
_CLAIM_LOCKS = 0x746F7563
# The number of candidates to read for each subject to claim: other workers may have claimed the first candidates.
_CANDIDATES = 8

SET_ASIDE = "set aside: "
"""The beginning of the error of a subject whose projection takes long or does not end."""

# A new mark also ends a postponement: the subject has changed, and its projection may now succeed. A subject that is
# set aside stays postponed: each attempt to project it costs much, and a sender could cause one attempt after another.
_MARK = text(
    """
    INSERT INTO touched (subject) SELECT unnest(CAST(:subjects AS text[]))
    ON CONFLICT (subject) DO UPDATE SET mark = excluded.mark,
        attempts = CASE WHEN starts_with(touched.error, :set_aside) THEN touched.attempts ELSE 0 END,
        retry_at = CASE WHEN starts_with(touched.error, :set_aside) THEN touched.retry_at END,
        error = CASE WHEN starts_with(touched.error, :set_aside) THEN touched.error END
    """
)


async def mark_dirty(connection: Connection, subjects: Iterable[Ref]) -> None:
    """Mark subjects dirty, and give each subject a new mark."""
    ordered = sorted(set(subjects))
    if ordered:
        await connection.execute(_MARK, {"subjects": ordered, "set_aside": SET_ASIDE})


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


# The pause after an attempt that fails at once is at least a minute, since only a change of the code or the data helps.
# The pause after an attempt that takes long or does not end grows from one second to an hour. It begins with a second,
# because the cause may be a lost connection that has nothing to do with the subject.
_PAUSE = """
    CASE WHEN starts_with(CAST(:error AS text), :set_aside)
        THEN interval '1 second' * least(power(4, least({attempts}, 6)), 3600)
        ELSE interval '1 minute' * power(2, least({attempts}, 10)) END
"""
_BEGIN = text(
    f"""
    UPDATE touched SET attempts = attempts + 1, error = :error,
        retry_at = CAST(:now AS timestamptz) + {_PAUSE.format(attempts="attempts")}
    WHERE subject = ANY(ARRAY(SELECT subject FROM touched WHERE subject = ANY(:subjects) FOR UPDATE SKIP LOCKED))
    """  # noqa: S608 - constants
)
_UNFINISHED = f"{SET_ASIDE}its last projection did not end"


async def begin_attempt(connection: Connection, now: datetime) -> tuple[Ref, int] | None:
    """Count an attempt to project the next dirty subject, and postpone the subject; None if no subject is due.

    The caller commits this transaction before the attempt. So the attempt is counted and the subject is postponed, even
    if the attempt ends the process or the connection.

    Returns:
        The subject and its mark, for `finish_attempt` or `fail_attempt`.
    """
    for subject, mark in (await claim_dirty(connection, 1, now)).items():
        if await set_aside(connection, [subject], _UNFINISHED, now):
            return subject, mark
    return None


async def set_aside(connection: Connection, subjects: Collection[Ref], error: str, now: datetime) -> int:
    """Count an attempt on dirty subjects, and postpone them with exponential backoff from one second to one hour.

    Subjects that another transaction is marking at this moment are skipped. A later mark does not end the postponement.

    Args:
        error: the reason, which begins with `SET_ASIDE`.

    Returns:
        The number of subjects that were set aside.
    """
    values = {"subjects": sorted(subjects), "error": error, "set_aside": SET_ASIDE, "now": now}
    return (await connection.execute(_BEGIN, values)).rowcount


_RELEASE = text(
    """
    UPDATE touched SET attempts = 0, retry_at = NULL, error = NULL
    WHERE subject = (SELECT subject FROM touched WHERE subject = :subject AND mark <> :mark FOR UPDATE SKIP LOCKED)
    """
)


async def finish_attempt(connection: Connection, subject: Ref, mark: int) -> int:
    """Clear the mark of a subject that `begin_attempt` returned and that is projected now.

    A subject that has been marked again since then stays dirty, and is due at once.

    Returns:
        1 if the subject is clean now, otherwise 0.
    """
    cleared = await clear(connection, {subject: mark})
    if not cleared:
        await connection.execute(_RELEASE, {"subject": subject, "mark": mark})
    return cleared


_FAIL = text(
    f"""
    UPDATE touched SET error = :error,
        retry_at = CAST(:now AS timestamptz) + {_PAUSE.format(attempts="greatest(attempts - 1, 0)")}
    WHERE subject = :subject AND (mark = :mark OR starts_with(CAST(:error AS text), :set_aside))
    """  # noqa: S608 - constants
)


async def fail_attempt(connection: Connection, subject: Ref, mark: int, error: str, now: datetime) -> None:
    """Record why the projection of a subject from `begin_attempt` failed, and postpone the subject.

    The pause grows exponentially: from one minute to 17 hours, or from one second to one hour if the error begins with
    `SET_ASIDE`. A subject that has been marked again since the attempt began is due at once, unless it is set aside.
    """
    values = {"subject": subject, "mark": mark, "error": error, "set_aside": SET_ASIDE, "now": now}
    if not (await connection.execute(_FAIL, values)).rowcount:
        await connection.execute(_RELEASE, {"subject": subject, "mark": mark})


async def error_of(connection: Connection, subject: Ref) -> str:
    """Why the projection of a subject is postponed; empty if it is not."""
    return await connection.scalar(select(touched.c.error).where(touched.c.subject == subject)) or ""

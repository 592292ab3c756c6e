"""Touched marks: the subjects of which something was committed that projection has not seen."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, func, literal_column, or_, select, text

from service.lifecycle.evidence import Ref
from service.storage.database import Connection
from service.storage.tables import among, touched


async def touch(connection: Connection, subjects: Iterable[Ref]) -> None:
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


async def claim(connection: Connection, limit: int, now: datetime) -> list[Ref]:
    """The longest touched subjects that no other worker holds; held until the transaction ends.

    Who touches one of them again meanwhile waits for the end of this transaction and makes a new mark. Those that were
    set aside are passed over until their time has come, and then come after what is new, as do those that a migration
    touched.
    """
    claimed = await connection.scalars(
        select(touched.c.subject)
        .where(_is_due(now))
        .order_by(touched.c.retry_at.nulls_first(), touched.c.mark)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Ref(subject) for subject in claimed]


async def newest(connection: Connection) -> int:
    """The newest of all touched marks; 0 where there is none."""
    return await connection.scalar(select(func.max(touched.c.mark))) or 0


async def is_left(connection: Connection, mark: int, now: datetime) -> bool:
    """Whether a touched mark up to this one is still to be projected, those that were set aside for later left out."""
    return await connection.scalar(select(exists().where(touched.c.mark <= mark, _is_due(now)))) or False


def _is_due(now: datetime) -> ColumnElement[bool]:
    # What a migration touches is set aside for ever: the release before it, which does not know what it brought and
    # may run beside us, passes over that.
    by_migration = touched.c.retry_at == literal_column("'infinity'::timestamptz")
    return or_(touched.c.retry_at.is_(None), touched.c.retry_at <= now, by_migration)


async def forget(connection: Connection, subjects: Collection[Ref]) -> None:
    """Take the marks of subjects that are projected away."""
    await connection.execute(delete(touched).where(among(touched.c.subject, subjects)))


async def set_aside(connection: Connection, subject: Ref, error: str, now: datetime) -> None:
    """Leave a touched subject that cannot be projected for later: a minute at first, then twice as long each time."""
    await connection.execute(_SET_ASIDE, {"subject": subject, "error": error, "now": now})


_SET_ASIDE = text(
    """
    UPDATE touched SET attempts = attempts + 1, error = :error,
        retry_at = CAST(:now AS timestamptz) + interval '1 minute' * power(2, least(attempts, 10))
    WHERE subject = :subject
    """
)

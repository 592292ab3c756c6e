"""Leases: what one process at a time holds, for as long as it renews it."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, text

from service.storage.database import Connection
from service.storage.tables import leases

# A lease that is dated ahead was written before PostgreSQL's clock was set back; nobody need wait for that time.
_ACQUIRE = text(
    """
    INSERT INTO leases (name, holder, renewed_at) VALUES (:name, :holder, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewed_at = clock_timestamp()
    WHERE leases.holder = excluded.holder
    OR CAST(:take_over AS boolean) AND leases.renewed_at
        NOT BETWEEN clock_timestamp() - CAST(:length AS interval) AND clock_timestamp() + CAST(:length AS interval)
    RETURNING true
    """
)


async def acquire(connection: Connection, name: str, holder: UUID, length: timedelta, *, take_over: bool) -> bool:
    """Take a lease that nobody holds, or renew it; returns whether `holder` has it now.

    All times are PostgreSQL's own. On a connection of `Database.autocommit` nobody waits for a process that is stopped
    half-way through.

    Args:
        length: how long others respect the lease after it was renewed.
        take_over: whether to take it from a holder that has not renewed it for that long.
    """
    terms = {"name": name, "holder": holder, "length": length, "take_over": take_over}
    return await connection.scalar(_ACQUIRE, terms) is not None


async def release(connection: Connection, name: str, holder: UUID) -> None:
    """Give a lease up, so that the next one need not wait until it runs out; nothing happens if others have it."""
    await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

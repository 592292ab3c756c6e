"""The table `leases`: a lease belongs to one process at a time, for as long as that process renews it."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, text

from service.storage.database import Connection
from service.storage.tables import leases

# If a lease was renewed in the future, PostgreSQL's clock has been set back since. Such a lease counts as expired.
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
    """Acquire a free lease, or renew one that `holder` has, and return whether `holder` has the lease now.

    All times are those of PostgreSQL's clock. Use `Database.autocommit`: a process that freezes in a transaction would
    block the others.

    Args:
        length: how long the lease is valid after a renewal.
        take_over: whether to acquire a lease that another holder let expire.
    """
    terms = {"name": name, "holder": holder, "length": length, "take_over": take_over}
    return await connection.scalar(_ACQUIRE, terms) is not None


async def release(connection: Connection, name: str, holder: UUID) -> None:
    """Release a lease if `holder` has it, so that the next holder need not wait for the lease to expire."""
    await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

"""The table `leases`: a lease belongs to one process, as long as that process keeps renewing it."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, text

from service.storage.database import Connection
from service.storage.tables import leases

# The statement makes its own commit durable, because a pooler in transaction mode loses the settings of the session. A
# lease has also expired if its renewal lies further in the future than `length`: PostgreSQL's clock has been set back
# since the renewal.
_ACQUIRE = text(
    """
    INSERT INTO leases (name, holder, renewed_at)
    SELECT :name, CAST(:holder AS uuid), clock_timestamp() FROM set_config('synchronous_commit', 'on', true)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewed_at = clock_timestamp()
    WHERE leases.holder = excluded.holder
    OR CAST(:take_over AS boolean) AND leases.renewed_at
        NOT BETWEEN clock_timestamp() - CAST(:length AS interval) AND clock_timestamp() + CAST(:length AS interval)
    RETURNING true
    """
)


async def acquire(connection: Connection, name: str, holder: UUID, length: timedelta, *, take_over: bool) -> bool:
    """Acquire the lease if it is free, or renew it if `holder` has it, and return whether `holder` has it now.

    All times come from PostgreSQL's clock. Use a connection from `Database.autocommit`: a process that froze in a
    transaction would block the other processes.

    Args:
        length: how long the lease is valid after a renewal.
        take_over: whether to acquire a lease that another holder let expire.
    """
    terms = {"name": name, "holder": holder, "length": length, "take_over": take_over}
    return await connection.scalar(_ACQUIRE, terms) is not None


async def release(connection: Connection, name: str, holder: UUID) -> None:
    """Release a lease if `holder` has it, so that the next holder need not wait for the lease to expire."""
    await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

"""Leadership: the worker that has the lease exports the metrics and applies the retention.

Fencing: the holder checks its lease against its own clock, which advances while the process is frozen. A process that
was frozen for longer than its lease therefore does not lead when it resumes, even if PostgreSQL renewed the lease just
before the freeze.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from math import inf
from uuid import UUID

import structlog

from service.runtime.failure_log import FailureLog
from service.runtime.pause import pause
from service.storage import leases
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseAway, DatabaseError

LENGTH_SECONDS = 8.0
"""How long a lease is valid after its last renewal. When a leader dies, another process can lead only after this time.

While PostgreSQL is away, the leader keeps leading: each heartbeat extends its lease by this duration in memory, but not
in the database. A process that finds an expired lease in the database takes it over only if it has been able to reach
PostgreSQL for at least this duration. When PostgreSQL is back, the leader therefore has time to renew its lease first.
"""
_HEARTBEAT_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0

_LEASE = "leader"
_log = structlog.get_logger(__name__)


class Leadership:
    """One process's part in the leader election.

    Args:
        holder: an id that no other process has.
        clock: a monotonic clock in seconds, which advances even while the process is frozen.
    """

    def __init__(self, database: Database, holder: UUID, clock: Callable[[], float]) -> None:
        self._database = database
        self._holder = holder
        self._clock = clock
        self._term = 0
        self._until = -inf
        self._answering_since = inf
        self._logged = False
        self._failures = FailureLog(clock)

    @property
    def leads(self) -> bool:
        """Whether this process leads at this moment.

        No other process leads at the same time, unless a pooler refuses this process alone.
        """
        return self._clock() < self._until

    @property
    def term(self) -> int:
        """The number of times that this process has become the leader.

        If the number has changed, another process may have led meanwhile.
        """
        return self._term

    async def run(self, ending: asyncio.Event, gained: Callable[[], None]) -> None:
        """Renew the lease, or try to take it, until `ending` is set; then give up the lease at once.

        Args:
            gained: called each time this process becomes the leader.
        """
        while not ending.is_set():
            began, term = self._clock(), self._term
            await self.beat()
            if self._term != term:
                gained()
            self._log_change()
            await pause(_HEARTBEAT_SECONDS - (self._clock() - began), ending)
        await self.resign()

    async def beat(self) -> None:
        """Send one heartbeat: take or renew the lease, if that is possible now."""
        began = self._clock()
        try:
            ready = began - self._answering_since >= LENGTH_SECONDS
            holds = await abandon_after(_PATIENCE_SECONDS, self._acquire(take_over=ready))
        except DatabaseAway:
            self._answering_since = inf
            if self.leads:
                # Extend the lease: no other process can take it now, nor immediately after PostgreSQL is back.
                self._until = began + LENGTH_SECONDS
        except Exception as error:  # noqa: BLE001 - retry at the next heartbeat, whatever the cause.
            # Other processes may still reach PostgreSQL, so this process must not extend its lease.
            self._answering_since = inf
            unexpected = not isinstance(error, (DatabaseError, TimeoutError))
            cause = str(error) or type(error).__name__
            log = _log.warning if self._failures.record_failure(_LEASE, cause) else _log.debug
            log("heartbeat failed", cause=cause, exc_info=unexpected)
        else:
            self._failures.record_success(_LEASE)
            if holds and not self.leads:
                self._term += 1
            # PostgreSQL dates the renewal later than `began`, so a lease counted from `began` never ends too late.
            self._until = began + LENGTH_SECONDS if holds else -inf
            self._answering_since = min(self._answering_since, self._clock())

    async def resign(self) -> None:
        """Stop leading, and give up the lease. If PostgreSQL is away, the lease expires instead."""
        self._until = -inf
        try:
            await abandon_after(_PATIENCE_SECONDS, self._release())
        except (DatabaseError, TimeoutError) as error:
            _log.warning("the lease was not given up; the next leader waits until the lease expires", cause=str(error))

    async def _acquire(self, *, take_over: bool) -> bool:
        # Use no transaction: a process that freezes inside a transaction would keep the lease's row locked.
        async with self._database.autocommit() as connection:
            length = timedelta(seconds=LENGTH_SECONDS)
            return await leases.acquire(connection, _LEASE, self._holder, length, take_over=take_over)

    async def _release(self) -> None:
        async with self._database.autocommit() as connection:
            await leases.release(connection, _LEASE, self._holder)

    def _log_change(self) -> None:
        if self.leads != self._logged:
            self._logged = not self._logged
            _log.info("leading: this process exports the metrics" if self._logged else "not leading")

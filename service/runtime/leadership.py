"""Leadership: one worker at a time exports the figures and forgets what is old, by a lease that it renews.

A process trusts its lease no longer than its own clock allows. So one that was frozen leads no more when it goes on,
whatever it last heard.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from math import inf
from uuid import UUID

import structlog

from service.storage import leases
from service.storage.database import Database, abandon_after
from service.storage.errors import DatabaseAway, DatabaseError

LENGTH_SECONDS = 8.0
"""How long a lease lasts after it was renewed: others wait that long for a leader that has died.

A leader that finds PostgreSQL away goes on for as long, and nobody takes its lease before PostgreSQL has answered for
as long: so it comes first when PostgreSQL is back.
"""
_BEAT_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0

_LEASE = "leader"
_log = structlog.get_logger(__name__)


class Leadership:
    """One process's part in who leads.

    Args:
        holder: what no other process is called.
        clock: seconds that never go back, and go on while the process is frozen.
    """

    def __init__(self, database: Database, holder: UUID, clock: Callable[[], float]) -> None:
        self._database = database
        self._holder = holder
        self._clock = clock
        self._until = -inf
        self._answering_since = inf
        self._said = False

    @property
    def leads(self) -> bool:
        """Whether this process leads at this moment, and no other can."""
        return self._clock() < self._until

    async def run(self, ending: asyncio.Event, gained: Callable[[], None]) -> None:
        """Strive to lead until the end begins, and then let the next one lead at once.

        Args:
            gained: called whenever this process begins to lead.
        """
        while not ending.is_set():
            began, led = self._clock(), self.leads
            await self.beat()
            if self.leads and not led:
                gained()
            self._say()
            await _wait(ending, _BEAT_SECONDS - (self._clock() - began))
        await self.resign()

    async def beat(self) -> None:
        """Take or renew the lease, if that is possible now."""
        began = self._clock()
        try:
            ready = began - self._answering_since >= LENGTH_SECONDS
            holds = await abandon_after(_PATIENCE_SECONDS, self._acquire(take_over=ready))
        except DatabaseAway:
            self._answering_since = inf
            if self.leads:
                # Nobody can take the lease from us now, and nobody will at once when PostgreSQL is back.
                self._until = began + LENGTH_SECONDS
        except Exception as error:  # noqa: BLE001 - whatever it was, the next attempt may succeed
            # Others may have an answer where we have none, so what we know holds for its time and no longer.
            self._answering_since = inf
            ours = not isinstance(error, (DatabaseError, TimeoutError))
            _log.warning("no answer about who leads", cause=str(error) or type(error).__name__, exc_info=ours)
        else:
            # From before the question, since PostgreSQL dated the lease after that.
            self._until = began + LENGTH_SECONDS if holds else -inf
            self._answering_since = min(self._answering_since, self._clock())

    async def resign(self) -> None:
        """Lead no more, and give the lease up if PostgreSQL is there; else it runs out."""
        self._until = -inf
        try:
            await abandon_after(_PATIENCE_SECONDS, self._release())
        except (DatabaseError, TimeoutError) as error:
            _log.warning("the lease was not given up; the next leader waits until it has run out", cause=str(error))

    async def _acquire(self, *, take_over: bool) -> bool:
        # Not in a transaction: frozen before its end, a process would hold the lease's row for as long.
        async with self._database.autocommit() as connection:
            length = timedelta(seconds=LENGTH_SECONDS)
            return await leases.acquire(connection, _LEASE, self._holder, length, take_over=take_over)

    async def _release(self) -> None:
        async with self._database.autocommit() as connection:
            await leases.release(connection, _LEASE, self._holder)

    def _say(self) -> None:
        if self.leads != self._said:
            self._said = not self._said
            _log.info("leading: the figures are exported here" if self._said else "not leading")


async def _wait(ending: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ending.wait()
    except TimeoutError:
        return

"""Open connections: bounds on their number, and on how long each may wait for its client."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from service.api.http.occasional_log import OccasionalLog

_TICK_SECONDS = 1.0


class Connection(Protocol):
    """A connection of a client."""

    def give_up(self) -> None:
        """Act on a client that let a deadline pass."""

    def abort(self) -> None:
        """Close the connection at once, without an answer."""


class Connections:
    """Limits the number of open connections, and ends those that wait too long for their client.

    A connection waits while the next step is the client's: to send the rest of a request or the next one, or to read an
    answer. Honest clients rarely take longer than a round trip. So a new connection that exceeds the limit replaces the
    connection that has waited longest, and is refused only if no connection waits.

    Args:
        most: how many connections may be open.
        most_descriptors: the number of file descriptors at which the process counts as full, whatever uses them.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, most: int, most_descriptors: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._most_descriptors = most_descriptors
        self._open: set[Connection] = set()
        # Each connection that waits, with the tick of its deadline; the connection that has waited longest comes first.
        self._waiting: dict[Connection, float] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._full = OccasionalLog("too many connections", "warning", clock)
        self.refused = OccasionalLog("refused malformed requests", "info", clock)
        """The log of the requests that break the rules or bounds of HTTP."""

    @property
    def number(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def admit(self, connection: Connection, descriptor: int) -> bool:
        """Add a new connection, if there is room or another one can make room.

        Args:
            descriptor: the number of the connection's file descriptor. The system hands out the lowest free number, so
                this number shows how many descriptors the process uses.
        """
        if (len(self._open) >= self._most or descriptor >= self._most_descriptors) and not self._make_room():
            self._full.record("new connections refused, because every open connection awaited its answer")
            return False
        self._open.add(connection)
        if self._timer is None:
            self._schedule()
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def wait(self, connection: Connection, seconds: float) -> None:
        """Record that a connection waits for its client from now on, for at most this long."""
        if connection in self._open:
            self._waiting.pop(connection, None)
            self._waiting[connection] = self._ticks + seconds / _TICK_SECONDS

    def set_deadline(self, connection: Connection, seconds: float) -> None:
        """Set another deadline for a connection, but do not forget since when it has waited."""
        if connection in self._waiting:
            self._waiting[connection] = self._ticks + seconds / _TICK_SECONDS

    def stop_waiting(self, connection: Connection) -> None:
        """Remove the deadline of a connection, because its client has done its part."""
        self._waiting.pop(connection, None)

    def _make_room(self) -> bool:
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self._full.record("connections closed that had waited longest for their client")
        self.remove(longest)
        longest.abort()
        return True

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """Give up the connections whose deadline has passed.

        One timer serves all connections, because a timer for each request would cost more than its parsing.
        """
        self._ticks += 1
        for connection in [one for one, deadline in self._waiting.items() if deadline < self._ticks]:
            connection.give_up()
        self._timer = None
        self._full.flush()
        self.refused.flush()
        if self._open or self._full.pending or self.refused.pending:
            self._schedule()

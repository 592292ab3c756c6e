"""Delivery latency: the time from the receipt of a delivery until the exported metrics contain it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from service.storage import progress
from service.storage.database import Connection, Database, abandon_after
from service.storage.errors import DatabaseError
from service.storage.progress import CountedDelivery
from service.telemetry import Telemetry

_LIMIT = 10_000
_PATIENCE_SECONDS = 2.0
# A worker dates a verdict by its own clock, and commits the verdict later. Each query therefore reads the last part of
# the previous query's period again, to find verdicts that were committed meanwhile.
_OVERLAP = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


class DeliveryLatency:
    """Measures the latency of deliveries that get the verdict *counted* after the first call of `find_projected`.

    A delivery is projected once none of the subjects that it names is dirty. Under heavy load, the latency of some
    deliveries is not measured.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._since: datetime | None = None
        self._seen: dict[UUID, datetime] = {}
        """Deliveries that the next query omits because an earlier query read them, and when each was interpreted."""
        self._unprojected: dict[UUID, datetime] = {}
        self._projected: list[datetime] = []

    async def find_projected(self, database: Database, now: datetime) -> None:
        """Find the deliveries that will be part of a snapshot taken after this call.

        If PostgreSQL does not answer in time, the next call finds these deliveries.
        """
        since = self._since = self._since or now
        try:
            new, dirty = await abandon_after(_PATIENCE_SECONDS, self._read(database, since))
        except (DatabaseError, TimeoutError) as error:
            _log.debug("delivery latency not measured", cause=str(error))
            return
        self._advance(new, now)
        received = self._unprojected | {delivery.id: delivery.received_at for delivery in new}
        self._projected += [at for delivery, at in received.items() if delivery not in dirty]
        # Limit the list, which grows while snapshots fail.
        del self._projected[:-_LIMIT]
        unprojected = [(delivery, at) for delivery, at in received.items() if delivery in dirty]
        self._unprojected = dict(unprojected[-_LIMIT:])

    def observe_exported(self, now: datetime) -> None:
        """Record the latency of the deliveries in the snapshot that is exported now."""
        for received_at in self._projected:
            # The difference may be negative: the clock of the machine that received the delivery may be ahead.
            self._telemetry.observe_visible(max(0.0, (now - received_at).total_seconds()))
        self._projected.clear()

    async def _read(self, database: Database, since: datetime) -> tuple[list[CountedDelivery], set[UUID]]:
        """Read the newly counted deliveries, and the ids of the deliveries that are not projected yet.

        The ids are selected from the newly counted deliveries and `_unprojected`.
        """
        async with database.transaction() as connection:
            new = list(await progress.list_counted(connection, since, self._seen, _LIMIT))
            return new, await self._select_unprojected(connection, new)

    async def _select_unprojected(self, connection: Connection, new: Iterable[CountedDelivery]) -> set[UUID]:
        deliveries = [*self._unprojected, *(delivery.id for delivery in new)]
        return await progress.select_unprojected(connection, deliveries) if deliveries else set()

    def _advance(self, new: list[CountedDelivery], now: datetime) -> None:
        """Advance the start of the next query, and remember the deliveries that the next query would find again."""
        interpreted = self._seen | {delivery.id: delivery.interpreted_at for delivery in new}
        seen = sorted(interpreted.items(), key=lambda delivery: delivery[1])
        read_until = new[-1].interpreted_at if len(new) == _LIMIT else now
        horizon = max(read_until - _OVERLAP, *(at for _, at in seen[:-_LIMIT][-1:]), self._since or read_until)
        self._since = horizon
        self._seen = {delivery: at for delivery, at in seen if at > horizon}

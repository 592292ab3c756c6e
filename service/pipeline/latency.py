"""Visibility: how long it takes from the receipt of a delivery until all that it says is in the exported figures."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from service.storage import progress
from service.storage.database import Connection, Database, abandon_after
from service.storage.errors import DatabaseError
from service.storage.progress import CountedDelivery
from service.telemetry import Telemetry

_MOST = 10_000
_PATIENCE_SECONDS = 2.0
# A verdict is dated before it is committed, by the clock of the worker that came to it.
_OVERLAP = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


class DeliveryLatency:
    """Times the counted deliveries on their way into the figures, from the first question on: no history is timed.

    A delivery is on its way as long as a subject that it names is touched. Where more come than can be asked about, the
    rest is not timed.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._since: datetime | None = None
        self._seen: dict[UUID, datetime] = {}
        """The deliveries interpreted after `since` that are known already, by when they were."""
        self._waiting: dict[UUID, datetime] = {}
        self._fresh: list[datetime] = []

    async def fresh(self, database: Database, now: datetime) -> None:
        """See which deliveries will be in a snapshot that is taken after this.

        Where PostgreSQL does not tell, the snapshot need not wait: the next time is soon.
        """
        since = self._since = self._since or now
        try:
            news, touched = await abandon_after(_PATIENCE_SECONDS, self._ask(database, since))
        except (DatabaseError, TimeoutError) as error:
            _log.debug("deliveries on their way are not seen", cause=str(error))
            return
        self._remember(news, now)
        on_their_way = self._waiting | {one.id: one.received_at for one in news}
        self._fresh += [at for delivery, at in on_their_way.items() if delivery not in touched]
        # No snapshot may have come of the questions before.
        del self._fresh[:-_MOST]
        still = [(delivery, at) for delivery, at in on_their_way.items() if delivery in touched]
        self._waiting = dict(still[-_MOST:])

    def shown(self, now: datetime) -> None:
        """Tell of the deliveries that the snapshot holds which is exported now."""
        for received_at in self._fresh:
            # Another machine's clock may be ahead.
            self._telemetry.observe_visible(max(0.0, (now - received_at).total_seconds()))
        self._fresh.clear()

    async def _ask(self, database: Database, since: datetime) -> tuple[list[CountedDelivery], set[UUID]]:
        async with database.transaction() as connection:
            news = list(await progress.list_counted(connection, since, self._seen, _MOST))
            return news, await self._unprojected(connection, news)

    async def _unprojected(self, connection: Connection, news: Iterable[CountedDelivery]) -> set[UUID]:
        named = [*self._waiting, *(one.id for one in news)]
        return await progress.select_unprojected(connection, named) if named else set()

    def _remember(self, news: list[CountedDelivery], now: datetime) -> None:
        """Move on, and keep in mind what the next question would find once more."""
        seen = sorted((self._seen | {one.id: one.interpreted_at for one in news}).items(), key=lambda one: one[1])
        asked_until = news[-1].interpreted_at if len(news) == _MOST else now
        horizon = max(asked_until - _OVERLAP, *(at for _, at in seen[:-_MOST][-1:]), self._since or asked_until)
        self._since = horizon
        self._seen = {delivery: at for delivery, at in seen if at > horizon}

"""The contents of a database after a trial, and after the same deliveries without faults."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.storage import inbox, inbox_listing
from service.storage.database import Database
from tests.support.road import all_experiments, deliver, exported_samples
from tests.system.faults.stories import AFTERWARDS, Told

_PAGE = 500
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)
_QUIET = "quiet"
_BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class State:
    """The part of a database's contents that does not depend on when and in which order deliveries arrive."""

    deliveries: Sequence[Delivery]
    facts: Mapping[str, object]
    """Experiments, metrics, verdicts, events and links, each under a readable name, such as `verdict on …`."""
    failed: Sequence[str]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open a database until the context ends."""
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def quiet_run(url: str, told: Sequence[Told]) -> State:
    """Process each delivery once, in order and without faults, in a second database. Return its contents."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {_QUIET} TEMPLATE template0")
        # No fault hits this database, so its commits need not wait for the disk.
        await connection.execute(f"ALTER DATABASE {_QUIET} SET synchronous_commit TO off")
    finally:
        await connection.close()
    quiet = url.replace("/postgres?", f"/{_QUIET}?")
    async with opened(quiet) as database:
        await database.migrate()
        await deliver(database, *told)
    return await read_state(quiet)


_TOLD = {
    "event": text("SELECT subject, kind, occurred_at, data FROM events"),
    "provenance": text("SELECT subject, event_id, delivery_id, rule FROM event_deliveries"),
    "link": text("SELECT evidence, channel, stated_by, targets, stated_at FROM links"),
}


async def read_state(url: str) -> State:
    """Read the contents of a database."""
    async with opened(url) as database:
        deliveries = await _all_deliveries(database)
        rows = await _all_rows(database)
        facts: dict[str, object] = {f"verdict on {row.id}": (row.verdict, row.reason) for row in rows}
        facts |= {f"experiment {root}": one for root, one in (await all_experiments(database)).items()}
        shown = await exported_samples(database, AFTERWARDS)
        facts |= {f"figure {' '.join(name)}": value for name, value in shown.items() if "duration" not in name[0]}
        async with database.transaction() as connection:
            for kind, query in _TOLD.items():
                told = Counter(str(tuple(row)) for row in await connection.execute(query))
                facts |= {f"{kind} {one}": number for one, number in told.items()}
    return State(deliveries, facts, [f"{row.id}: {row.reason}" for row in rows if row.verdict == "failed"])


async def _all_deliveries(database: Database) -> list[Delivery]:
    found: list[Delivery] = []
    after = _BEGINNING
    async with database.transaction() as connection:
        while page := await inbox.replayable(connection, after, _LATEST, _PAGE):
            found += page
            after = (page[-1].received_at, page[-1].id)
    return found


async def _all_rows(database: Database) -> list[inbox_listing.InboxRow]:
    async with database.transaction() as connection:
        found, cursor = await inbox_listing.read_page(connection, limit=_PAGE)
        while cursor is not None:
            more, cursor = await inbox_listing.read_page(connection, limit=_PAGE, cursor=cursor)
            found += more
    return found

"""The metrics show the backlog of the last measurement; if that measurement failed, they omit the backlog."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_pending
from service.runtime.backlog import BacklogMonitor
from service.storage import dirty_subjects
from service.storage.database import Database
from service.telemetry import Telemetry
from tests.support.builders import Issue, at, github
from tests.support.outage import line_to, until
from tests.support.road import RULES, store_deliveries

BACKLOG = (
    "inbox_pending",
    "inbox_oldest_pending_seconds",
    "inbox_failed",
    "projection_pending",
    "projection_set_aside",
)


def _monitor(database: Database, telemetry: Telemetry, sources: Sequence[str] = ()) -> BacklogMonitor:
    return BacklogMonitor(database, telemetry, sources, timedelta(seconds=0.05), lambda: at(9))


def _shown(telemetry: Telemetry) -> list[float | None]:
    return [telemetry.registry.get_sample_value(f"loopgauge_{name}") for name in BACKLOG]


def _last(telemetry: Telemetry, source: str) -> float | None:
    return telemetry.registry.get_sample_value("loopgauge_source_last_delivery_timestamp_seconds", {"source": source})


@asynccontextmanager
async def _running(monitor: BacklogMonitor) -> AsyncIterator[None]:
    monitor.start()
    try:
        yield
    finally:
        await monitor.stop()


async def test_an_empty_backlog_is_zero(database: Database) -> None:
    telemetry = Telemetry([])
    await _monitor(database, telemetry).measure()
    assert _shown(telemetry) == [0, 0, 0, 0, 0]


async def test_pending_deliveries_are_counted_and_the_oldest_one_gives_the_age(database: Database) -> None:
    telemetry = Telemetry([])
    await store_deliveries(
        database, github("issues", b"{").delivery(at(1)), Issue(created_at=at(1)).opened().delivery(at(1))
    )
    await interpret_pending(database, RULES, telemetry, lambda: at(1))
    await store_deliveries(
        database, *(Issue(number=day, created_at=at(2)).opened().delivery(at(day)) for day in (8, 7, 6))
    )
    await _monitor(database, telemetry).measure()
    # The oldest of the three pending deliveries is from the 6th of March, three days ago. One delivery has failed. One
    # subject is dirty: the issue of the delivery that has been interpreted.
    assert _shown(telemetry) == [3, 3 * 86400, 1, 1, 0]


async def test_subjects_that_are_set_aside_count_as_pending_and_as_set_aside(database: Database) -> None:
    telemetry = Telemetry([])
    async with database.transaction() as connection:
        await dirty_subjects.mark_dirty(connection, [Ref("jira:ML-12")])
        assert await dirty_subjects.begin_attempt(connection, at(8)) is not None
    await _monitor(database, telemetry).measure()
    assert _shown(telemetry) == [0, 0, 0, 1, 1]


async def test_a_delivery_dated_in_the_future_has_the_age_zero(database: Database) -> None:
    telemetry = Telemetry([])
    await store_deliveries(database, Issue(created_at=at(2)).opened().delivery(at(10)))
    await _monitor(database, telemetry).measure()
    assert _shown(telemetry) == [1, 0, 0, 0, 0]


async def test_the_backlog_is_hidden_while_the_database_is_away_and_shown_again_afterwards(
    database_url: str,
) -> None:
    telemetry = Telemetry([])
    async with line_to(database_url) as line:
        far = Database(line.url, timeout=0.5)
        async with _running(_monitor(far, telemetry)):

            async def shown() -> bool:
                return _shown(telemetry) == [0, 0, 0, 0, 0]

            async def absent() -> bool:
                return _shown(telemetry) == [None] * 5

            await until(shown)
            await line.cut()
            await until(absent)
            await line.mend()
            await until(shown)
        await far.close()


async def test_a_measurement_is_abandoned_when_postgresql_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry([])
    monitor = _monitor(database, telemetry)
    await monitor.measure()
    async with database.transaction() as connection:
        await connection.execute(text("LOCK TABLE touched IN ACCESS EXCLUSIVE MODE"))
        with monkeypatch.context() as impatient:
            impatient.setattr("service.runtime.backlog._PATIENCE_SECONDS", 0.3)
            await monitor.measure()
        assert _shown(telemetry) == [None] * 5
    await monitor.measure()
    assert _shown(telemetry) == [0, 0, 0, 0, 0]


def _from(source: str, received_at: datetime) -> Delivery:
    return github("ping", {"at": received_at.isoformat()}).delivery(received_at, source)


@pytest.mark.parametrize("stretch", [1, 2, 3, 20_000])
async def test_the_last_delivery_of_each_source_is_read_from_the_inbox(
    database: Database, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr("service.runtime.backlog._PAGE", stretch)
    monkeypatch.setattr("service.runtime.backlog._SPACING_SECONDS", 0)
    await store_deliveries(
        database,
        _from("github", at(2)),
        *(_from("jira", at(day)) for day in (3, 4)),
        # The next two deliveries have the same time. If a page ends between them, only their ids tell which of them
        # has been read.
        _from("forgotten", at(5)),
        _from("github", at(5)),
    )
    telemetry = Telemetry(["github", "jira", "silent"])
    async with _running(_monitor(database, telemetry, ["github", "jira", "silent"])):

        async def heard() -> bool:
            return None not in {_last(telemetry, "github"), _last(telemetry, "jira")}

        await until(heard)
    assert _last(telemetry, "github") == at(5).timestamp()
    assert _last(telemetry, "jira") == at(4).timestamp()
    assert _last(telemetry, "silent") is None


async def test_only_a_limited_number_of_pages_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.runtime.backlog._PAGE", 1)
    monkeypatch.setattr("service.runtime.backlog._PAGES", 2)
    monkeypatch.setattr("service.runtime.backlog._SPACING_SECONDS", 0)
    await store_deliveries(
        database, *(_from(source, at(day)) for day, source in enumerate(["one", "two", "three"], start=2))
    )
    telemetry = Telemetry(["one", "two", "three"])
    async with _running(_monitor(database, telemetry, ["one", "two", "three"])):

        async def heard() -> bool:
            return _last(telemetry, "two") is not None

        await until(heard)
        await asyncio.sleep(0.1)
    assert _last(telemetry, "three") == at(4).timestamp()
    assert _last(telemetry, "one") is None


async def test_a_delivery_received_since_the_start_counts_as_newer_than_those_in_the_inbox(database: Database) -> None:
    await store_deliveries(database, _from("github", at(2)), _from("jira", at(2)))
    telemetry = Telemetry(["github", "jira"])
    telemetry.record_last_delivery("github", at(8))
    async with _running(_monitor(database, telemetry, ["github", "jira"])):

        async def heard() -> bool:
            return _last(telemetry, "jira") is not None

        await until(heard)
    assert _last(telemetry, "github") == at(8).timestamp()


async def test_after_a_start_without_postgresql_the_inbox_is_read_when_postgresql_is_back(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtime.backlog._RETRY_SECONDS", 0.05)
    await store_deliveries(database, _from("github", at(2)))
    telemetry = Telemetry(["github"])
    async with line_to(database_url) as line:
        await line.cut()
        far = Database(line.url, timeout=0.5)
        async with _running(_monitor(far, telemetry, ["github"])):
            await asyncio.sleep(0.2)
            assert _last(telemetry, "github") is None
            await line.mend()

            async def heard() -> bool:
                return _last(telemetry, "github") is not None

            await until(heard)
        await far.close()

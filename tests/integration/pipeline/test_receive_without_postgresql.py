"""While PostgreSQL is down, deliveries go to the spool.

After PostgreSQL returns, each delivery is in the inbox exactly once.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from service.deliveries.delivery import Delivery
from service.pipeline.clock_check import ClockInDoubt
from service.pipeline.receive import DeliveryWriter
from service.pipeline.spool_retention import SpoolRetention
from service.storage import inbox_writer
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from service.storage.spool import FILE, Spool
from service.telemetry import Telemetry
from tests.support.builders import at, github
from tests.support.outage import Line, line_to, until
from tests.support.waiting import PATIENCE_SECONDS

_ANY = github("ping", b"{}").delivery(at(2))
# PostgreSQL rejects text with a NUL character.
_POISON = replace(_ANY, provider_id="\0")
# The seconds that the `DeliveryWriter` of a test waits for PostgreSQL before it spools a batch. `_PATIENCE` is long,
# because PostgreSQL may be slow on a busy machine. Tests in which PostgreSQL cannot answer use `_LITTLE_PATIENCE`.
_PATIENCE = 60.0
_LITTLE_PATIENCE = 0.3
# Long enough to send a delivery to PostgreSQL, but still a short wait for a test in which no answer ever arrives.
_SOME_PATIENCE = 5.0


class _RecordedTelemetry(Telemetry):
    """Telemetry that records two metrics in lists instead of exporting them, so that a test can compare all values.

    The two metrics are the number of deliveries in the spool, and the time of each source's last delivery.
    """

    def __init__(self) -> None:
        super().__init__(["github"])
        self.spool_pending: list[int] = []
        self.last_deliveries: list[tuple[str, datetime]] = []

    def set_spool_pending(self, deliveries: int) -> None:
        self.spool_pending.append(deliveries)

    def record_last_delivery(self, source: str, received_at: datetime) -> None:
        self.last_deliveries.append((source, received_at))


def _numbered(*numbers: int) -> list[Delivery]:
    return [replace(_ANY, provider_id=str(number)) for number in numbers]


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    async with line_to(database_url) as made:
        yield made


@pytest.fixture
async def far(line: Line) -> AsyncIterator[Database]:
    """The database, reached through the proxy `line`."""
    opened = Database(line.url, pool_size=5)
    yield opened
    await line.mend()
    await opened.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


@asynccontextmanager
async def _receiving(
    far: Database, spool: Spool | None, telemetry: Telemetry | None = None, patience: float = _PATIENCE
) -> AsyncIterator[DeliveryWriter]:
    receiver = DeliveryWriter(far, telemetry or Telemetry(["github"]), spool, patience=patience)
    receiver.start()
    try:
        # Fail the test instead of hanging.
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield receiver
    finally:
        await receiver.stop()


async def _inbox(database: Database) -> list[str]:
    """The numbers of the deliveries in the inbox: transaction by transaction, and ascending within each."""
    query = "SELECT provider_id FROM deliveries ORDER BY xmin::text::bigint, provider_id::integer"
    async with database.transaction() as connection:
        return list(await connection.scalars(text(query)))


async def _all_in(receiver: DeliveryWriter, spool: Spool, *, but: int = 0) -> None:
    async def empty() -> bool:
        return await asyncio.to_thread(spool.count) == but and not receiver.spools

    await until(empty)


async def test_deliveries_are_spooled_when_the_connection_is_cut(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    telemetry = _RecordedTelemetry()
    async with _receiving(far, spool, telemetry) as receiver:
        assert await receiver.store_all(_numbered(1)) == ["stored"]
        await line.cut()
        assert not receiver.spools
        answers = await asyncio.gather(*(receiver.store(one) for one in _numbered(*range(2, 102))))
        assert answers == ["spooled"] * 100
        assert receiver.spools
        assert spool.read_oldest(200) == _numbered(*range(2, 102))
    assert await _inbox(database) == ["1"]
    assert telemetry.spool_pending[-1] == 100


async def test_deliveries_are_spooled_when_a_frozen_postgresql_does_not_answer_in_time(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool, patience=_LITTLE_PATIENCE) as receiver:
        await receiver.store_all(_numbered(1))
        await _all_in(receiver, spool)
        line.freeze()
        assert await receiver.store_all(_numbered(2, 3)) == ["spooled", "spooled"]
        assert await receiver.store_all(_numbered(3, 4)) == ["duplicate", "spooled"]
        await line.mend()
        await _all_in(receiver, spool)
    assert sorted(await _inbox(database)) == ["1", "2", "3", "4"]


async def test_while_a_table_is_locked_only_the_first_delivery_waits_before_it_is_spooled(
    far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool, patience=_LITTLE_PATIENCE) as receiver:
        async with database.transaction() as connection:
            await connection.execute(text("LOCK TABLE deliveries"))
            for number in range(10):
                assert await receiver.store_all(_numbered(number)) == ["spooled"]
                # PostgreSQL runs, but nothing can be written to the locked table, so deliveries still go to the spool.
                await asyncio.sleep(0.02)
                assert receiver.spools
        await _all_in(receiver, spool)
    assert await _inbox(database) == [str(number) for number in range(10)]


async def test_after_an_outage_spooled_deliveries_move_once_and_oldest_first_while_new_ones_go_to_the_inbox(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    telemetry = _RecordedTelemetry()
    async with _receiving(far, spool, telemetry) as receiver:
        await line.cut()
        for start in range(0, 1000, 100):
            assert set(await receiver.store_all(_numbered(*range(start, start + 100)))) == {"spooled"}
        await line.mend()
        new = 1000
        straight = 0
        while straight < 20:
            [where] = await receiver.store_all(_numbered(new))
            straight += where == "stored"
            new += 1
        await _all_in(receiver, spool)
    came = await _inbox(database)
    assert sorted(map(int, came)) == list(range(new))
    assert [number for number in map(int, came) if number < 1000] == list(range(1000))
    assert telemetry.spool_pending[-1] == 0


async def test_a_delivery_whose_answer_was_lost_is_stored_once(
    request: pytest.FixtureRequest, line: Line, far: Database, database: Database, spool: Spool
) -> None:
    if request.config.getoption("--pgbouncer"):
        pytest.skip("behind a pooler, the service sends the commit only after the answer, which is lost here")
    async with _receiving(far, spool, patience=_SOME_PATIENCE) as receiver:
        # The proxy forwards the request with the delivery's headers, so PostgreSQL stores the delivery, but the proxy
        # forwards no answer from then on.
        line.freeze_after(b"x-github-event")
        assert await receiver.store_all(_numbered(1)) == ["spooled"]

        async def stored() -> bool:
            return await _inbox(database) == ["1"]

        await until(stored)
        assert spool.read_oldest(10) == _numbered(1)
        await line.mend()
        await _all_in(receiver, spool)
        assert await receiver.store_all(_numbered(1, 2)) == ["duplicate", "stored"]
    assert await _inbox(database) == ["1", "2"]


async def test_an_idle_connection_dropped_by_a_firewall_costs_no_delivery(
    line: Line, far: Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_writer, "_IDLE_SECONDS", 0.05)
    receiver = DeliveryWriter(far, Telemetry([]))
    receiver.start()
    before, after = _numbered(*range(1, 5)), _numbered(*range(5, 9))
    # The two tasks that write batches alternate, so after four deliveries each of them has an open connection, which
    # `line.forget` then drops.
    assert [await receiver.store(delivery) for delivery in before] == ["stored"] * 4
    await asyncio.sleep(0.1)
    line.forget()
    assert [await receiver.store(delivery) for delivery in after] == ["stored"] * 4
    await receiver.stop()
    assert await _inbox(database) == [delivery.provider_id for delivery in (*before, *after)]


async def test_duplicates_are_detected_in_the_inbox_and_in_the_spool(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool) as receiver:
        assert await receiver.store_all(_numbered(1)) == ["stored"]
        await line.cut()
        # Only the spool can be searched for duplicates now, and it does not have delivery 1 yet.
        assert await receiver.store_all(_numbered(1, 2, 2)) == ["spooled", "spooled", "duplicate"]
        assert await receiver.store_all(_numbered(1, 2)) == ["duplicate", "duplicate"]
        await line.mend()
        await _all_in(receiver, spool)
        assert await receiver.store_all(_numbered(1, 2)) == ["duplicate", "duplicate"]
    assert await _inbox(database) == ["1", "2"]


async def test_spooled_deliveries_of_an_earlier_process_move_to_the_inbox_at_the_start(
    far: Database, database: Database, tmp_path: Path
) -> None:
    earlier = Spool(tmp_path)
    earlier.add(_numbered(*range(600)))
    earlier.close()
    telemetry = _RecordedTelemetry()
    spool = Spool(tmp_path)
    async with _receiving(far, spool, telemetry) as receiver:
        await _all_in(receiver, spool)
    assert await _inbox(database) == [str(number) for number in range(600)]
    # `spool_pending` never rises while the spool drains.
    assert telemetry.spool_pending == sorted(telemetry.spool_pending, reverse=True)
    assert (telemetry.spool_pending[0], telemetry.spool_pending[-1]) == (600, 0)


async def test_a_short_outage_leaves_nothing_in_the_spool(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool) as receiver:
        for number in range(15):
            await line.cut()
            storing = asyncio.create_task(receiver.store_all(_numbered(number)))
            # PostgreSQL returns while the delivery is being spooled, a little later in each round.
            await asyncio.sleep(number / 1500)
            await line.mend()
            assert (await storing)[0] in ("stored", "spooled")
            await _all_in(receiver, spool)
    assert await _inbox(database) == [str(number) for number in range(15)]


async def test_deliveries_are_refused_until_postgresql_is_back_if_there_is_no_spool(
    line: Line, far: Database, database: Database
) -> None:
    async with _receiving(far, None) as receiver:
        await line.cut()
        with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
            await receiver.store_all(_numbered(1))
        await line.mend()
        assert await receiver.store_all(_numbered(1)) == ["stored"]
    assert await _inbox(database) == ["1"]


async def test_with_neither_postgresql_nor_spool_the_refusal_names_both_causes(
    line: Line, far: Database, database: Database, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be taken for one" * 100)
    async with _receiving(far, Spool(tmp_path)) as receiver:
        await line.cut()
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match=f"PostgreSQL is .*; the spool {tmp_path / FILE} cannot be"):
                await receiver.store_all(_numbered(1))
        await line.mend()

        async def back() -> bool:
            return not receiver.spools

        # The file of the spool is still unusable, but deliveries can go to the inbox again.
        await until(back)
        assert await receiver.store_all(_numbered(1)) == ["stored"]
        await line.cut()
        (tmp_path / FILE).unlink()
        assert await receiver.store_all(_numbered(2)) == ["spooled"]
    assert await _inbox(database) == ["1"]


async def test_a_broken_file_of_the_spool_is_reported_once_as_a_warning(far: Database, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be taken for one" * 100)
    with capture_logs() as logged:
        async with _receiving(far, Spool(tmp_path)):

            async def reported() -> bool:
                return any(str(tmp_path / FILE) in line.get("cause", "") for line in logged)

            await until(reported)
            # The next attempts fail for the same reason.
            await asyncio.sleep(1.5)
    (warning,) = [line for line in logged if line["log_level"] == "warning"]
    assert "file is not a database" in warning["cause"]


async def test_the_quarantined_deliveries_of_the_spool_end_with_the_retention_of_bodies(
    database: Database, spool: Spool
) -> None:
    spool.add(_numbered(1, 2))
    spool.quarantine(_numbered(1)[0].id, "refused")
    retention = datetime.now(UTC) - _ANY.received_at - timedelta(hours=1)
    right = SpoolRetention(database, spool, retention, lambda: datetime.now(UTC))
    wrong = SpoolRetention(database, spool, timedelta(days=1), lambda: datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(ClockInDoubt):
        await wrong.delete_expired()
    assert spool.count() == 2
    assert await right.delete_expired() == 1
    assert spool.read_oldest(10) == _numbered(2)


async def test_a_spooled_delivery_that_the_inbox_rejects_is_quarantined_and_stops_no_other(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool) as receiver:
        await line.cut()
        batch = [*_numbered(1, 2), _POISON, *_numbered(3)]
        assert await receiver.store_all(batch) == ["spooled"] * 4
        await line.mend()
        await _all_in(receiver, spool, but=1)
        await line.cut()
        assert await receiver.store_all([*_numbered(4), _POISON]) == ["spooled", "duplicate"]
        await line.mend()
        await _all_in(receiver, spool, but=1)
    assert await _inbox(database) == ["1", "2", "3", "4"]
    assert spool.read_oldest(10) == []


async def test_a_sender_that_disconnects_during_an_outage_does_not_affect_others(
    line: Line, far: Database, spool: Spool
) -> None:
    async with _receiving(far, spool, patience=_LITTLE_PATIENCE) as receiver:
        line.freeze()
        gone, stays = (asyncio.create_task(receiver.store_all(_numbered(number))) for number in (1, 2))
        await asyncio.sleep(0.05)
        gone.cancel()
        assert await stays == ["spooled"]
        assert spool.read_oldest(10) == _numbered(2)


async def test_the_writer_spools_arrived_deliveries_for_the_next_process_when_it_stops(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    await line.cut()
    receiver = DeliveryWriter(far, Telemetry([]), spool, patience=_PATIENCE)
    receiver.start()
    waiting = [asyncio.create_task(receiver.store(one)) for one in _numbered(*range(50))]
    await asyncio.sleep(0)
    await receiver.stop()
    assert [await answer for answer in waiting] == ["spooled"] * 50
    assert spool.read_oldest(100) == _numbered(*range(50))
    assert await _inbox(database) == []


async def test_stopping_with_a_deadline_fails_deliveries_that_a_frozen_postgresql_has_not_stored(
    far: Database, line: Line
) -> None:
    receiver = DeliveryWriter(far, Telemetry([]), patience=_PATIENCE)
    receiver.start()
    await receiver.store(_ANY)
    line.freeze()
    storing = [asyncio.create_task(receiver.store(delivery)) for delivery in _numbered(1, 2, 3)]
    await asyncio.sleep(0)
    await receiver.stop(_LITTLE_PATIENCE)
    for stored in await asyncio.gather(*storing, return_exceptions=True):
        assert isinstance(stored, DatabaseUnavailable)


async def test_the_writer_moves_the_spool_to_the_inbox_when_it_stops(
    line: Line, far: Database, database: Database, spool: Spool
) -> None:
    async with _receiving(far, spool) as receiver:
        await line.cut()
        await receiver.store_all(_numbered(*range(700)))
        await line.mend()
    assert await _inbox(database) == [str(number) for number in range(700)]
    assert spool.count() == 0


async def test_new_deliveries_are_refused_while_too_many_deliveries_wait(far: Database, spool: Spool) -> None:
    large = [replace(one, body=bytes(12_000_000)) for one in _numbered(*range(10))]
    async with _receiving(far, spool) as receiver:
        answers = await asyncio.gather(*(receiver.store(one) for one in large), return_exceptions=True)
        assert answers[:5] == ["stored"] * 5
        assert {type(answer) for answer in answers[5:]} == {DatabaseUnavailable}
        assert str(answers[5]) == "too many deliveries wait to be stored"
        assert await receiver.store_all(large[5:]) == ["stored"] * 5


async def test_a_delivery_larger_than_the_limit_is_admitted_alone(far: Database) -> None:
    async with _receiving(far, None) as receiver:
        huge = replace(_ANY, body=bytes(65 * 1024 * 1024))
        assert await receiver.store(huge) == "stored"


async def test_deliveries_of_another_process_in_the_same_spool_file_move_to_the_inbox_too(
    far: Database, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.pipeline.spool_drain._POLL_SECONDS", 0.05)
    async with _receiving(far, Spool(tmp_path)):
        gone = Spool(tmp_path)
        gone.add(_numbered(1, 2))
        gone.close()

        async def there() -> bool:
            return await _inbox(database) == ["1", "2"]

        await until(there)


async def test_the_size_of_the_spool_is_shown_while_postgresql_is_away(
    line: Line, far: Database, tmp_path: Path
) -> None:
    Spool(tmp_path).add(_numbered(1, 2, 3))
    await line.cut()
    telemetry = _RecordedTelemetry()
    async with _receiving(far, Spool(tmp_path), telemetry):

        async def told() -> bool:
            return telemetry.spool_pending[-1:] == [3]

        await until(told)


async def test_with_spooling_off_spooled_deliveries_move_to_the_inbox_and_new_ones_are_refused(
    line: Line, far: Database, database: Database, tmp_path: Path
) -> None:
    Spool(tmp_path).add(_numbered(1))
    receiver = DeliveryWriter(far, Telemetry([]), Spool(tmp_path), spooling=False, patience=_PATIENCE)
    receiver.start()

    async def moved() -> bool:
        return await _inbox(database) == ["1"] and Spool(tmp_path).count() == 0

    await until(moved)
    await line.cut()
    with pytest.raises(DatabaseUnavailable):
        await receiver.store_all(_numbered(2))
    assert Spool(tmp_path).count() == 0
    await line.mend()
    await receiver.stop()


async def test_a_corrupt_spooled_delivery_keeps_no_other_from_the_inbox(
    line: Line, far: Database, database: Database, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    async with _receiving(far, spool) as receiver:
        await line.cut()
        await receiver.store_all(_numbered(1, 2, 3))
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            connection.execute("UPDATE spooled SET body = x'00112233' WHERE provider_id = '1'")
            connection.commit()
        await line.mend()
        await _all_in(receiver, spool, but=1)
        assert await receiver.store_all(_numbered(4)) == ["stored"]
    assert sorted(await _inbox(database)) == ["2", "3", "4"]


async def test_new_spooled_and_drained_deliveries_set_the_time_of_the_last_delivery(
    line: Line, far: Database, spool: Spool
) -> None:
    telemetry = _RecordedTelemetry()
    await asyncio.to_thread(spool.add, [replace(_ANY, received_at=at(1))])
    receiver = DeliveryWriter(far, telemetry, spool, patience=_PATIENCE)
    receiver.start()
    await _all_in(receiver, spool)
    assert telemetry.last_deliveries == [("github", at(1))]
    await line.cut()
    assert await receiver.store(replace(_ANY, provider_id="2", received_at=at(3))) == "spooled"
    assert telemetry.last_deliveries[1:] == [("github", at(3))]
    await receiver.stop()


async def test_the_log_says_what_remains_in_the_spool_and_what_has_moved(
    line: Line, far: Database, spool: Spool, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        await line.cut()
        async with _receiving(far, spool) as receiver:
            await receiver.store_all([*_numbered(1, 2), _POISON])
        await line.mend()
        async with _receiving(far, spool) as receiver:
            await _all_in(receiver, spool, but=1)
    told = [(entry["event"], entry["deliveries"], entry.get("spool")) for entry in logged if "deliveries" in entry]
    path = str(tmp_path / FILE)
    assert told == [
        ("deliveries remain in the spool", 3, path),
        ("deliveries wait in the spool", 3, path),
        ("deliveries moved from the spool to the queue", 2, None),
        ("deliveries remain in the spool", 1, path),
    ]


async def test_a_spool_that_stays_empty_is_not_logged(far: Database, spool: Spool) -> None:
    with structlog.testing.capture_logs() as logged:
        async with _receiving(far, spool) as receiver:
            await receiver.store_all(_numbered(1))
    assert logged == []

"""Deliveries that arrive together share a commit, and each delivery gets its own answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.pipeline.receive import DeliveryWriter
from service.storage import inbox, inbox_listing, inbox_writer
from service.storage.database import Database
from service.storage.errors import DatabaseRejected, DatabaseUnavailable
from service.telemetry import Telemetry
from tests.support.builders import at, github

_ANY = github("ping", b"{}").delivery(at(2))
_POISON = replace(_ANY, headers={"x": "\0"})


def _numbered(number: int) -> Delivery:
    return replace(_ANY, provider_id=str(number))


@asynccontextmanager
async def _receiving(database: Database) -> AsyncIterator[DeliveryWriter]:
    receiver = DeliveryWriter(database, Telemetry([]))
    receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def test_deliveries_that_arrive_together_share_commits(database: Database) -> None:
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*(receiver.store(_numbered(number)) for number in range(200)))
    assert set(answers) == {"stored"}
    async with database.transaction() as connection:
        # `xmin` is the id of the transaction that inserted the row.
        commits, rows = (
            await connection.execute(text("SELECT count(DISTINCT xmin::text), count(*) FROM deliveries"))
        ).one()
    assert rows == 200
    assert commits <= 3


async def test_one_of_two_copies_in_a_batch_is_stored_and_the_other_is_a_duplicate(database: Database) -> None:
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*(receiver.store(_ANY) for _ in range(5)))
    assert sorted(answers) == ["duplicate"] * 4 + ["stored"]


async def test_a_delivery_that_postgresql_rejects_fails_alone(database: Database) -> None:
    batch = [_numbered(1), _POISON, _numbered(2)]
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*(receiver.store(delivery) for delivery in batch), return_exceptions=True)
    assert (answers[0], answers[2]) == ("stored", "stored")
    assert isinstance(answers[1], DatabaseRejected)


async def test_a_large_batch_is_stored_in_parts(database: Database) -> None:
    large = [replace(_numbered(number), body=bytes(12_000_000)) for number in range(5)]
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*(receiver.store(delivery) for delivery in large))
    assert answers == ["stored"] * 5


async def _stored(database: Database) -> set[str]:
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, limit=2000)
    return {row.provider_id for row in rows}


async def _commits(database: Database) -> list[int]:
    """The number of rows that each transaction inserted, in ascending order."""
    async with database.transaction() as connection:
        rows = await connection.scalars(text("SELECT count(*) FROM deliveries GROUP BY xmin::text ORDER BY 1"))
    return list(rows)


async def test_deliveries_of_one_request_are_stored_in_one_commit_and_answered_in_their_order(
    database: Database,
) -> None:
    async with _receiving(database) as receiver:
        assert await receiver.store(_numbered(2)) == "stored"
        assert await receiver.store_all([_numbered(number) for number in (1, 2, 3)]) == [
            "stored",
            "duplicate",
            "stored",
        ]
    assert await _commits(database) == [1, 2]
    assert await _stored(database) == {"1", "2", "3"}


async def test_the_second_of_two_copies_in_one_request_is_a_duplicate(database: Database) -> None:
    async with _receiving(database) as receiver:
        answers = await receiver.store_all([_numbered(1), _numbered(2), _numbered(1), _numbered(1)])
    assert answers == ["stored", "stored", "duplicate", "duplicate"]
    assert await _stored(database) == {"1", "2"}


async def test_two_requests_with_the_same_deliveries_store_each_delivery_once(database: Database) -> None:
    async with _receiving(database) as receiver:
        first, second = await asyncio.gather(
            receiver.store_all([_numbered(1), _numbered(2)]), receiver.store_all([_numbered(2), _numbered(3)])
        )
    assert (first, second) == (["stored", "stored"], ["duplicate", "stored"])


async def test_a_request_with_a_delivery_that_postgresql_rejects_stores_no_delivery(database: Database) -> None:
    async with _receiving(database) as receiver:
        with pytest.raises(DatabaseRejected):
            await receiver.store_all([_numbered(1), _POISON, _numbered(2)])
        assert await _stored(database) == set()
        assert await receiver.store_all([_numbered(1), _numbered(2)]) == ["stored", "stored"]


async def test_a_request_that_fails_does_not_fail_others_in_its_batch(database: Database) -> None:
    requests = [
        [_numbered(1), _numbered(2)],
        [_numbered(3), _POISON],
        # The request above fails and stores nothing, so delivery 3 is new here.
        [_numbered(3), _numbered(4), _numbered(1)],
        [_POISON],
    ]
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*map(receiver.store_all, requests), return_exceptions=True)
    assert [answers[0], answers[2]] == [["stored", "stored"], ["stored", "stored", "duplicate"]]
    assert [type(answers[1]), type(answers[3])] == [DatabaseRejected, DatabaseRejected]
    assert await _stored(database) == {"1", "2", "3", "4"}


async def test_requests_of_many_deliveries_are_split_into_statements(database: Database) -> None:
    requests = [[_numbered(100 * number + place) for place in range(100)] for number in range(10)]
    async with _receiving(database) as receiver:
        answers = await asyncio.gather(*map(receiver.store_all, requests))
    assert answers == [["stored"] * 100] * 10
    assert await _commits(database) == [200] * 5


async def test_a_request_larger_than_a_batch_is_still_one_commit(database: Database) -> None:
    async with _receiving(database) as receiver:
        answers = await receiver.store_all([_numbered(number) for number in range(1000)])
    assert answers == ["stored"] * 1000
    assert await _commits(database) == [1000]


async def test_a_request_without_deliveries_has_no_answers(database: Database) -> None:
    async with _receiving(database) as receiver:
        assert await receiver.store_all([]) == []


async def test_without_a_database_no_delivery_of_a_request_is_stored(gone: Database) -> None:
    async with _receiving(gone) as receiver:
        with pytest.raises(DatabaseUnavailable):
            await receiver.store_all([_numbered(1), _numbered(2)])


async def test_stopping_stores_the_deliveries_that_have_arrived(database: Database) -> None:
    receiver = DeliveryWriter(database, Telemetry([]))
    receiver.start()
    waiting = [asyncio.create_task(receiver.store(_numbered(number))) for number in range(50)]
    await asyncio.sleep(0)
    await receiver.stop()
    assert [await answer for answer in waiting] == ["stored"] * 50
    async with database.transaction() as connection:
        assert len(await inbox.claim_pending(connection, 100)) == 50


async def test_a_sender_that_disconnects_does_not_affect_others_in_its_batch(database: Database) -> None:
    async with _receiving(database) as receiver:
        gone = asyncio.create_task(receiver.store(_numbered(1)))
        await asyncio.sleep(0)
        gone.cancel()
        assert await receiver.store(_numbered(2)) == "stored"


async def test_without_a_database_each_delivery_fails_and_the_next_one_is_tried(gone: Database) -> None:
    async with _receiving(gone) as receiver:
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await receiver.store(_ANY)


async def test_storing_is_abandoned_when_the_database_does_not_answer(database: Database) -> None:
    async with database.transaction() as connection, _receiving_briefly(database) as receiver:
        await connection.execute(text("LOCK TABLE deliveries"))
        with pytest.raises(DatabaseUnavailable, match="did not answer within"):
            await receiver.store(_ANY)
    async with _receiving(database) as receiver:
        assert await receiver.store(_ANY) == "stored"


@asynccontextmanager
async def _receiving_briefly(database: Database) -> AsyncIterator[DeliveryWriter]:
    receiver = DeliveryWriter(database, Telemetry([]), patience=0.2)
    receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def test_an_unexpected_error_fails_one_batch_and_not_later_ones(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _receiving(database) as receiver:
        with monkeypatch.context() as tripping:
            tripping.setattr(inbox_writer.InboxWriter, "store", lambda *_: 1 / 0)
            with pytest.raises(DatabaseUnavailable, match="a fault in loopgauge: ZeroDivisionError"):
                await receiver.store(_numbered(1))
        assert await receiver.store(_numbered(2)) == "stored"


async def test_a_writer_that_got_no_delivery_stops(database: Database) -> None:
    async with _receiving(database):
        pass

"""The inbox stores once, hands out to one, and keeps verdicts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.storage import inbox
from service.storage.database import Database
from service.storage.inbox import InvalidCursor, Settlement
from service.webhook import Delivery
from tests.builders import at, github

_ANY = github("ping", b'{"zen": "\xc3\xa9"}').delivery(at(2))


def _numbered(number: int, **changed: object) -> Delivery:
    delivery = replace(_ANY, provider_id=f"delivery-{number}", received_at=at(2) + timedelta(seconds=number))
    return replace(delivery, **changed)  # type: ignore[arg-type]  # each test names fields of its own


async def test_a_redelivery_is_stored_once(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox.store(connection, [_ANY]) == {_ANY.id}
        assert await inbox.store(connection, [_ANY, _numbered(1)]) == {_numbered(1).id}
        assert len(await inbox.claim(connection, 10)) == 2


async def test_two_copies_in_one_batch_are_stored_once(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox.store(connection, [_ANY, _ANY]) == {_ANY.id}
        assert len(await inbox.claim(connection, 10)) == 1


async def test_the_same_delivery_id_from_two_sources_is_two_deliveries(database: Database) -> None:
    async with database.transaction() as connection:
        assert len(await inbox.store(connection, [_ANY, replace(_ANY, source="github_2")])) == 2


async def test_a_delivery_comes_back_as_it_went_in(database: Database) -> None:
    odd = replace(_ANY, body=bytes(range(256)) * 500, headers={"x": 'quo"te\\ {}', "empty": "", "é": "\u2028"})
    async with database.transaction() as connection:
        await inbox.store(connection, [odd])
        assert await inbox.claim(connection, 1) == [odd]


async def test_an_empty_body_comes_back_empty(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [replace(_ANY, body=b"")])
        assert (await inbox.claim(connection, 1))[0].body == b""


async def test_bodies_are_compressed_at_rest(database: Database) -> None:
    long = replace(_ANY, body=b"the same words again and again " * 1000)
    async with database.transaction() as connection:
        await inbox.store(connection, [long])
        size = await connection.exec_driver_sql("SELECT pg_column_size(body) FROM deliveries")
        assert size.scalar_one() < len(long.body) / 50


async def test_what_one_worker_holds_another_one_passes_over(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(number) for number in range(4)])
    async with database.transaction() as one, database.transaction() as other:
        first = await inbox.claim(one, 3)
        second = await inbox.claim(other, 3)
    assert [delivery.provider_id for delivery in first] == ["delivery-0", "delivery-1", "delivery-2"]
    assert [delivery.provider_id for delivery in second] == ["delivery-3"]


async def test_what_has_its_verdict_is_not_claimed_again(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(1), _numbered(2)])
        await inbox.settle(connection, [Settlement(_numbered(1).id, "ignored", "a ping")], "digest", at(3))
        assert await inbox.claim(connection, 10) == [_numbered(2)]
        found = await inbox.find(connection, _numbered(1).id)
    assert found is not None
    row, headers, body = found
    assert (row.verdict, row.reason, row.interpreted_at) == ("ignored", "a ping", at(3))
    assert (headers, body) == (_ANY.headers, _ANY.body)


async def test_pages_go_from_the_newest_to_the_oldest_and_miss_none(database: Database) -> None:
    stored = [_numbered(number // 2 * 2, provider_id=f"{number}") for number in range(7)]
    async with database.transaction() as connection:
        await inbox.store(connection, stored)
        seen: list[str] = []
        cursor = None
        for _ in range(4):
            rows, cursor = await inbox.page(connection, cursor=cursor, limit=2)
            seen += [row.provider_id for row in rows]
    assert cursor is None
    assert sorted(seen) == [f"{number}" for number in range(7)]
    assert [int(one) // 2 for one in seen] == [3, 2, 2, 1, 1, 0, 0]


async def test_pages_can_be_narrowed(database: Database) -> None:
    other = _numbered(3, source="ci_main")
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(1), _numbered(2), other])
        await inbox.settle(connection, [Settlement(_numbered(1).id, "failed", "no JSON")], "digest", at(3))
        by_source, _ = await inbox.page(connection, source="ci_main")
        failed, _ = await inbox.page(connection, verdict="failed")
        pending, _ = await inbox.page(connection, verdict="pending")
        late, _ = await inbox.page(connection, since=other.received_at)
    assert [row.id for row in by_source] == [other.id]
    assert [row.id for row in failed] == [_numbered(1).id]
    assert [row.id for row in pending] == [other.id, _numbered(2).id]
    assert [row.id for row in late] == [other.id]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "bm90IGEgY3Vyc29y", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(database: Database, cursor: str) -> None:
    async with database.transaction() as connection:
        with pytest.raises(InvalidCursor):
            await inbox.page(connection, cursor=cursor)


async def test_a_delivery_that_is_not_there_is_none(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox.find(connection, _ANY.id) is None


async def test_of_large_bodies_fewer_are_claimed_at_a_time(database: Database) -> None:
    large = [_numbered(number, body=bytes(20_000_000)) for number in range(3)]
    async with database.transaction() as connection:
        await inbox.store(connection, large)
        assert [one.provider_id for one in await inbox.claim(connection, 50)] == ["delivery-0"]

"""The inbox stores each delivery once, hands it to one worker, and keeps its verdict."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from service.deliveries.delivery import Delivery
from service.storage import inbox, inbox_listing, inbox_writer
from service.storage.cursors import InvalidCursor
from service.storage.database import Connection, Database, driver_of
from service.storage.errors import DatabaseRejected, DatabaseUnavailable
from service.storage.inbox import DeliveryVerdict
from tests.support.builders import at, github

pytestmark = pytest.mark.oldest_postgresql_too
_ANY = github("ping", b'{"zen": "\xc3\xa9"}').delivery(at(2))


def _numbered(number: int, **changed: object) -> Delivery:
    delivery = replace(_ANY, provider_id=f"delivery-{number}", received_at=at(2) + timedelta(seconds=number))
    return replace(delivery, **changed)  # type: ignore[arg-type]  # each test changes other fields


async def test_a_redelivery_is_stored_once(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox.store(connection, [_ANY]) == {_ANY.id}
        assert await inbox.store(connection, [_ANY, _numbered(1)]) == {_numbered(1).id}
        assert len(await inbox.claim_pending(connection, 10)) == 2


async def test_two_copies_in_one_batch_are_stored_once(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox.store(connection, [_ANY, _ANY]) == {_ANY.id}
        assert len(await inbox.claim_pending(connection, 10)) == 1


async def test_the_same_delivery_id_from_two_sources_is_two_deliveries(database: Database) -> None:
    async with database.transaction() as connection:
        assert len(await inbox.store(connection, [_ANY, replace(_ANY, source="github_2")])) == 2


async def test_a_stored_delivery_is_read_unchanged(database: Database) -> None:
    odd = replace(_ANY, body=bytes(range(256)) * 500, headers={"x": 'quo"te\\ {}', "empty": "", "é": "\u2028"})
    async with database.transaction() as connection:
        await inbox.store(connection, [odd])
        assert await inbox.claim_pending(connection, 1) == [odd]


async def test_an_empty_body_is_read_as_empty(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [replace(_ANY, body=b"")])
        assert (await inbox.claim_pending(connection, 1))[0].body == b""


async def test_bodies_are_compressed_at_rest(database: Database) -> None:
    long = replace(_ANY, body=b"the same words again and again " * 1000)
    async with database.transaction() as connection:
        await inbox.store(connection, [long])
        size = await connection.exec_driver_sql("SELECT pg_column_size(body) FROM deliveries")
        assert size.scalar_one() < len(long.body) / 50


async def test_a_worker_skips_deliveries_that_another_one_has_claimed(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(number) for number in range(4)])
    async with database.transaction() as one, database.transaction() as other:
        first = await inbox.claim_pending(one, 3)
        second = await inbox.claim_pending(other, 3)
    assert [delivery.provider_id for delivery in first] == ["delivery-0", "delivery-1", "delivery-2"]
    assert [delivery.provider_id for delivery in second] == ["delivery-3"]


async def test_a_delivery_with_a_verdict_is_not_claimed_again(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(1), _numbered(2)])
        await inbox.record_verdicts(
            connection, [DeliveryVerdict(_numbered(1).id, "ignored", "a ping")], "digest", at(3)
        )
        assert await inbox.claim_pending(connection, 10) == [_numbered(2)]
        found = await inbox_listing.read_delivery(connection, _numbered(1).id)
    assert found is not None
    row, headers, body = found
    assert (row.verdict, row.reason, row.interpreted_at) == ("ignored", "a ping", at(3))
    assert (headers, body) == (_ANY.headers, _ANY.body)


async def _settle(database: Database, *settled: Delivery) -> None:
    async with database.transaction() as connection:
        verdicts = [DeliveryVerdict(delivery.id, "counted", "because") for delivery in settled]
        await inbox.record_verdicts(connection, verdicts, "digest", at(3))


async def test_deleting_a_body_keeps_the_delivery_and_its_verdict(database: Database) -> None:
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(1)])
    await _settle(database, _numbered(1))
    async with database.transaction() as connection:
        assert await inbox.delete_bodies(connection, at(3), 10) == 1
        found = await inbox_listing.read_delivery(connection, _numbered(1).id)
        assert found is not None
        assert (found[0].verdict, found[0].reason, found[2]) == ("counted", "because", None)
        assert await inbox.store(connection, [_numbered(1)]) == frozenset()
        assert await inbox.replayable(connection, (at(1), _ANY.id), at(28), 10) == []
        assert await inbox.delete_bodies(connection, at(3), 10) == 0


async def test_bodies_are_deleted_oldest_first_except_recent_and_pending_ones(database: Database) -> None:
    stored = [_numbered(number) for number in range(5)]
    async with database.transaction() as connection:
        await inbox.store(connection, stored)
    await _settle(database, *stored[1:])
    async with database.transaction() as connection:
        assert await inbox.delete_bodies(connection, stored[4].received_at, 2) == 2
        assert await inbox.replayable(connection, (at(1), _ANY.id), at(28), 10) == stored[3:]
        assert await inbox.delete_bodies(connection, stored[4].received_at, 2) == 1
        assert await inbox.replayable(connection, (at(1), _ANY.id), at(28), 10) == stored[4:]
        assert await inbox.claim_pending(connection, 10) == stored[:1]


async def test_pages_list_all_deliveries_newest_first(database: Database) -> None:
    stored = [_numbered(number // 2 * 2, provider_id=f"{number}") for number in range(7)]
    async with database.transaction() as connection:
        await inbox.store(connection, stored)
        seen: list[str] = []
        cursor = None
        for _ in range(4):
            rows, cursor = await inbox_listing.read_page(connection, cursor=cursor, limit=2)
            seen += [row.provider_id for row in rows]
    assert cursor is None
    assert sorted(seen) == [f"{number}" for number in range(7)]
    assert [int(one) // 2 for one in seen] == [3, 2, 2, 1, 1, 0, 0]


async def test_pages_can_be_filtered(database: Database) -> None:
    other = _numbered(3, source="ci_main")
    async with database.transaction() as connection:
        await inbox.store(connection, [_numbered(1), _numbered(2), other])
        await inbox.record_verdicts(
            connection, [DeliveryVerdict(_numbered(1).id, "failed", "no JSON")], "digest", at(3)
        )
        by_source, _ = await inbox_listing.read_page(connection, source="ci_main")
        failed, _ = await inbox_listing.read_page(connection, verdict="failed")
        pending, _ = await inbox_listing.read_page(connection, verdict="pending")
        late, _ = await inbox_listing.read_page(connection, since=other.received_at)
    assert [row.id for row in by_source] == [other.id]
    assert [row.id for row in failed] == [_numbered(1).id]
    assert [row.id for row in pending] == [other.id, _numbered(2).id]
    assert [row.id for row in late] == [other.id]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "bm90IGEgY3Vyc29y", "é"])
async def test_an_invalid_cursor_is_rejected(database: Database, cursor: str) -> None:
    async with database.transaction() as connection:
        with pytest.raises(InvalidCursor):
            await inbox_listing.read_page(connection, cursor=cursor)


async def test_reading_an_unknown_delivery_returns_none(database: Database) -> None:
    async with database.transaction() as connection:
        assert await inbox_listing.read_delivery(connection, _ANY.id) is None


async def test_fewer_deliveries_are_claimed_if_their_bodies_are_large(database: Database) -> None:
    large = [_numbered(number, body=bytes(20_000_000)) for number in range(3)]
    async with database.transaction() as connection:
        await inbox.store(connection, large)
        assert [one.provider_id for one in await inbox.claim_pending(connection, 50)] == ["delivery-0"]


async def test_a_flood_from_one_source_delays_no_other_source(database: Database) -> None:
    flood = [_numbered(number) for number in range(100)]
    few = [_numbered(number, source="jira", provider_id=f"jira-{number}") for number in (500, 501, 502)]
    async with database.transaction() as connection:
        await inbox.store(connection, flood + few)
        claimed = await inbox.claim_pending(connection, 10)
    assert claimed == [*flood[:7], *few]


async def test_each_source_gets_an_equal_share_oldest_first(database: Database) -> None:
    pending = [
        _numbered(number, source=source, provider_id=f"{source}-{number}")
        for source in ("ci_main", "github", "jira")
        for number in range(20)
    ]
    async with database.transaction() as connection:
        await inbox.store(connection, pending)
        claimed = await inbox.claim_pending(connection, 9)
    assert {one.id for one in claimed} == {one.id for one in pending if one.received_at < _numbered(3).received_at}


async def test_sources_that_wait_longest_come_first_if_there_are_more_sources_than_the_limit(
    database: Database,
) -> None:
    pending = [_numbered(number, source=f"source_{9 - number}") for number in range(9)]
    async with database.transaction() as connection:
        await inbox.store(connection, pending)
        assert await inbox.claim_pending(connection, 4) == pending[:4]


async def test_two_workers_share_the_deliveries_of_each_source(database: Database) -> None:
    pending = [
        _numbered(number, source=source, provider_id=f"{source}-{number}")
        for source in ("github", "jira")
        for number in range(4)
    ]
    async with database.transaction() as connection:
        await inbox.store(connection, pending)
    async with database.transaction() as one, database.transaction() as other:
        first, second = await inbox.claim_pending(one, 4), await inbox.claim_pending(other, 4)
    assert sorted(one.source for one in first) == sorted(one.source for one in second) == ["github"] * 2 + ["jira"] * 2
    assert {one.id for one in first + second} == {one.id for one in pending}


async def test_large_bodies_of_one_source_do_not_crowd_out_another(database: Database) -> None:
    large = [_numbered(number, body=bytes(20_000_000)) for number in range(2)]
    small = _numbered(5, source="jira")
    async with database.transaction() as connection:
        await inbox.store(connection, [*large, small])
        assert await inbox.claim_pending(connection, 50) == [large[0], small]


_NUMEROUS = text(
    """
    INSERT INTO deliveries (id, source, provider, provider_id, headers, body, body_bytes, received_at, verdict)
    SELECT gen_random_uuid(), CASE WHEN n % 50000 = 0 THEN 'jira' ELSE 'github' END, 'github', :name || n, '{}',
        '', 0, now() - n * interval '1 second', CAST(:verdict AS text)
    FROM generate_series(1, :number) AS n
    """
)


async def _plans(connection: Connection) -> list[Any]:
    """PostgreSQL's plans for the statements that must not scan the whole table of deliveries."""
    explain = "EXPLAIN (ANALYZE, FORMAT JSON)"
    before = {"limit": 50, "before": at(28) + timedelta(days=9999)}
    await connection.execute(inbox._BITMAP_SCANS, {"setting": "off"})  # noqa: SLF001 - a claim executes the same statement
    driven = await driver_of(connection)
    claim = await driven.fetchval(f"{explain} {inbox._CLAIM_AND_READ}", 50, 1_000_000)  # noqa: SLF001
    await connection.execute(inbox._BITMAP_SCANS, {"setting": "on"})  # noqa: SLF001
    forget = await connection.scalar(text(f"{explain} {inbox._DELETE_BODIES}"), before)  # noqa: SLF001
    settle = await connection.scalar(text(f"{explain} {inbox._RECORD_VERDICTS}"), await _verdicts(connection))  # noqa: SLF001
    return [claim[0]["Plan"], forget[0]["Plan"], settle[0]["Plan"]]


async def _verdicts(connection: Connection) -> dict[str, Any]:
    ids = list(await connection.scalars(text("SELECT id FROM deliveries WHERE verdict IS NULL LIMIT 50")))
    return {"ids": ids, "verdicts": ["ignored"] * 50, "reasons": [""] * 50, "rules": "", "at": at(1)}


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _steps(below)


@pytest.mark.parametrize("analysed_before", [False, True])
async def test_claims_and_retention_read_only_the_rows_they_return_during_a_flood(
    database: Database, analysed_before: bool
) -> None:
    async with database.transaction() as connection:
        await connection.execute(_NUMEROUS, {"verdict": "ignored", "name": "old", "number": 20_000})
        if analysed_before:
            await connection.execute(text("ANALYZE deliveries"))
        await connection.execute(_NUMEROUS, {"verdict": None, "name": "new", "number": 200_000})
        await _check_plans(connection)
        if not analysed_before:
            await connection.execute(text("ANALYZE deliveries"))
            await _check_plans(connection)


async def _check_plans(connection: Connection) -> None:
    for plan in await _plans(connection):
        for step in _steps(plan):
            assert step["Actual Rows"] * step["Actual Loops"] <= 200, step
            assert step["Node Type"] != "Seq Scan"
        assert plan["Total Cost"] < 100_000  # above this cost, PostgreSQL would compile the query (JIT)


async def test_two_writers_of_the_same_deliveries_do_not_deadlock(database: Database) -> None:
    one, other = inbox_writer.InboxWriter(database), inbox_writer.InboxWriter(database)
    for turn in range(5):
        batch = [replace(_ANY, provider_id=f"{turn}-{number}") for number in range(500)]
        here, there = await asyncio.gather(one.store(batch), other.store(batch[::-1]))
        assert here.isdisjoint(there)
        assert here | there == {delivery.id for delivery in batch}
    await one.close()
    await other.close()


async def test_a_rolled_back_delivery_is_not_stored(database: Database) -> None:
    async def undone() -> None:
        async with database.transaction() as connection:
            await inbox.store(connection, [_ANY])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    async with database.transaction() as connection:
        assert await inbox.store(connection, [_ANY]) == {_ANY.id}


async def test_a_cancelled_write_leaves_no_response_for_the_next_one(database: Database) -> None:
    writer = inbox_writer.InboxWriter(database)
    first, second = replace(_ANY, provider_id="1"), replace(_ANY, provider_id="2")
    async with database.transaction() as holding:
        # A write of the same delivery waits for this transaction to end.
        await inbox.store(holding, [first])
        storing = asyncio.create_task(writer.store([first]))
        await asyncio.sleep(0.1)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        assert await writer.store([second]) == {second.id}
    assert await writer.store([first, second]) == frozenset()
    await writer.close()


async def test_a_connection_that_postgresql_ends_while_it_is_idle_is_unavailable_and_replaced(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with _held_open(database_url, tmp_path) as (through, ended):
        writer = inbox_writer.InboxWriter(through)
        assert await writer.store([_ANY]) == {_ANY.id}
        async with database.transaction() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'loopgauge'"
                    " AND datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await ended.wait()
        with pytest.raises(DatabaseUnavailable):
            await writer.store([_numbered(1)])
        assert await writer.store([_numbered(1)]) == {_numbered(1).id}
        await writer.close()


@asynccontextmanager
async def _held_open(database_url: str, directory: Path) -> AsyncIterator[tuple[Database, asyncio.Event]]:
    """A database behind a relay that passes on what PostgreSQL sends, but not that PostgreSQL closed the connection.

    A client can read PostgreSQL's last message before it notices the end of the connection. The relay makes this moment
    last. The event is set when the client has received everything.
    """
    url = make_url(database_url)
    server_socket = Path(str(url.query["host"])) / ".s.PGSQL.5432"
    ended = asyncio.Event()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(str(server_socket))
        sending = asyncio.create_task(copy(reader, to_server))
        await copy(from_server, writer)
        ended.set()
        await sending
        for end in (to_server, writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    relay = await asyncio.start_unix_server(serve, directory / server_socket.name)
    database = Database(url.update_query_dict({"host": str(directory)}).render_as_string(hide_password=False))
    yield database, ended
    await database.close()
    relay.close()


async def test_a_rejected_write_leaves_the_connection_usable(database: Database) -> None:
    writer = inbox_writer.InboxWriter(database)
    with pytest.raises(DatabaseRejected):
        await writer.store([replace(_ANY, headers={"x": "\0"})])
    assert await writer.store([_ANY]) == {_ANY.id}
    await writer.close()


async def test_headers_and_ids_are_stored_unchanged(database: Database) -> None:
    odd = replace(_ANY, provider_id='"\\ é\x7f \u2028', headers={"content-type": "a\tb\xff", "x": ""})
    async with database.transaction() as connection:
        await inbox.store(connection, [odd])
        found = await inbox_listing.read_delivery(connection, odd.id)
    assert found is not None
    row, headers, body = found
    assert (row.provider_id, row.received_at, row.body_bytes) == (odd.provider_id, odd.received_at, len(odd.body))
    assert (headers, body) == (odd.headers, odd.body)

"""A dry run works on copies: it changes no table and blocks no other transaction."""

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import text

from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_pending
from service.pipeline.project import project_dirty
from service.storage import aliases, dirty_subjects, events, experiments, inbox, inbox_listing
from service.storage.database import Connection, Database
from service.storage.dry_run import open_dry_run
from service.storage.errors import DatabaseUnavailable
from service.storage.inbox import DeliveryVerdict
from service.telemetry import Telemetry
from tests.support.builders import Issue, at
from tests.support.road import RULES, all_experiments, deliver, settle, store_deliveries, stored_names
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.oldest_postgresql_too
ISSUE = Ref("github:acme/app#45")
OPENED = Issue(created_at=at(2)).opened()
COPIED = (
    "events",
    "spare_events",
    "event_deliveries",
    "links",
    "link_statements",
    "aliases",
    "identities",
    "identity_version",
    "touched",
    "experiments",
    "exclusions",
)


def _now() -> datetime:
    return at(20)


async def _names(connection: Connection) -> list[Ref]:
    return sorted((await aliases.read_all(connection)).names(ISSUE))


async def _counts(connection: Connection) -> dict[str, int]:
    return {table: await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in COPIED}


async def test_changes_of_the_copies_do_not_change_the_tables(database: Database) -> None:
    await deliver(database, OPENED)
    names = await stored_names(database, ISSUE)
    async with open_dry_run(database) as copies, copies.transaction() as connection:
        assert await events.events_of(connection, names)
        await events.delete_subjects(connection, names)
        await experiments.replace(connection, [], [ISSUE])
        assert await events.events_of(connection, names) == {}
        assert await experiments.read_all(connection) == []
    assert set(await all_experiments(database)) == {ISSUE}
    async with database.transaction() as connection:
        assert await events.events_of(connection, names)


async def test_the_copies_have_the_rows_and_indexes_of_the_tables(database: Database) -> None:
    await deliver(database, OPENED)
    indexed = text("SELECT count(*) FROM pg_index WHERE indrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))")
    async with database.transaction() as connection:
        live, indexes = await _counts(connection), await connection.scalar(indexed, {"tables": list(COPIED)})
    async with open_dry_run(database) as copies, copies.transaction() as connection:
        assert await _counts(connection) == live
        assert await connection.scalar(indexed, {"tables": [f"pg_temp.{table}" for table in COPIED]}) == indexes


async def test_a_dry_run_leaves_nothing_on_its_connection(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await deliver(database, OPENED)
    names = await stored_names(database, ISSUE)
    for _ in range(2):
        async with open_dry_run(database) as copies:
            async with copies.transaction() as connection:
                await events.delete_subjects(connection, names)
            await project_dirty(copies, _now)
        async with database.transaction() as connection:
            temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind IN ('r', 'S')"
            assert await connection.scalar(text(temporary)) == 0
            assert await connection.scalar(text("SHOW statement_timeout")) == "30s"
            assert await events.events_of(connection, names)
    await deliver(database, Issue(number=46, created_at=at(2)).opened())
    assert len(await all_experiments(database)) == 2
    await database.close()


async def test_a_failed_dry_run_changes_nothing(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await deliver(database, OPENED)
    names = await stored_names(database, ISSUE)

    async def fail() -> None:
        async with open_dry_run(database) as copies, copies.transaction() as connection:
            await events.delete_subjects(connection, names)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.transaction() as connection:
        assert await events.events_of(connection, names)
    await database.close()


async def test_postgresql_rejects_a_change_of_a_table_that_is_not_a_copy(database: Database) -> None:
    await deliver(database, OPENED)
    delivery = OPENED.delivery(at(2))
    async with open_dry_run(database) as copies:
        with pytest.raises(DatabaseUnavailable, match="read-only transaction"):
            async with copies.transaction() as connection:
                await inbox.record_verdicts(connection, [DeliveryVerdict(delivery.id, "failed", "")], "digest", at(3))
        with pytest.raises(DatabaseUnavailable, match="read-only transaction"):
            async with copies.transaction() as connection:
                await inbox.requeue_failed(connection, [delivery.id])
        async with copies.transaction() as connection:
            assert await experiments.read_all(connection)


async def test_a_dry_run_neither_sees_nor_blocks_concurrent_commits(database: Database) -> None:
    await deliver(database, OPENED)
    async with open_dry_run(database) as copies:
        async with copies.transaction() as connection:
            await connection.execute(text("LOCK TABLE aliases IN SHARE ROW EXCLUSIVE MODE"))
            await connection.execute(text("UPDATE events SET received_at = now()"))
            await connection.execute(text("UPDATE experiments SET team = 'dry run'"))
        async with database.transaction() as live:
            # This is the strongest lock that a running service takes.
            await live.execute(text(f"LOCK TABLE {', '.join((*COPIED, 'deliveries'))} IN EXCLUSIVE MODE NOWAIT"))
            await experiments.lock_roots(live, [ISSUE])
        await deliver(database, OPENED, Issue(number=46, created_at=at(2)).opened())
        async with copies.transaction() as connection:
            assert [one.root for one in await experiments.read_all(connection)] == [ISSUE]
            _, newest = await inbox_listing.read_page(connection, limit=1)
            assert newest is None
    assert len(await all_experiments(database)) == 2


async def test_a_projection_in_a_dry_run_does_not_block_a_live_one(database: Database) -> None:
    await store_deliveries(database, OPENED.delivery(at(2)))
    await interpret_pending(database, RULES, Telemetry(["github"]), _now)
    async with open_dry_run(database) as copies:
        assert await project_dirty(copies, _now)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await project_dirty(database, _now)
    assert set(await all_experiments(database)) == {ISSUE}


@pytest.mark.parametrize("path", ["apart", "apart,pg_temp"])
async def test_a_dry_run_copies_the_tables_in_the_schema_of_the_url(empty_database_url: str, path: str) -> None:
    public = Database(empty_database_url, pool_size=1)
    await public.migrate()
    async with public.transaction() as connection:
        await connection.execute(text("CREATE SCHEMA apart"))
    apart = Database(f"{empty_database_url}&search_path={path}", pool_size=1)
    await apart.migrate()
    await deliver(apart, OPENED)
    async with open_dry_run(apart) as copies:
        async with copies.transaction() as connection:
            assert [one.root for one in await experiments.read_all(connection)] == [ISSUE]
            await events.delete_subjects(connection, await _names(connection))
            await experiments.replace(connection, [], [ISSUE])
        async with copies.transaction() as connection:
            assert await experiments.read_all(connection) == []
    await settle(apart, RULES)
    assert set(await all_experiments(apart)) == {ISSUE}
    assert await all_experiments(public) == {}
    await apart.close()
    await public.close()


async def test_subjects_marked_in_a_dry_run_come_after_those_marked_earlier(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO touched (subject) VALUES ('key:a'), ('key:b')"))
    async with open_dry_run(database) as copies, copies.transaction() as connection:
        await connection.execute(text("INSERT INTO touched (subject) VALUES ('key:0')"))
        assert list(await dirty_subjects.claim_dirty(connection, 10, at(3))) == ["key:a", "key:b", "key:0"]
        assert await dirty_subjects.newest_mark(connection) == await connection.scalar(
            text("SELECT max(mark) FROM touched")
        )

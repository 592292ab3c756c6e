"""The migrations create the declared tables, and upgrade older schemas."""

from dataclasses import replace

import alembic.command
import alembic.config
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.lifecycle.exclusions import Exclusion
from service.pipeline import interpret
from service.pipeline.interpret import interpret_delivery
from service.pipeline.project import project_dirty
from service.queries.replay import Replay
from service.storage import inbox, recording
from service.storage.database import Database
from service.storage.errors import DatabaseError, DatabaseUnprepared
from service.storage.recording import InterpretedDelivery
from service.storage.tables import metadata
from tests.support.builders import Issue, PullRequest, at, github, workflow_run
from tests.support.road import (
    RULES,
    TERMS,
    all_exclusions,
    all_experiments,
    deliver,
    exported_samples,
    settle,
)

pytestmark = pytest.mark.oldest_postgresql_too


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrations_create_exactly_the_declared_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await database.migrate()
    async with database.transaction() as connection:
        differences = await connection.run_sync(_differences)
    await database.close()
    assert differences == []


async def test_a_missing_table_is_reported_as_a_difference(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE touched"))
        differences = await connection.run_sync(_differences)
    assert differences != []


async def test_bodies_are_stored_without_a_second_compression(database: Database) -> None:
    async with database.transaction() as connection:
        storage = await connection.scalar(
            text("SELECT attstorage FROM pg_attribute WHERE attrelid = 'deliveries'::regclass AND attname = 'body'")
        )
    assert storage in ("e", b"e")


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await database.migrate() == await database.migrate()
    await database.check_schema()


async def test_the_known_revisions_are_the_revisions_that_alembic_finds(database: Database) -> None:
    script = ScriptDirectory("migrations")
    newest, *older = (revision.revision for revision in script.walk_revisions())
    assert await database.migrate() == newest
    for revision in older:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :older"), {"older": revision})
        with pytest.raises(DatabaseError, match=f"at revision {revision}, {newest} is needed"):
            await database.check_schema()


async def test_a_newer_schema_is_kept_and_accepted(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await connection.execute(text("ALTER TABLE deliveries ADD COLUMN of_a_newer_version text"))
    assert await database.migrate() == "9999"
    await database.check_schema()
    async with database.transaction() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


async def test_an_older_schema_is_rejected_and_upgraded(database: Database) -> None:
    newest = await database.migrate()
    async with database.transaction() as connection:
        await connection.run_sync(_downgrade, "0002")
    with pytest.raises(DatabaseError, match="at revision 0002"):
        await database.check_schema()
    assert await database.migrate() == newest
    await database.check_schema()


async def test_a_migration_that_fails_is_named_with_its_cause_and_the_remedy(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    with pytest.raises(DatabaseUnprepared) as failed:
        await database.migrate()
    assert str(failed.value).startswith("migration 0003 failed and was undone: ")
    assert "already exists; " in str(failed.value)
    assert str(failed.value).endswith("then run: loopgauge migrate")
    with pytest.raises(DatabaseError, match="at revision 0002"):
        await database.check_schema()


def _downgrade(connection: Connection, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", "migrations")
    config.attributes["connection"] = connection
    alembic.command.downgrade(config, revision)


async def test_after_the_migration_to_exclusions_subjects_with_a_mark_are_projected_again(database: Database) -> None:
    opened = Issue(created_at=at(2))
    _, closed = Issue(number=46, created_at=at(2)).closed(at(5), "duplicate")
    async with database.transaction() as connection:
        for request in (opened.opened(), closed):
            interpretation = interpret_delivery(RULES, request.delivery(at(5)))
            brought = dict.fromkeys(interpretation.events, "a rule")
            await recording.record_deliveries(
                connection, [InterpretedDelivery(request.delivery(at(5)).id, at(5), brought)]
            )
        await connection.execute(text("DELETE FROM touched"))
        await connection.run_sync(_downgrade, "0002")
    await database.migrate()
    while await project_dirty(database, lambda: at(6)):
        pass
    assert set(await all_experiments(database)) == {"github:acme/app#45"}
    assert await all_exclusions(database) == {"github:acme/app#46": Exclusion("duplicate", at(5))}


async def test_the_migration_to_identities_and_a_replay_after_it_keep_every_figure(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = PullRequest(created_at=at(3))
    issue, closed = Issue(created_at=at(2)).labeled("outcome:failed", at(5))[0].closed(at(6))
    other = Issue(number=46, repository="acme/web", created_at=at(2), labels=("experiment", "team:ads"))
    told = [issue.opened(), pull.opened(), workflow_run(pull.head, at(4)), closed, other.opened()]
    with monkeypatch.context() as earlier:
        # The earlier release stored plain names, and no ids.
        read = interpret.interpret_delivery
        earlier.setattr(interpret, "interpret_delivery", lambda *given: replace(read(*given), identities=()))
        await deliver(database, *told)
    before = await all_experiments(database), await _figures(database)
    async with database.transaction() as connection:
        await connection.run_sync(_downgrade, "0009")
    await database.migrate()
    await settle(database)
    assert (await all_experiments(database), await _figures(database)) == before
    result = await Replay(RULES, TERMS, lambda: at(8), lambda *_: None).run(database)
    assert (result.deliveries, result.changed) == (len(told), {})
    assert (await all_experiments(database), await _figures(database)) == before
    async with database.transaction() as connection:
        subjects = set(await connection.scalars(text("SELECT DISTINCT subject FROM events")))
    assert not [subject for subject in subjects if subject.startswith("github:acme/")]
    assert len(before[0]) == 2


async def _figures(database: Database) -> dict[tuple[str, ...], float]:
    shown = await exported_samples(database, at(8))
    return {name: value for name, value in shown.items() if "duration" not in name[0]}


async def test_the_index_of_link_targets_keeps_no_pending_list(database: Database) -> None:
    async with database.transaction() as connection:
        options = await connection.scalar(text("SELECT reloptions FROM pg_class WHERE oid = 'links_targets'::regclass"))
    assert options == ["fastupdate=off"]


async def test_a_migration_that_waits_for_a_reader_does_not_block_writers(database: Database) -> None:
    newest = await database.migrate()
    async with database.transaction() as connection:
        # Migration 0006 needs a lock that conflicts with the reader's.
        await connection.run_sync(_downgrade, "0005")
    async with database.transaction() as reading:
        await reading.execute(text("SELECT count(*) FROM deliveries"))
        with pytest.raises(DatabaseError, match="another session, such as a backup, holds a lock"):
            await database.migrate()
        async with database.transaction() as storing:
            assert await inbox.store(storing, [github("ping", b"{}").delivery(at(2))])
    assert await database.migrate() == newest

"""`/livez` reports that the process runs. `/readyz` reports where deliveries can be stored, or why they cannot."""

from pathlib import Path
from typing import Any

import httpx
from alembic.script import ScriptDirectory
from sqlalchemy import text

from service.storage.database import Database
from service.storage.spool import FILE, Spool
from tests.support.builders import Issue, at
from tests.support.outage import line_to
from tests.support.paths import REPOSITORY
from tests.support.road import api, post

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
REQUEST = Issue(created_at=at(2)).opened()


_SILENT = "no answer within 2 seconds"


async def _ready(client: httpx.AsyncClient, *, silent: bool = False) -> tuple[int, Any, dict[str, str]]:
    """The status, the mode and the checks of an answer.

    Args:
        silent: whether PostgreSQL is expected to be silent. If it is not, ask again until PostgreSQL answers in time,
            because it may need longer on a busy machine.
    """
    response = await client.get("/readyz")
    answer = response.json()
    if not silent and answer["checks"]["inbox"] == _SILENT:
        return await _ready(client)
    if response.status_code == 200:
        assert answer["status"] == "ready"
    else:
        assert answer["type"] == "urn:loopgauge:problem:not-ready"
        failing = [name for name, found in answer["checks"].items() if not found.startswith("ok")]
        assert all(f"{name}: {answer['checks'][name]}" in answer["detail"] for name in failing)
    return response.status_code, answer.get("mode"), answer["checks"]


async def test_the_process_is_alive_without_a_database() -> None:
    gone = Database(NOWHERE)
    async with api(gone) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
    await gone.close()


async def test_the_process_is_ready_when_every_check_passes(database: Database, tmp_path: Path) -> None:
    async with api(database, spool=True, data_dir=tmp_path) as client:
        assert await _ready(client) == (200, "inbox", {"inbox": "ok", "spool": "ok", "schema": "ok"})
    # The spool creates its directory only for its first delivery.
    assert not Spool(tmp_path / "spool").exists


async def test_without_a_spool_the_process_is_ready_while_the_inbox_is_available(database_url: str) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far) as client:
            assert await _ready(client) == (200, "inbox", {"inbox": "ok", "schema": "ok"})
            await line.cut()
            status, _, checks = await _ready(client)
            await line.mend()
            again = await _ready(client)
        await far.close()
    assert (status, checks["schema"]) == (503, "ok when last seen")
    assert "PostgreSQL is not available" in checks["inbox"]
    assert again == (200, "inbox", {"inbox": "ok", "schema": "ok"})


async def test_a_worker_has_no_spool_and_is_not_ready_without_the_database(database_url: str, tmp_path: Path) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, role="worker", spool=True, data_dir=tmp_path) as client:
            assert await _ready(client) == (200, "inbox", {"inbox": "ok", "schema": "ok"})
            await line.cut()
            status, _, checks = await _ready(client)
            await line.mend()
        await far.close()
    assert (status, set(checks)) == (503, {"inbox", "schema"})


async def test_the_process_is_ready_in_mode_spool_while_the_spool_is_in_use(database_url: str, tmp_path: Path) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, spool=True, data_dir=tmp_path) as client:
            assert (await _ready(client))[:2] == (200, "inbox")
            await line.cut()
            status, mode, checks = await _ready(client)
            assert (status, mode) == (200, "spool")
            assert checks["inbox"].startswith("PostgreSQL is not available")
            assert (checks["spool"], checks["schema"]) == ("in use, 0 waiting", "ok when last seen")
            assert (await post(client, REQUEST)).status_code == 202
            assert (await _ready(client))[2]["spool"] == "in use, 1 waiting"
        await line.mend()
        await far.close()


async def test_a_frozen_database_is_unavailable(database_url: str, tmp_path: Path) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, spool=True, data_dir=tmp_path) as client:
            assert (await _ready(client))[:2] == (200, "inbox")
            line.freeze()
            status, mode, checks = await _ready(client, silent=True)
            assert (status, mode, checks["inbox"]) == (200, "spool", _SILENT)
            await line.mend()
        await far.close()


async def test_with_neither_database_nor_spool_the_process_is_not_ready_and_each_check_has_its_reason(
    database_url: str, tmp_path: Path
) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        (tmp_path / "spool").touch()
        async with api(far, spool=True, data_dir=tmp_path) as client:
            # PostgreSQL stores deliveries, so the process is ready although the spool is broken. `/readyz` reports the
            # broken spool nevertheless.
            status, mode, checks = await _ready(client)
            assert (status, mode, checks["inbox"]) == (200, "inbox", "ok")
            assert checks["spool"].startswith(f"the spool {tmp_path / 'spool' / FILE} cannot be used: ")
            await line.cut()
            status, _, checks = await _ready(client)
            (tmp_path / "spool").unlink()
            mended = await _ready(client)
            await line.mend()
        await far.close()
    assert status == 503
    assert "PostgreSQL is not available" in checks["inbox"]
    assert checks["spool"].startswith(f"the spool {tmp_path / 'spool' / FILE} cannot be used: ")
    assert mended[:2] == (200, "spool")


async def test_a_broken_spool_is_reported_while_the_inbox_works(database: Database, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / FILE).write_bytes(b"not a database at all" * 1000)
    async with api(database, spool=True, data_dir=tmp_path) as client:
        status, mode, checks = await _ready(client)
    assert (status, mode) == (200, "inbox")
    assert "file is not a database" in checks["spool"]


async def test_the_process_is_not_ready_before_the_schema_was_checked_even_with_a_spool(tmp_path: Path) -> None:
    gone = Database(NOWHERE)
    async with api(gone, spool=True, data_dir=tmp_path) as client:
        status, _, checks = await _ready(client)
    await gone.close()
    assert (status, checks["spool"], checks["schema"]) == (503, "in use, 0 waiting", "not seen yet")


async def test_without_a_schema_the_process_is_not_ready_and_names_the_command_to_run(empty_database_url: str) -> None:
    empty = Database(empty_database_url)
    async with api(empty) as client:
        status, _, checks = await _ready(client)
        refused = await post(client, REQUEST)
    await empty.close()
    assert (status, checks["inbox"]) == (503, "ok")
    assert "run: loopgauge migrate" in checks["schema"]
    assert refused.status_code == 503


def _the_one_before_head() -> str | None:
    script = ScriptDirectory(str(REPOSITORY / "migrations"))
    head = script.get_revision(script.get_current_head() or "")
    assert head is not None
    before = head.down_revision
    assert before is None or isinstance(before, str)
    return before


async def test_the_process_is_not_ready_with_an_older_schema_even_after_the_database_is_gone(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        # Pretend that the database has the revision before the newest one, or no revision if there is only one.
        before = _the_one_before_head()
        set_back = f"UPDATE alembic_version SET version_num = '{before}'" if before else "DELETE FROM alembic_version"
        await connection.execute(text(set_back))
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, spool=True, data_dir=tmp_path) as client:
            status, _, checks = await _ready(client)
            await line.cut()
            away, _, checks_away = await _ready(client)
            await line.mend()
        await far.close()
    assert (status, away) == (503, 503)
    for found in (checks, checks_away):
        assert "is needed; run: loopgauge migrate" in found["schema"]


async def test_a_schema_that_was_ok_when_last_checked_counts_as_ok_while_it_cannot_be_checked(
    database: Database, tmp_path: Path
) -> None:
    async with api(database, spool=True, data_dir=tmp_path) as client:
        assert (await _ready(client))[:2] == (200, "inbox")
        async with database.transaction() as connection:
            await connection.execute(text("LOCK TABLE alembic_version"))
            assert await _ready(client, silent=True) == (
                200,
                "spool",
                {"inbox": _SILENT, "spool": "in use, 0 waiting", "schema": "ok when last seen"},
            )


_REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
"""


async def _run(database: Database, *statements: str) -> None:
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def _fill(database: Database) -> None:
    """Let PostgreSQL answer queries, but store no delivery, as on a full disk."""
    await _run(database, _REFUSE, "CREATE TRIGGER full_disk BEFORE INSERT ON deliveries EXECUTE FUNCTION refuse()")


async def test_a_process_that_refuses_deliveries_is_not_ready_until_it_can_store_again(database: Database) -> None:
    async with api(database) as client:
        await _fill(database)
        # The process cannot know of the full disk before it stores a delivery.
        assert (await _ready(client))[0] == 200
        assert (await post(client, REQUEST)).status_code == 503
        status, _, checks = await _ready(client)
        assert (await _ready(client))[0] == 503
        await _run(database, "DROP TRIGGER full_disk ON deliveries")
        # The process becomes ready without a further delivery, because an unready process receives none.
        mended = await _ready(client)
        async with database.transaction() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM deliveries")) == 0
    assert status == 503
    assert checks["inbox"] == "PostgreSQL is not available: could not extend file: No space left on device"
    assert mended == (200, "inbox", {"inbox": "ok", "schema": "ok"})


async def test_a_process_whose_inbox_and_spool_refuse_deliveries_is_not_ready(
    database: Database, tmp_path: Path
) -> None:
    async with api(database, spool=True, data_dir=tmp_path) as client:
        await _fill(database)
        (tmp_path / "spool").rmdir()
        (tmp_path / "spool").touch()
        assert (await post(client, REQUEST)).status_code == 503
        status, _, checks = await _ready(client)
        (tmp_path / "spool").unlink()
        mended, mode, _ = await _ready(client)
        await _run(database, "DROP TRIGGER full_disk ON deliveries")
    assert status == 503
    assert "No space left on device" in checks["inbox"]
    assert checks["spool"].startswith(f"the spool {tmp_path / 'spool' / FILE} cannot be used: ")
    assert (mended, mode) == (200, "spool")

"""`loopgauge migrate` creates the schema, and other commands report a database that they cannot use."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.commands import in_database, invoke
from tests.support.paths import REPOSITORY
from tests.support.serving import UNREACHABLE


def test_migrate_creates_the_schema(empty_database_url: str) -> None:
    *_, newest = sorted(path.name for path in (REPOSITORY / "migrations/versions").glob("*.py"))
    ended = invoke("migrate", DATABASE_URL=empty_database_url)
    assert (ended.returncode, ended.stdout) == (0, f"the schema is at revision {newest[:4]}\n")
    assert invoke("deliveries", "list", DATABASE_URL=empty_database_url).returncode == 0
    as_json = invoke("migrate", "--json", DATABASE_URL=empty_database_url)
    assert (as_json.returncode, json.loads(as_json.stdout), as_json.stderr) == (0, {"revision": newest[:4]}, "")


def test_migrate_leaves_a_newer_schema_unchanged(database_url: str) -> None:
    async def pretend_newer(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    in_database(database_url, pretend_newer)
    ended = invoke("migrate", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the schema is at revision 9999\n", "")


def test_migrate_without_a_database_fails_with_one_line() -> None:
    ended = invoke("migrate", DATABASE_URL=UNREACHABLE)
    assert ended.returncode == 1
    assert ended.stderr.startswith("loopgauge: PostgreSQL is not available")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "fault", "advice"),
    [
        (
            {"path": "/not_there"},
            "PostgreSQL refuses",
            "create this database, or name another one in LOOPGAUGE_DATABASE_URL",
        ),
        ({"path": "/template1"}, "the schema is missing or too old", "run: loopgauge migrate"),
        ({}, "PostgreSQL is not available", "check that PostgreSQL runs at LOOPGAUGE_DATABASE_URL"),
    ],
    ids=["no such database", "not migrated", "unreachable"],
)
def test_an_unusable_database_is_reported_with_advice(
    database_url: str, change: dict[str, str], fault: str, advice: str
) -> None:
    url = urlsplit(database_url)._replace(**change).geturl() if change else UNREACHABLE
    ended = invoke("deliveries", "list", "--json", DATABASE_URL=url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"loopgauge: {fault}: ")
    assert ended.stderr.endswith(f"; {advice}\n")
    assert ended.stderr.count("\n") == 1


async def test_a_wrong_password_is_reported_with_advice(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "own")
    server.start()
    try:
        access = tmp_path / "own" / "postgres.hba.conf"
        database = Database(server.url)
        async with database.transaction() as connection:
            await connection.execute(text("CREATE USER reader PASSWORD 'the right one'"))
        access.write_text(f"local all reader scram-sha-256\n{access.read_text()}")
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_reload_conf()"))
        await database.close()
        url = server.url.replace("postgres@", "reader:the-wrong-one@")
        ended = await asyncio.to_thread(invoke, "deliveries", "list", DATABASE_URL=url)
    finally:
        server.release()
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.endswith("; check the user and the password in LOOPGAUGE_DATABASE_URL\n")
    assert "the-wrong-one" not in ended.stderr

"""`loopgauge migrate`, and commands without a database."""

import asyncio

from sqlalchemy import text

from service.storage.database import Database
from tests.support.paths import REPOSITORY
from tests.support.serving import UNREACHABLE, run_command


def test_wrong_usage_ends_with_status_two() -> None:
    assert run_command("serve", "--port", "http").returncode == 2
    assert run_command("dance").returncode == 2


def test_migrate_makes_the_schema(empty_database_url: str) -> None:
    ended = run_command("migrate", DATABASE_URL=empty_database_url)
    *_, newest = sorted(path.name for path in (REPOSITORY / "migrations/versions").glob("*.py"))
    assert (ended.returncode, ended.stdout) == (0, f"the schema is at revision {newest[:4]}\n")
    assert run_command("deliveries", "list", DATABASE_URL=empty_database_url).returncode == 0


async def test_migrate_leaves_a_newer_schema_and_tells_its_revision(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ended = await asyncio.to_thread(run_command, "migrate", DATABASE_URL=database.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the schema is at revision 9999\n", "")


def test_without_a_database_commands_fail_with_one_line() -> None:
    ended = run_command("migrate", DATABASE_URL=UNREACHABLE)
    assert ended.returncode == 1
    assert ended.stderr.startswith("loopgauge: PostgreSQL is not available")
    assert ended.stderr.count("\n") == 1

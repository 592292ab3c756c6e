"""Check the schema's revision, and upgrade the schema."""

from functools import cache
from pathlib import Path
from typing import TypeGuard

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.errors import DatabaseError, DatabaseUnprepared, cause, is_contradiction

# The key of the advisory lock: arbitrary, but it must be the same in all versions of loopgauge.
_MIGRATION_LOCK = 0x6C6F6F70


async def upgrade_schema(connection: AsyncConnection) -> str:
    """Upgrade the schema to the newest revision that this release of loopgauge knows, and return the schema's revision.

    An advisory lock lets one process upgrade at a time. A schema that a later release has upgraded further is left
    unchanged, since this release works with it, too.
    """
    # Creating an index on a large table, or waiting for another process to do so, may take longer than the timeout.
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    current = await _current_revision(connection)
    if _is_recent_enough(current):
        return current
    for revision in _revisions():
        if current is None or revision > current:
            await _migrate(connection, revision)
    return _revisions()[-1]


async def check_schema(connection: AsyncConnection) -> str:
    """Return the schema's revision: the newest that this release of loopgauge knows, or a later one.

    A migration adds to the schema (expand), and removes only what the previous release no longer uses (contract). This
    release therefore works with the revision of the next release, although it does not know that revision.

    Raises:
        DatabaseError: the schema is missing, or lacks a revision that this release needs.
    """
    current = await _current_revision(connection)
    if not _is_recent_enough(current):
        state = f"is at revision {current}" if current else "is missing"
        raise DatabaseError(f"the schema {state}, {_revisions()[-1]} is needed; run: loopgauge migrate")
    return current


def _migrations() -> Path:
    package = Path(__file__).parents[1]
    # In a wheel, the migrations are inside the package; in a checkout, they are beside the package.
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


@cache
def _revisions() -> tuple[str, ...]:
    """All revisions that this release knows, the newest last. A revision is the prefix of its file's name."""
    return tuple(sorted(path.stem.partition("_")[0] for path in _migrations().glob("versions/*.py")))


def _is_recent_enough(revision: str | None) -> TypeGuard[str]:
    """Whether a revision is the newest that this release knows, or is unknown and therefore from a later release."""
    *older, _ = _revisions()
    return revision is not None and revision not in older


async def _current_revision(connection: AsyncConnection) -> str | None:
    if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


async def _migrate(connection: AsyncConnection, revision: str) -> None:
    """Upgrade the schema by one revision.

    Raises:
        DatabaseUnprepared: the migration failed because the schema or its data differ from what loopgauge created.
    """
    try:
        await connection.run_sync(_upgrade, revision)
    except DBAPIError as error:
        if not is_contradiction(error):
            raise
        raise DatabaseUnprepared(
            f"migration {revision} failed and was undone: {cause(error)}; the schema or its data differ from what"
            " loopgauge created: undo the change or restore a backup, then run: loopgauge migrate"
        ) from error


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command, config  # noqa: PLC0415 - takes a tenth of the time of all imports

    settings = config.Config()
    settings.set_main_option("script_location", str(_migrations()))
    settings.attributes["connection"] = connection
    command.upgrade(settings, revision)

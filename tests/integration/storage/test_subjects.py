"""Subjects are looked up by name, by the beginning of a hash and by address, and each lookup follows indexes."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from service.lifecycle.references import Ref
from service.storage import subjects
from service.storage.database import Connection, Database

_MANY = 20_000
_FILL = (
    """
    INSERT INTO experiments (id, root, title, url, team, idea_at, idea_inferred, last_activity_at)
    SELECT gen_random_uuid(), 'github:acme/app' || n % 100 || '#' || n, 'try',
    'https://github.com/acme/app/issues/' || n, 'search', now(), false, now() FROM generate_series(1, :many) AS n
    """,
    """
    INSERT INTO events (subject, id, kind, occurred_at, received_at, data)
    SELECT 'github:acme/app' || n % 100 || '#' || n, gen_random_uuid(), 'started', now(), now(), '{}'
    FROM generate_series(1, :many) AS n
    """,
    """
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT 'commit:' || md5(CAST(n AS text)) || 'ffffffff', 'push', 'x', ARRAY['gitlab:acme/app' || '#' || n], now()
    FROM generate_series(1, :many) AS n
    """,
)
STORED, TARGET = Ref("github:acme/app7#7"), Ref("gitlab:acme/app#7")
SHA = "8f14e45fceea167a5a36dedd4bea2543ffffffff"
COMMIT = Ref(f"commit:{SHA}")
UNKNOWN = Ref("key:unknown")
_Lookup = Callable[[Connection], Awaitable[Any]]
LOOKUPS: dict[str, tuple[_Lookup, Any]] = {
    "stored": (lambda c: subjects.select_stored(c, [STORED, TARGET, COMMIT, UNKNOWN]), {STORED}),
    "linked": (lambda c: subjects.select_linked(c, [STORED, TARGET, COMMIT, UNKNOWN]), {TARGET, COMMIT}),
    "hash": (lambda c: subjects.commits_beginning(c, Ref(f"commit:{SHA[:7]}")), [COMMIT]),
    "no hash": (lambda c: subjects.commits_beginning(c, Ref("commit:0000000")), []),
    "address": (
        lambda c: subjects.roots_by_address(c, ["https://github.com/acme/app/issues/7", "", "https://unknown"]),
        {"https://github.com/acme/app/issues/7": [STORED]},
    ),
}


async def _fill(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in _FILL:
            await connection.execute(text(statement), {"many": _MANY})
        await connection.execute(text("ANALYZE experiments, events, links"))


@pytest.mark.oldest_postgresql_too
async def test_each_lookup_finds_its_subjects_and_scans_no_table(database: Database) -> None:
    await _fill(database)
    statements: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        statements.append((arguments[2], arguments[3]))

    async with database.read_transaction() as connection:
        for name, (look_up, expected) in LOOKUPS.items():
            assert await look_up(connection) == expected, name
        around = await subjects.roots_around(connection, STORED)
        assert STORED in around
        assert len(around) == 100
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        for look_up, _ in LOOKUPS.values():
            await look_up(connection)
        await subjects.roots_around(connection, STORED)
        event.remove(connection.sync_connection, "before_cursor_execute", note)
        for statement, parameters in statements:
            plan = (await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars().all()
            assert "Seq Scan" not in "\n".join(plan), "\n".join(plan)
    assert len(statements) == len(LOOKUPS) + 1


@pytest.mark.oldest_postgresql_too
async def test_an_address_of_any_length_is_stored_and_found(database: Database) -> None:
    address = "https://tracker.example.com/" + "long/" * 2000
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO experiments (id, root, title, url, team, idea_at, idea_inferred, last_activity_at) "
                "VALUES (gen_random_uuid(), 'key:a', '', :address, '', now(), false, now())"
            ),
            {"address": address},
        )
        assert await subjects.roots_by_address(connection, [address]) == {address: [Ref("key:a")]}

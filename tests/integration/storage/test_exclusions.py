"""Exclusions are stored, replaced and listed."""

import pytest
from sqlalchemy import text

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.references import Ref
from service.storage import exclusions
from service.storage.database import Database
from tests.support.builders import at

pytestmark = pytest.mark.oldest_postgresql_too
ONE, OTHER = Ref("github:acme/app#45"), Ref("jira:ML-12")


async def test_exclusions_since_a_time_are_listed_in_order(database: Database) -> None:
    async with database.transaction() as connection:
        current = {ONE: Exclusion("duplicate", at(5)), OTHER: Exclusion("unmarked", at(3))}
        await exclusions.replace(connection, current, [])
        assert await exclusions.select_subjects(connection, [ONE, Ref("key:unknown")]) == {ONE}
        assert await exclusions.list_since(connection, at(3)) == [
            Exclusion("unmarked", at(3)),
            Exclusion("duplicate", at(5)),
        ]
        assert await exclusions.list_since(connection, at(4)) == [Exclusion("duplicate", at(5))]


async def test_a_replaced_exclusion_is_stored_once_and_an_obsolete_one_is_deleted(database: Database) -> None:
    async with database.transaction() as connection:
        await exclusions.replace(connection, {ONE: Exclusion("duplicate", at(5)), OTHER: Exclusion("moved", at(5))}, [])
        await exclusions.replace(connection, {ONE: Exclusion("deleted", at(6))}, [OTHER])
        rows = await connection.execute(text("SELECT * FROM exclusions"))
        assert [tuple(row) for row in rows] == [(ONE, "deleted", at(6))]


async def test_an_exclusion_that_does_not_change_is_not_written_again(database: Database) -> None:
    versions = []
    for _ in range(2):
        async with database.transaction() as connection:
            await exclusions.replace(connection, {ONE: Exclusion("duplicate", at(5))}, [])
            versions.append(await connection.scalar(text("SELECT xmin::text FROM exclusions")))
    assert versions[0] == versions[1]

"""What is left out of figures, as it is stored."""

import pytest
from sqlalchemy import text

from service.lifecycle.excluded import Excluded
from service.lifecycle.references import Ref
from service.storage import exclusions
from service.storage.database import Database
from tests.support.builders import at

pytestmark = pytest.mark.oldest_postgresql_too
ONE, OTHER = Ref("github:acme/app#45"), Ref("jira:ML-12")


async def test_what_is_left_out_is_told_since_a_time_in_order(database: Database) -> None:
    async with database.transaction() as connection:
        left_out = {ONE: Excluded("duplicate", at(5)), OTHER: Excluded("unmarked", at(3))}
        await exclusions.replace(connection, left_out, [])
        assert await exclusions.known(connection, [ONE, Ref("key:unknown")]) == {ONE}
        assert await exclusions.since(connection, at(3)) == [Excluded("unmarked", at(3)), Excluded("duplicate", at(5))]
        assert await exclusions.since(connection, at(4)) == [Excluded("duplicate", at(5))]


async def test_what_is_replaced_is_stored_once_and_what_is_gone_not_at_all(database: Database) -> None:
    async with database.transaction() as connection:
        await exclusions.replace(connection, {ONE: Excluded("duplicate", at(5)), OTHER: Excluded("moved", at(5))}, [])
        await exclusions.replace(connection, {ONE: Excluded("deleted", at(6))}, [OTHER])
        rows = await connection.execute(text("SELECT * FROM exclusions"))
        assert [tuple(row) for row in rows] == [(ONE, "deleted", at(6))]

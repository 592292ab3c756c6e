"""PostgreSQL and the domain have the same rule for team names."""

import pytest
from sqlalchemy import text

from service.lifecycle.teams import is_team_name
from service.storage.database import Database
from service.storage.tables import WITHOUT_TEAM


@pytest.mark.parametrize("team", ["", "_", "_none", "search", "a_b", " _x", "%", "Ünïcode"])
async def test_postgresql_and_the_domain_agree_on_team_names(database: Database, team: str) -> None:
    async with database.read_transaction() as connection:
        without_team = await connection.scalar(
            text(f"SELECT {WITHOUT_TEAM} FROM (SELECT CAST(:team AS text) AS team) AS given"),
            {"team": team},
        )
    assert without_team is not is_team_name(team)

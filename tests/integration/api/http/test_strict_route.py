"""Endpoints that query the database refuse unknown parameters, and give up on a frozen PostgreSQL."""

import pytest

from service.api.http import strict_route
from service.storage.database import Database
from tests.support.outage import line_to
from tests.support.road import api, is_problem


@pytest.mark.parametrize(
    "path",
    ["/experiments?tema=search", "/scorecard?tean=search", "/deliveries?verdct=failed", "/experiments/key:a?x=1"],
)
async def test_the_refusal_of_a_misspelt_parameter_names_the_parameter(database: Database, path: str) -> None:
    async with api(database) as client:
        answer = await client.get(path)
    wrong = path.partition("?")[2].partition("=")[0]
    assert is_problem(answer, 422, "invalid")
    assert [one["field"] for one in answer.json()["errors"]] == [f"query.{wrong}"]


async def test_a_request_while_postgresql_is_frozen_is_answered_503(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = {"write": "a write token"}
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, api_tokens=token) as client:
            assert (await client.get("/experiments")).status_code == 200
            monkeypatch.setattr(strict_route, "TIMEOUT_SECONDS", 0.5)
            line.freeze()
            asked = [await client.get(path) for path in ("/experiments", "/experiments/key:a", "/deliveries")]
            headers = {"authorization": "Bearer a write token"}
            posted = await client.post("/experiments/key:a/events", json={"event": "proposed"}, headers=headers)
            await line.mend()
        await far.close()
    for answer in (*asked, posted):
        assert is_problem(answer, 503, "database-unavailable")
        assert answer.headers["retry-after"]


async def test_a_body_that_is_not_utf_8_is_invalid(database: Database) -> None:
    headers = {"authorization": "Bearer an admin token", "content-type": "application/json"}
    async with api(database, api_tokens={"admin": "an admin token"}) as client:
        answer = await client.post("/deliveries/retry", content=b"\xff", headers=headers)
    assert is_problem(answer, 422, "invalid")


async def test_the_address_of_the_retries_cannot_be_read(database: Database) -> None:
    async with api(database) as client:
        answer = await client.get("/deliveries/retry")
    assert is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"

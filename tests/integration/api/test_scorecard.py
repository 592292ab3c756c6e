"""`GET /scorecard` checks the token and the parameters, and answers the four questions of the scorecard."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from service.scorecard.figure import Scorecard
from service.storage.database import Database
from tests.support.builders import Issue
from tests.support.road import api, deliver, is_problem

TOKEN = {"authorization": "Bearer r3ad-t0ken"}
LABELS = ("experiment", "team:search", "risk:bold", "outcome:failed", "failure:intelligent", "learning:shared")


async def _failed(database: Database) -> None:
    """Deliver an experiment of the team `search` that failed three days ago, four days after its idea."""
    now = datetime.now(UTC).replace(microsecond=0)
    issue = Issue(created_at=now - timedelta(days=7), labels=LABELS)
    _, closed = issue.closed(now - timedelta(days=3))
    await deliver(database, issue.opened(), closed)


async def test_the_scorecard_answers_the_four_questions_for_the_organisation_and_for_a_team(database: Database) -> None:
    await _failed(database)
    async with api(database, min_sample=1) as client:
        organisation = await client.get("/scorecard")
        team = await client.get("/scorecard", params={"team": "Search", "window": "30d"})
    for response, name, window in ((organisation, "_org", "90d"), (team, "search", "30d")):
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        shown = Scorecard.model_validate_json(response.content)
        assert (shown.team, shown.window, shown.teams) == (name, window, ("search",))
        median = response.json()["idea_to_answer"]["median"]
        assert (median["value"], median["words"], median["n"]) == (4 * 86400, "4 days", 1)
        assert shown.failures.biggest.value == ["intelligent"]
        assert (shown.bold_or_safe.bold.value, shown.sharing.failed.value) == (1, 1)
        assert shown.sharing.last_failure_shared.value is not None


async def test_people_get_a_page_with_the_table_and_links_to_teams_windows_and_json(database: Database) -> None:
    await _failed(database)
    async with api(database, min_sample=1) as client:
        page = await client.get("/scorecard", params={"format": "html"})
        links = [unescape(link) for link in re.findall('<a href="([^"]+)"', page.text)]
        answers = {link: await client.get(f"/scorecard{link}") for link in links}
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "'unsafe" not in page.headers["content-security-policy"]
    [shown] = re.findall('<pre class="table">(.*?)</pre>', page.text, re.DOTALL)
    assert re.search(r"^  median +4 days, threshold 14 days +n 1$", shown, re.MULTILINE)
    assert re.search(r"^  biggest group +intelligent$", shown, re.MULTILINE)
    assert ("--team" in page.text, "<script" in page.text) == (False, False)
    assert {answer.status_code for answer in answers.values()} == {200}
    titles = {re.findall("<pre[^>]*>(.*),", answer.text)[0] for link, answer in answers.items() if "html" in link}
    assert titles == {"all teams", "search"}
    assert {f"window={window}&" in "".join(links) for window in ("7d", "30d", "90d", "365d")} == {True}
    [json] = [answer.json() for link, answer in answers.items() if "format=json" in link]
    assert (json["team"], json["window"]) == ("_org", "90d")


async def test_the_page_escapes_the_name_of_a_team(database: Database) -> None:
    issue = Issue(created_at=datetime.now(UTC) - timedelta(days=7), labels=("experiment", 'team:<b>"&amp;'))
    await deliver(database, issue.opened())
    async with api(database) as client:
        page = await client.get("/scorecard", params={"format": "html", "team": '<b>"&amp;'})
        links = [unescape(link) for link in re.findall('<a href="([^"]+)"', page.text)]
        statuses = {(await client.get(f"/scorecard{link}")).status_code for link in links}
    assert (page.status_code, statuses) == (200, {200})
    assert "<b>" not in page.text
    assert page.text.count("&lt;b&gt;&quot;&amp;amp;") == 2


async def test_an_unknown_format_is_refused(database: Database) -> None:
    async with api(database) as client:
        assert is_problem(await client.get("/scorecard", params={"format": "xml"}), 422, "invalid")


async def test_without_experiments_every_value_is_null_with_a_reason(database: Database) -> None:
    async with api(database) as client:
        shown = (await client.get("/scorecard")).json()
    assert (shown["teams"], shown["minimum_sample"]) == ([], 5)
    assert shown["idea_to_answer"]["median"] == {
        "value": None,
        "words": None,
        "n": 0,
        "reason": "none answered",
        "previous": {"value": None, "words": None, "n": 0, "reason": "no experiment existed then"},
    }


async def test_the_problem_for_an_unknown_team_lists_the_teams(database: Database) -> None:
    await _failed(database)
    async with api(database) as client:
        response = await client.get("/scorecard", params={"team": "serch"})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["type"] == "urn:loopgauge:problem:unknown-team"
    assert response.json()["detail"] == "no experiment belongs to the team serch; did you mean search?"


@pytest.mark.parametrize("window", ["", "90", "59m", "3654d", "99999999999d", "-1d", "P90D", "0d", "30m 1h"])
async def test_the_refusal_of_a_malformed_window_shows_the_expected_form(database: Database, window: str) -> None:
    async with api(database) as client:
        response = await client.get("/scorecard", params={"window": window})
    assert is_problem(response, 422, "invalid")
    assert "expected a " in response.json()["detail"]


@pytest.mark.parametrize(
    ("window", "told"),
    [("1h", "1h"), ("60m", "1h"), ("24h", "1d"), ("3653d", "3653d"), ("2w", "14d"), ("2 weeks", "14d")],
)
async def test_a_window_is_answered_with_its_canonical_form(database: Database, window: str, told: str) -> None:
    async with api(database) as client:
        response = await client.get("/scorecard", params={"window": window})
    assert (response.status_code, response.json()["window"]) == (200, told)


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"authorization": "Bearer no"}, 401), (TOKEN, 200)])
async def test_the_scorecard_requires_the_read_token(database: Database, headers: dict[str, str], status: int) -> None:
    async with api(database, api_tokens={"read": "r3ad-t0ken"}) as client:
        response = await client.get("/scorecard", headers=headers)
    assert response.status_code == status


async def test_without_a_read_token_the_scorecard_is_refused_to_other_machines(database: Database) -> None:
    async with api(database, host="0.0.0.0") as client:
        response = await client.get("/scorecard")
    assert response.status_code == 403


async def test_without_a_database_the_scorecard_is_answered_503_with_retry_after(gone: Database) -> None:
    async with api(gone) as client:
        response = await client.get("/scorecard")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"] == "urn:loopgauge:problem:database-unavailable"


async def test_the_openapi_document_has_an_example_of_a_scorecard_and_each_problem(database: Database) -> None:
    async with api(database) as client:
        described = (await client.get("/openapi.json")).json()["paths"]["/scorecard"]["get"]
    assert set(described["responses"]) == {"200", "401", "403", "404", "422", "429", "503"}
    answer = described["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/Scorecard"}
    assert Scorecard.model_validate(answer["example"]).teams == ("platform", "search")
    assert "text/html" in described["responses"]["200"]["content"]
    (window,) = (one["schema"] for one in described["parameters"] if one["name"] == "window")
    assert (window["type"], window["default"]) == ("string", "90d")
    # `{}` means that a request may have no token: requests to a loopback address need none.
    assert described["security"] == [{}, {"HTTPBearer": []}]


async def test_every_documented_window_is_answered(database: Database) -> None:
    async with api(database) as client:
        parameters = (await client.get("/openapi.json")).json()["paths"]["/scorecard"]["get"]["parameters"]
        pattern = next(one for one in parameters if one["name"] == "window")["schema"]["pattern"]
        for window in ("1h", "9999h", "1d", "999d", "1000d", "2999d", "3599d", "3653d", "1w", "521w"):
            assert re.fullmatch(pattern, window)
            assert (await client.get("/scorecard", params={"window": window})).status_code == 200
        for window in ("0h", "0d", "3654d", "10000h", "01d", "522w"):
            assert not re.fullmatch(pattern, window)

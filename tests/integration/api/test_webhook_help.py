"""A webhook's address tells people who open it what it is for and, after a redirect by GitHub, what to run next."""

import json
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from service.storage.database import Database
from tests.integration.api.test_home import BROWSER
from tests.support.builders import SECRET
from tests.support.documents import example
from tests.support.paths import REPOSITORY
from tests.support.road import api, is_problem, read_deliveries

_CODE = "a180b1a3d263c81bc6441d7b990bae27d4c10679"
_COMMAND = f"curl --request POST https://api.github.com/app-manifests/{_CODE}/conversions"
_JIRA = {"jira": {"secret": SECRET}, "git_hub_eu": {"provider": "github", "secret": f"{SECRET} 2"}}


async def _visit(database: Database, path: str, **headers: str) -> httpx.Response:
    async with api(database, sources=_JIRA) as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("path", ["/webhooks/jira", "/webhooks/Jira/"])
async def test_a_browser_gets_a_page_that_names_the_purpose_of_the_address(database: Database, path: str) -> None:
    response = await _visit(database, path, **BROWSER)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "receives the webhooks of the source jira" in response.text
    assert "POST" in response.text
    assert response.headers["vary"] == "accept"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert await read_deliveries(database) == []


async def test_a_program_gets_the_purpose_as_json(database: Database) -> None:
    response = await _visit(database, "/webhooks/jira")
    shown = response.json()
    assert (response.status_code, shown["source"], shown["method"], shown["command"]) == (200, "jira", "POST", None)
    assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


async def test_head_is_answered(database: Database) -> None:
    async with api(database) as client:
        assert (await client.head("/webhooks/github")).status_code == 200


async def test_the_address_of_an_unknown_source_names_the_setting_of_its_secret(database: Database) -> None:
    as_page = await _visit(database, "/webhooks/gitlab-eu", **BROWSER)
    as_json = await _visit(database, "/webhooks/gitlab-eu")
    assert as_page.status_code == 404
    assert "LOOPGAUGE_SOURCES__GITLAB_EU__SECRET" in as_page.text
    assert is_problem(as_json, 404, "unknown-source")
    assert as_json.headers["vary"] == "accept"


@pytest.mark.parametrize("source", ["github", "git-hub-eu"])
async def test_after_the_redirect_by_github_the_command_to_run_next_is_shown(database: Database, source: str) -> None:
    path = f"/webhooks/{source}?code={_CODE}&state=x"
    as_page = await _visit(database, path, **BROWSER)
    as_json = (await _visit(database, path)).json()
    setting = f"LOOPGAUGE_SOURCES__{source.upper().replace('-', '_')}__SECRET"
    assert (as_page.status_code, as_json["command"]) == (200, _COMMAND)
    assert f"<pre>{_COMMAND}</pre>" in as_page.text
    assert setting in as_page.text
    assert setting in as_json["next_step"]
    assert as_page.headers["cache-control"] == "no-store"
    assert as_page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "code",
    [
        "",
        "x/conversions;reboot",
        "$(reboot)",
        "`reboot`",
        "<script>alert(1)</script>",
        "a\nreboot",
        "a" * 101,
        "é",
        "\x00",
    ],
)
async def test_a_code_that_github_cannot_have_sent_is_not_shown(database: Database, code: str) -> None:
    async with api(database) as client:
        for headers in (BROWSER, {}):
            response = await client.get("/webhooks/github", params={"code": code}, headers=headers)
            assert response.status_code == 200
            assert "is not one of GitHub" in response.text
            assert "conversions" not in response.text
            assert "reboot" not in response.text
            assert "script" not in response.text


@pytest.mark.parametrize("name", ["%C2%84", "-github", "git%20hub", "%3Cb%3E"])
async def test_an_address_that_no_source_can_have_is_not_found_even_with_a_code(database: Database, name: str) -> None:
    response = await _visit(database, f"/webhooks/{name}?code={_CODE}")
    assert is_problem(response, 404, "unknown-source")


async def test_a_code_for_a_source_of_another_provider_is_ignored(database: Database) -> None:
    response = await _visit(database, f"/webhooks/jira?code={_CODE}")
    assert response.json()["command"] is None


async def test_the_name_of_a_source_is_escaped_in_the_page(database: Database) -> None:
    response = await _visit(database, "/webhooks/<b>x&y", **BROWSER)
    assert response.status_code == 404
    assert "<b>" not in response.text.casefold()
    assert "&lt;b&gt;" in response.text.casefold()


async def test_the_redirect_of_the_documented_app_answers_behind_the_ingress_of_the_chart(database: Database) -> None:
    redirect = urlsplit(json.loads(example("a GitHub App"))["redirect_url"])
    exposed = yaml.safe_load((REPOSITORY / "helm" / "loopgauge" / "values.yaml").read_text())["ingress"]["paths"]
    assert any(redirect.path.startswith(f"{path}/") for path in exposed)
    async with api(database, sources={}) as client:
        response = await client.get(redirect.path, params={"code": _CODE}, headers=BROWSER)
    assert (response.status_code, _COMMAND in response.text) == (200, True)

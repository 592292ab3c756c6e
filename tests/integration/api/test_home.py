"""`GET /` links to what the service offers: a page for browsers, and JSON for programs."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from service.storage.database import Database
from tests.support.road import api, bearer, is_problem

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
_READ = "LOOPGAUGE_API_TOKENS__READ"
_READS = ["/scorecard", "/experiments", "/sources", "/deliveries"]
_PAGE_OF_SCORECARD = "scorecard?format=html"
_VOID = {"meta", "link"}


class _Page(HTMLParser):
    """Reads a page. Every element must be closed, in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, Mapping[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @property
    def links(self) -> list[str | None]:
        return [attributes["href"] for tag, attributes in self.seen if tag == "a"]


async def _links(client: httpx.AsyncClient, **headers: str) -> dict[str, Mapping[str, Any]]:
    home = (await client.get("/", headers=headers)).json()
    return {link["path"]: link for link in home["links"]}


async def test_a_browser_gets_a_page_whose_links_open(database: Database) -> None:
    async with api(database) as client:
        response = await client.get("/", headers=BROWSER)
        page = _Page(response.text)
        opened = {link: (await client.get(f"/{link}")).status_code for link in page.links}
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert set(opened) == {"docs", "metrics", _PAGE_OF_SCORECARD, "experiments", "sources", "deliveries", "readyz"}
    assert set(opened.values()) == {200}
    assert "Ready: loopgauge can store deliveries." in response.text
    assert "No source" not in response.text


async def test_the_link_to_the_scorecard_opens_a_table_and_names_the_command(database: Database) -> None:
    async with api(database) as client:
        home = (await client.get("/", headers=BROWSER)).text
        opened = await client.get(f"/{_PAGE_OF_SCORECARD}", headers=BROWSER)
    assert f'<a href="{_PAGE_OF_SCORECARD}">/scorecard</a>' in home
    assert "In a terminal: <code>loopgauge scorecard</code>." in home
    assert opened.headers["content-type"] == "text/html; charset=utf-8"
    assert '<pre class="table">' in opened.text


async def test_the_page_is_accessible_and_runs_no_scripts(database: Database) -> None:
    async with api(database) as client:
        response = await client.get("/", headers=BROWSER)
    page = _Page(response.text)
    tags = [tag for tag, _ in page.seen]
    assert response.text.startswith("<!DOCTYPE html>\n")
    assert ("html", {"lang": "en"}) in page.seen
    assert [tags.count(tag) for tag in ("title", "main", "h1")] == [1, 1, 1]
    assert "script" not in tags
    assert "style=" not in response.text
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
async def test_a_program_gets_the_same_links_as_json(database: Database, accept: str) -> None:
    async with api(database) as client:
        response = await client.get("/", headers={"accept": accept})
        page = _Page((await client.get("/", headers=BROWSER)).text)
    home = response.json()
    assert (home["name"], home["ready"]) == ("loopgauge", True)
    paths = [f"/{link}" for link in page.links]
    assert [link["path"] for link in home["links"]] == [path.removesuffix("?format=html") for path in paths]
    assert {link["access"] for link in home["links"]} == {"open"}


async def test_caches_keep_the_page_and_the_json_apart(database: Database) -> None:
    async with api(database) as client:
        assert [(await client.get("/", headers=headers)).headers["vary"] for headers in ({}, BROWSER)] == ["accept"] * 2


async def test_head_is_answered_and_other_methods_are_refused(database: Database) -> None:
    async with api(database) as client:
        head = await client.head("/", headers=BROWSER)
        refused = await client.post("/")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert is_problem(refused, 405, "method-not-allowed")


async def test_a_link_that_needs_a_token_names_the_setting_of_the_token(database: Database) -> None:
    async with api(database, host="0.0.0.0", api_tokens={"read": "r3ad-t0ken"}, metrics_token="m") as client:
        links = await _links(client)
        page = (await client.get("/", headers=BROWSER)).text
        refused = {path: (await client.get(path)).status_code for path in links}
        allowed = {path: (await client.get(path, headers=bearer("r3ad-t0ken"))).status_code for path in _READS}
    assert {path: link["setting"] for path, link in links.items() if link["access"] == "token"} == {
        "/metrics": "LOOPGAUGE_METRICS_TOKEN",
        **dict.fromkeys(_READS, _READ),
    }
    assert {path for path, status in refused.items() if status == 401} == {"/metrics", *_READS}
    assert set(allowed.values()) == {200}
    assert page.count(f"Needs the token of <code>{_READ}</code>") == 4
    assert "<pre>curl --header" in page


async def test_a_link_without_a_configured_token_is_closed(database: Database) -> None:
    async with api(database, host="0.0.0.0") as client:
        links = await _links(client)
        page = (await client.get("/", headers=BROWSER)).text
        refused = {path: (await client.get(path)).status_code for path in links}
    assert {path: link["setting"] for path, link in links.items() if link["access"] == "closed"} == {
        **dict.fromkeys(_READS, _READ),
        "/metrics": "LOOPGAUGE_METRICS_TOKEN",
    }
    assert {path for path, status in refused.items() if status == 403} == {"/metrics", *_READS}
    assert page.count(f"Closed until <code>{_READ}</code> is set") == 4
    assert "<pre>" not in page


async def test_on_loopback_the_links_are_closed_to_a_request_for_another_host(database: Database) -> None:
    async with api(database) as client:
        links = await _links(client, host="loopgauge.example.com")
    assert {path for path, link in links.items() if link["access"] == "closed"} == {"/metrics", *_READS}


@pytest.mark.parametrize(("role", "hints"), [("all", True), ("api", True), ("worker", False)])
async def test_without_a_source_the_page_says_how_to_configure_one(
    database: Database, role: str, *, hints: bool
) -> None:
    async with api(database, sources={}, role=role) as client:
        page = (await client.get("/", headers=BROWSER)).text
        hint = (await client.get("/")).json()["hint"]
    assert ("No source is configured" in page) == hints
    assert (hint is not None) == hints
    assert not hints or "LOOPGAUGE_SOURCES__GITHUB__SECRET" in hint


async def test_a_worker_links_only_to_the_paths_that_it_has(database: Database) -> None:
    async with api(database, role="worker") as client:
        statuses = {path: (await client.get(path)).status_code for path in await _links(client)}
    assert statuses == {"/docs": 200, "/metrics": 200, "/readyz": 200}

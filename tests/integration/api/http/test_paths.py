"""HTTP as people, probes and proxies speak it: HEAD, slashes, a prefix, encoded bodies, and JSON in a browser."""

import gzip
import json
import re
from urllib.parse import urljoin

import pytest
from pydantic import ValidationError

from service.settings import given_alone
from service.storage.database import Database
from tests.support.builders import Issue, at
from tests.support.road import api, deliver, is_problem, post

_BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
_OPENED = Issue(created_at=at(2)).opened()
_NAME = "github:acme%2Fapp%2345"
_ADDRESS = "https:%2F%2Fgithub.com/acme/app/issues/45"
_READS = ["/", "/docs", "/docs/start.js", "/openapi.json", "/livez", "/readyz", "/metrics", "/deliveries", "/sources"]
_READS += ["/experiments", f"/experiments/{_NAME}", f"/experiments/{_NAME}/explain", "/scorecard", "/webhooks/github"]
_WRITES = ["/events", f"/experiments/{_NAME}/events", "/deliveries/retry", "/webhooks/github"]


def _url(path: str) -> str:
    return f"http://127.0.0.1{path}"


async def _known(database: Database) -> None:
    await deliver(database, _OPENED)


@pytest.mark.parametrize("headers", [{}, _BROWSER])
async def test_head_is_answered_wherever_get_is(database: Database, headers: dict[str, str]) -> None:
    await _known(database)
    async with api(database) as client:
        for path in _READS:
            answers = [await client.request(method, path, headers=headers) for method in ("GET", "HEAD")]
            got, head = answers
            assert (head.status_code, got.status_code) == (200, 200), path
            assert head.content == b"" or path.startswith("/webhooks/")
            kept = ("content-type", "vary", "cache-control", "content-security-policy")
            assert [head.headers.get(name) for name in kept] == [got.headers.get(name) for name in kept]
            if path not in {"/metrics", "/readyz"}:
                assert head.headers["content-length"] == str(len(got.content)), path


async def test_head_is_refused_as_get_is(database: Database) -> None:
    async with api(database, host="0.0.0.0", api_tokens={"read": "r3ad"}) as client:
        assert [(await client.head(path)).status_code for path in ("/deliveries", "/nothing")] == [401, 404]
        assert (await client.head("/events")).status_code == 405


async def test_head_requests_are_timed_as_head(database: Database) -> None:
    async with api(database) as client:
        await client.head("/deliveries")
        text = (await client.get("/metrics")).text
    assert re.search(r'_seconds_count\{method="HEAD",route="/deliveries",status="200"\} 1', text)


async def test_the_allowed_methods_include_head(database: Database) -> None:
    async with api(database) as client:
        allowed = [(await client.put(path)).headers["allow"] for path in ("/deliveries", "/", "/events")]
    assert allowed == ["GET, HEAD", "GET, HEAD", "POST"]


def _written(path: str) -> list[str]:
    """The path with slashes at its end, and with slashes doubled."""
    last = f"{path.removesuffix('/')}/"
    doubled = re.sub("/", "//", path)
    return [last, f"{last}/", f"/{path}", doubled, f"{doubled}//"]


@pytest.mark.parametrize("path", _READS)
async def test_a_slash_too_many_finds_the_same_answer(database: Database, path: str) -> None:
    await _known(database)
    async with api(database) as client:
        expected = await client.get(path)
        for written in _written(path):
            answer = await client.get(_url(written))
            assert (answer.status_code, answer.headers["content-type"]) == (200, expected.headers["content-type"])
            if path.startswith("/experiments/"):
                assert answer.json().keys() == expected.json().keys(), written


@pytest.mark.parametrize("path", _WRITES)
async def test_a_slash_too_many_finds_the_same_write(database: Database, path: str) -> None:
    async with api(database, api_tokens={"write": "w"}) as client:
        expected = (await client.post(path)).json()["type"]
        for written in _written(path):
            assert (await client.post(_url(written))).json()["type"] == expected, written


async def test_a_webhook_is_stored_once_whatever_its_slashes(database: Database) -> None:
    async with api(database) as client:
        results = [
            (await client.post(_url(written), content=_OPENED.body, headers=_OPENED.headers())).json()["status"]
            for written in ["/webhooks/github", *_written("/webhooks/github")]
        ]
    assert results == ["stored", *["duplicate"] * 5]


@pytest.mark.parametrize("name", [_ADDRESS, "https://github.com/acme/app/issues/45", f"{_ADDRESS}/", f"/{_ADDRESS}"])
@pytest.mark.parametrize("last", ["", "/explain", "//explain/"])
async def test_the_address_of_an_experiment_keeps_its_doubled_slash(database: Database, name: str, last: str) -> None:
    await _known(database)
    async with api(database) as client:
        answer = await client.get(_url(f"/experiments/{name}{last}"))
    named = answer.json().get("subject" if last else "root")
    assert (answer.status_code, named) == (200, "github:acme/app#45")


async def test_only_slashes_remain_unknown_or_home(database: Database) -> None:
    async with api(database) as client:
        assert (await client.get(_url("///"))).json()["name"] == "loopgauge"
        assert (await client.get(_url("/nothing//"))).status_code == 404
        assert (await client.get(_url("/webhooks//"))).status_code == 404
        assert (await client.get(_url("/experiments" + "/" * 50_000 + "x" + "/" * 10_000 + "y"))).status_code == 422


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs//", "//docs"])
async def test_the_page_of_the_api_finds_its_files_whatever_its_slashes(database: Database, path: str) -> None:
    async with api(database) as client:
        page = await client.get(_url(path))
        loaded = [file for file in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not file.startswith("data:")]
        found = [(await client.get(urljoin(_url(path), file))).status_code for file in loaded]
        script = (await client.get("/docs/start.js")).text
    assert found == [200] * 3
    assert 'new URL("../openapi.json", document.currentScript.src)' in script


@pytest.mark.parametrize("path", [path for path in [*_READS, *_WRITES] if path != "/"])
async def test_a_prefix_is_removed_whether_the_proxy_keeps_it_or_not(database: Database, path: str) -> None:
    await _known(database)
    method = "POST" if path in _WRITES[:3] else "GET"
    async with api(database, root_path="/tools/loopgauge", api_tokens={"write": "w"}) as client:
        answers = [
            await client.request(method, _url(f"{prefix}{path}"))
            for prefix in ("", "/tools/loopgauge", "//tools//loopgauge")
        ]
        beside = await client.request(method, _url(f"/tools/loopgaugex{path}"))
    assert len({(answer.status_code, answer.headers["content-type"]) for answer in answers}) == 1
    assert answers[0].status_code != 404
    assert beside.status_code == 404


async def test_links_and_paths_have_the_prefix(database: Database) -> None:
    root = "/tools/loopgauge"
    async with api(database, root_path=f"{root}/") as client:
        await post(client, _OPENED)
        home = (await client.get(root)).json()
        page = (await client.get(f"{root}/", headers=_BROWSER)).text
        document = (await client.get("/openapi.json")).json()
        paths = {source["name"]: source["path"] for source in (await client.get("/sources")).json()["sources"]}
        opened = [(await client.get(link["path"])).status_code for link in home["links"]]
        hint = (await client.get("/webhooks/git-hub")).json()["detail"]
    assert document["servers"] == [{"url": root}]
    assert {link["path"].rpartition("/")[0] for link in home["links"]} == {root}
    assert set(opened) == {200}
    links = [link["path"] for link in home["links"]]
    assert re.findall('href="(?!data)([^"]+)"', page) == [
        f"{path}?format=html" if path.endswith("/scorecard") else path for path in links
    ]
    assert paths["github"] == f"{root}/webhooks/github"
    assert paths["cloudevents"] == f"{root}/events"
    assert f"did you mean {root}/webhooks/github?" in hint


async def test_no_path_of_the_service_is_accepted_as_the_prefix(database: Database) -> None:
    async with api(database) as client:
        document = (await client.get("/openapi.json")).json()
    for prefix in {f"/{path.split('/')[1]}" for path in (*document["paths"], *_READS)} - {"/"}:
        with pytest.raises(ValidationError, match="a prefix that is not a path of the service itself"):
            given_alone(root_path=prefix)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP", "x" * 5000])
@pytest.mark.parametrize("path", _WRITES)
async def test_an_encoded_body_is_refused_with_what_to_do(database: Database, path: str, coding: str) -> None:
    async with api(database, api_tokens={"write": "w", "admin": "adm1n"}) as client:
        headers = {"content-encoding": coding, "authorization": "Bearer adm1n"}
        refused = await client.post(path, content=gzip.compress(b"{}"), headers=headers)
    assert is_problem(refused, 415, "body-encoded")
    assert "send it as it is, without this header" in refused.json()["detail"]
    assert refused.headers["accept-encoding"] == "identity"
    assert len(refused.content) < 1000


@pytest.mark.parametrize("path", [*_WRITES, "/webhooks/github"])
async def test_a_second_header_does_not_hide_the_coding_of_a_body(database: Database, path: str) -> None:
    signed = [(name.encode(), value.encode()) for name, value in _OPENED.headers().items()]
    for codings in ((b"gzip", b"identity"), (b"identity", b"gzip")):
        headers = [(b"content-encoding", coding) for coding in codings]
        async with api(database, api_tokens={"write": "w", "admin": "adm1n"}) as client:
            token = [(b"authorization", b"Bearer adm1n")]
            refused = await client.post(path, content=_OPENED.body, headers=[*headers, *signed, *token])
        assert is_problem(refused, 415, "body-encoded")


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_the_coding_identity_is_no_coding(database: Database, coding: str) -> None:
    async with api(database) as client:
        headers = {**_OPENED.headers(), "content-encoding": coding}
        assert (await client.post("/webhooks/github", content=_OPENED.body, headers=headers)).status_code == 202


async def test_a_browser_gets_indented_json_and_a_program_gets_it_compact(database: Database) -> None:
    await _known(database)
    async with api(database) as client:
        for path in ("/deliveries", "/scorecard", "/openapi.json", "/sources", "/nothing", f"/experiments/{_NAME}"):
            readable, compact = [await client.get(path, headers=headers) for headers in (_BROWSER, {})]
            assert readable.json().keys() == compact.json().keys()
            assert readable.text == f"{json.dumps(readable.json(), indent=2, ensure_ascii=False)}\n", path
            assert "\n" not in compact.text, path
            assert readable.headers["content-type"] == compact.headers["content-type"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0.5, application/json", ""])
async def test_json_is_compact_for_a_client_that_does_not_prefer_html(database: Database, accept: str) -> None:
    async with api(database) as client:
        assert "\n" not in (await client.get("/deliveries", headers={"accept": accept})).text

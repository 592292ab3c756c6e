"""Every operation in the OpenAPI document follows the access rules, and its answers have the security headers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from service.storage.database import Database
from tests.support.builders import Issue, at
from tests.support.road import api, bearer, is_problem, post, settle

TOKENS = {"read": "r3ad-t0ken", "write": "wr1te-t0ken", "admin": "adm1n-t0ken"}
_REQUEST = Issue(created_at=at(2)).opened()
_UNKNOWN = "00000000-0000-0000-0000-000000000001"
# These paths show no single delivery or experiment, so by default they need no token.
_OPEN = {"/", "/livez", "/readyz", f"/webhooks/{_UNKNOWN}"}
_WITHOUT_READ_TOKEN = {*_OPEN, "/metrics", "/sign-in"}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


async def _paths(client: httpx.AsyncClient, wanted: str) -> list[str]:
    """The paths of all operations with this method, with parameters filled in."""
    document = (await client.get("/openapi.json")).json()
    return [re.sub(r"\{.*?\}", _UNKNOWN, path) for path, method, _ in _operations(document) if method == wanted]


async def test_every_operation_is_described_in_full(database: Database) -> None:
    async with api(database, host="0.0.0.0", api_tokens=TOKENS, metrics_token="the metrics token") as client:
        document = (await client.get("/openapi.json")).json()
    operations = list(_operations(document))
    schemes = document["components"]["securitySchemes"]
    known = {tag["name"] for tag in document["tags"]}
    assert len({operation["operationId"] for *_, operation in operations}) == len(operations)
    for path, method, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= known, path
        public = {(public, "get") for public in ("/", "/livez", "/readyz", "/sign-in", "/webhooks/{source}")}
        assert (path, method) in public or operation["security"], path
        assert {name for one in operation.get("security", ()) for name in one} <= set(schemes), path
        if {"HTTPBearer": []} in operation.get("security", ()):
            assert {"401", "403"} <= set(operation["responses"]), path
        for status, answer in operation["responses"].items():
            assert answer["description"], (path, status)
            for media_type, content in answer["content"].items():
                assert (media_type == "application/problem+json") == (status[0] in "45"), (path, status)
                assert content["schema"], (path, status)
                if media_type == "application/problem+json":
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (path, status)
                    assert all(one["value"]["status"] == int(status) for one in content["examples"].values())
                    assert content["examples"], (path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_a_service_that_other_machines_can_reach_requires_a_token_except_for_probes(
    database: Database,
) -> None:
    async with api(database, host="0.0.0.0") as client:
        await post(client, _REQUEST)
        reads = {path: (await client.get(path)).status_code for path in await _paths(client, "get")}
        writes = {path: (await client.post(path)).status_code for path in await _paths(client, "post")}
    assert {path for path, status in reads.items() if status != 403} == _OPEN
    assert {path for path, status in writes.items() if status not in {401, 403, 404}} == set()


@pytest.mark.parametrize(
    "host",
    [
        *("loopgauge.example.com", "127.0.0.1.example.com", "", "[::2]", "10.0.0.1:8080", "localhost:evil.example.com"),
        *("127.0.0.1:80:evil", "[::1]evil.example.com", "[::1", "127.0.0.1, evil", "127.0.0.1@evil", "localhost/evil"),
    ],
)
async def test_a_service_on_loopback_requires_a_token_if_the_host_header_is_not_loopback(
    database: Database, host: str
) -> None:
    async with api(database) as client:
        for path in set(await _paths(client, "get")) - _OPEN:
            refused = await client.get(path, headers={"host": host})
            assert is_problem(refused, 403, "token-not-configured")
        for here in ("localhost:8080", "127.0.0.1", "127.0.0.2:80", "[::1]:8080"):
            for path in ("/deliveries", "/metrics"):
                assert (await client.get(path, headers={"host": here})).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"),
        *("X-Forwarded-Server", "X-Forwarded-Prefix", "X-Original-Forwarded-For", "X-Original-Host", "X-Real-IP"),
        *("X-Client-IP", "X-Cluster-Client-IP", "X-Envoy-External-Address", "CF-Connecting-IP", "True-Client-IP"),
    ],
)
async def test_a_request_that_a_proxy_forwarded_needs_a_token_although_it_names_the_loopback_interface(
    database: Database, header: str
) -> None:
    async with api(database) as client:
        for path in ("/deliveries", "/metrics"):
            refused = await client.get(path, headers={"host": "127.0.0.1:8080", header: "x"})
            assert is_problem(refused, 403, "token-not-configured")


async def test_open_reads_and_metrics_need_no_token_from_other_machines_but_a_token_that_is_set_stays_required(
    database: Database,
) -> None:
    opened: dict[str, Any] = {"host": "0.0.0.0", "open_reads": True, "open_metrics": True}
    async with api(database, **opened) as client:
        answers = [await client.get(path, headers={"host": "x.example.com"}) for path in ("/deliveries", "/metrics")]
        assert [answer.status_code for answer in answers] == [200, 200]
    async with api(database, **opened, api_tokens=TOKENS, metrics_token="m") as client:
        assert [(await client.get(path)).status_code for path in ("/deliveries", "/metrics")] == [401, 401]


async def test_each_token_opens_its_endpoints_and_the_admin_token_opens_all(database: Database) -> None:
    async with api(database, api_tokens=TOKENS) as client:
        for token in TOKENS.values():
            for path in set(await _paths(client, "get")) - _WITHOUT_READ_TOKEN:
                status = (await client.get(path, headers=bearer(token))).status_code
                assert (status == 401) == (token == TOKENS["write"]), (path, token, status)
        event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "other"}
        kind = {"content-type": "application/cloudevents+json"}
        statuses = {
            name: (await client.post("/events", json=event, headers=kind | bearer(token))).status_code
            for name, token in TOKENS.items()
        }
    assert statuses == {"read": 401, "write": 202, "admin": 202}


@pytest.mark.parametrize(
    "shown",
    [
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"bearer  r3ad-t0ken x"],
        [b"r3ad-t0ken"],
        [b"Basic r3ad-t0ken"],
        [b"Bearer \xff\xfe"],
        [b"Bearer " + "schlüssel".encode()],
        [b"Bearer r3ad-t0ken", b"Bearer r3ad-t0ken"],
        [b"Bearer r3ad-t0ken", b"Bearer other"],
        [b"Bearer " + b"x" * 60_000],
    ],
)
async def test_malformed_credentials_are_refused_without_an_error(database: Database, shown: list[bytes]) -> None:
    headers = [(b"authorization", value) for value in shown]
    async with api(database, api_tokens=TOKENS) as client:
        refused = await client.get("/deliveries", headers=headers)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_token_with_non_ascii_letters_is_compared_as_utf_8(database: Database) -> None:
    async with api(database, api_tokens={"read": "schlüssel-für-alle"}) as client:
        answer = await client.get("/deliveries", headers=[(b"authorization", "Bearer schlüssel-für-alle".encode())])
    assert answer.status_code == 200


async def test_every_answer_has_the_security_headers(database: Database) -> None:
    async with api(database) as client:
        answers = [
            await client.get("/deliveries"),
            await client.get("/nothing"),
            await client.get("/openapi.json"),
            await client.get("/metrics"),
            await client.put("/deliveries"),
            await post(client, _REQUEST),
            await client.post("/webhooks/github", content=b"{}"),
            await client.post("/webhooks/nobody", content=b"{}"),
            *[await client.get(path) for path in await _paths(client, "get")],
        ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


async def test_the_documentation_page_loads_nothing_from_other_hosts(database: Database) -> None:
    async with api(database) as client:
        page = await client.get("/docs")
        assert (await client.head("/docs")).status_code == 200
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        files = {name: await client.get(f"/{name}") for name in loaded if not name.startswith("data:")}
    assert set(files) == {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"}
    assert {one.status_code for one in files.values()} == {200}
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert files["docs/start.js"].headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    "path",
    [
        "/experiments/key:%00/explain",
        "/experiments/key:%ED%A0%80/explain",
        "/experiments/..%2F..%2Fetc%2Fpasswd/explain",
        "/experiments/../../etc/passwd/explain",
        "/experiments//explain",
        "/experiments/%FF/explain",
        "/deliveries?source=%00",
        "/deliveries?cursor=%00",
        "/deliveries?cursor=%ED%A0%80",
        "/deliveries?cursor=9999999999999999-00000000000000000000000000000001x",
        "/deliveries?since=1700000000",
        "/deliveries?since=2026-02-30T00:00:00Z",
        "/deliveries/%00",
        "/docs/../settings.py",
        "/docs/..%2F..%2Fsettings.py",
        "http://127.0.0.1//example.com/",
        "/%00",
    ],
)
async def test_unusual_paths_and_queries_are_answered_with_problems(database: Database, path: str) -> None:
    async with api(database) as client:
        answer = await client.get(path)
    assert answer.status_code in {404, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "location" not in answer.headers


async def test_a_cursor_of_any_age_is_valid(database: Database) -> None:
    async with api(database) as client:
        await post(client, _REQUEST)
        for microseconds in ("0", "9999999999999999"):
            answer = await client.get("/deliveries", params={"cursor": f"{microseconds}-{'0' * 32}"})
            assert (answer.status_code, len(answer.json()["deliveries"])) == (200, int(microseconds != "0"))


async def test_only_the_admin_token_reads_bodies(database: Database) -> None:
    secret = Issue(created_at=at(2), title="A confidential title").opened()
    async with api(database, api_tokens=TOKENS) as client:
        delivery = (await post(client, secret)).json()["delivery"]
        await settle(database)
        documented = (await client.get("/openapi.json")).json()
        paths = [path.replace("{delivery}", delivery) for path, method, _ in _operations(documented) if method == "get"]
        paths = [path for path in paths if "{" not in path]
        answers = {path: (await client.get(path, headers=bearer("r3ad-t0ken"))).text for path in paths}
        for_admins = (await client.get(f"/deliveries/{delivery}", headers=bearer("adm1n-t0ken"))).text
    assert "x-github-delivery" in for_admins
    assert [path for path, text in answers.items() if "x-github-delivery" in text or "octo-dev" in text] == []


@pytest.mark.parametrize(
    "path",
    [
        f"/experiments?{'&'.join(f'{number:x}=' for number in range(9000))}",
        f"/experiments?{'x' * 60_000}=1",
        f"/{'x' * 60_000}",
        f"/webhooks/{'x' * 60_000}",
    ],
    ids=["many parameters", "a long parameter", "a long path", "a long name of a source"],
)
async def test_an_answer_is_no_longer_than_its_request_makes_necessary(database: Database, path: str) -> None:
    async with api(database) as client:
        answers = [
            await client.get(path),
            await client.post(path),
            await client.get(path, headers={"accept": "text/html"}),
        ]
    for answer in answers:
        assert answer.status_code in {404, 405, 422}
        assert len(answer.content) < 10_000

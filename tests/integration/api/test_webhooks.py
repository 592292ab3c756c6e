"""`POST /webhooks/{source}` stores signed deliveries in the inbox or the spool, and refuses others with the reason."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Message

from service.app import create_app
from service.storage.database import Database
from service.storage.spool import FILE, Spool
from tests.support.builders import SECRET, Issue, at, github
from tests.support.outage import line_to, until
from tests.support.road import (
    RULES,
    api,
    exported_samples,
    is_problem,
    parse_samples,
    post,
    read_deliveries,
    settings,
    settle,
)

REQUEST = Issue(created_at=at(2)).opened()
PROBLEM = "application/problem+json"


async def test_a_signed_delivery_is_stored_and_a_redelivery_is_a_duplicate(database: Database) -> None:
    async with api(database) as client:
        first, second = await post(client, REQUEST), await post(client, REQUEST)
    assert (first.status_code, second.status_code) == (202, 202)
    [row] = await read_deliveries(database)
    assert first.json() == {"delivery": str(row.id), "status": "stored"}
    assert second.json() == {"delivery": str(row.id), "status": "duplicate"}
    assert (row.provider_id, row.received_at) == (REQUEST.delivery_id, at(2))


async def test_the_previous_secret_is_still_accepted(database: Database) -> None:
    async with api(database) as client:
        headers = REQUEST.headers(secret="the one before")
        response = await client.post("/webhooks/github", content=REQUEST.body, headers=headers)
    assert response.status_code == 202


BAD_SIGNATURES: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "empty": {"x-hub-signature-256": ""},
    "of another secret": {
        "x-hub-signature-256": "sha256=" + hmac.digest(b"another", REQUEST.body, "sha256").hex(),
    },
    "SHA-1 only": {"x-hub-signature": "sha1=" + hmac.digest(SECRET.encode(), REQUEST.body, "sha1").hex()},
    "SHA-1 in the new header": {
        "x-hub-signature-256": "sha1=" + hmac.digest(SECRET.encode(), REQUEST.body, "sha1").hex(),
    },
    "without a prefix": {"x-hub-signature-256": hmac.digest(SECRET.encode(), REQUEST.body, "sha256").hex()},
    "not hexadecimal": {"x-hub-signature-256": "sha256=" + "g" * 64},
    "not ASCII": {"x-hub-signature-256": "sha256=é"},
    "huge": {"x-hub-signature-256": "sha256=" + "0" * 30_000},
}


@pytest.mark.parametrize("bad", BAD_SIGNATURES)
async def test_a_bad_signature_is_refused_and_nothing_is_stored(database: Database, bad: str) -> None:
    signed = {"x-github-event": "issues", "x-github-delivery": "1", **BAD_SIGNATURES[bad]}
    headers = httpx.Headers(signed, encoding="utf-8")
    async with api(database) as client:
        response = await client.post("/webhooks/github", content=REQUEST.body, headers=headers)
    assert is_problem(response, 401, "signature-refused")
    assert await read_deliveries(database) == []


async def test_a_body_with_a_flipped_bit_is_refused(database: Database) -> None:
    flipped = bytes([REQUEST.body[0] ^ 1]) + REQUEST.body[1:]
    async with api(database) as client:
        response = await client.post("/webhooks/github", content=flipped, headers=REQUEST.headers())
    assert is_problem(response, 401, "signature-refused")


async def test_the_refusal_of_a_sha1_signature_says_what_to_send_instead(database: Database) -> None:
    async with api(database) as client:
        headers = {**BAD_SIGNATURES["SHA-1 only"], "x-github-event": "issues"}
        response = await client.post("/webhooks/github", content=REQUEST.body, headers=headers)
    assert "X-Hub-Signature-256 is required" in response.json()["detail"]


@pytest.mark.parametrize("source", ["nobody", "github2", "git%20hub", "%00", "é"])
async def test_an_unknown_source_is_not_found(database: Database, source: str) -> None:
    async with api(database) as client:
        response = await post(client, REQUEST, source)
    assert is_problem(response, 404, "unknown-source")
    assert await read_deliveries(database) == []


async def test_a_misspelt_source_is_answered_with_the_nearest_one(database: Database) -> None:
    async with api(database) as client:
        response = await post(client, REQUEST, "gihub")
        page = await client.get("/webhooks/gihub", headers={"accept": "text/html"})
    assert is_problem(response, 404, "unknown-source")
    assert "did you mean /webhooks/github?" in response.json()["detail"]
    assert "Did you mean /webhooks/github?" in page.text


async def test_a_source_may_be_written_with_hyphens_and_capitals(database: Database) -> None:
    sources = {"git_hub_eu": {"provider": "github", "secret": SECRET}}
    async with api(database, sources=sources) as client:
        response = await post(client, REQUEST, "Git-Hub-EU")
    assert response.status_code == 202
    assert [row.source for row in await read_deliveries(database)] == ["git_hub_eu"]


async def test_another_method_is_not_allowed(database: Database) -> None:
    async with api(database) as client:
        response = await client.put("/webhooks/github")
    assert is_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


class _Client:
    """An ASGI client that records how much of a body the application reads."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], chunks: Iterator[bytes]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._chunks = chunks
        self.asked = 0
        self.status = 0

    async def post(self) -> int:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/webhooks/github",
            "raw_path": b"/webhooks/github",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": self._headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        await self._app(scope, self._receive, self._send)
        return self.status

    async def _receive(self) -> Message:
        self.asked += 1
        chunk = next(self._chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


@pytest.fixture
async def small_app(database: Database) -> AsyncIterator[ASGIApp]:
    """An application that accepts up to 1000 bytes in one body, and 3000 bytes in all concurrent bodies."""
    app = create_app(settings(max_body_bytes=1000, max_inflight_bytes=3000), RULES, database, lambda: at(2))
    async with app.lifespan():
        yield app


def _chunks(number: int, size: int = 100) -> Iterator[bytes]:
    return (b"x" * size for _ in range(number))


async def test_a_body_declared_over_the_limit_is_refused_before_it_is_read(small_app: ASGIApp) -> None:
    client = _Client(small_app, {"content-length": "1001"}, _chunks(11))
    assert await client.post() == 413
    assert client.asked == 0


async def test_a_body_over_the_limit_is_refused_before_all_of_it_is_read(small_app: ASGIApp) -> None:
    client = _Client(small_app, {"transfer-encoding": "chunked"}, _chunks(1000))
    assert await client.post() == 413
    assert client.asked == 11


async def test_a_body_at_the_limit_is_read(small_app: ASGIApp) -> None:
    client = _Client(small_app, {}, _chunks(10))
    assert await client.post() == 401
    assert client.asked == 11


async def test_one_of_several_concurrent_bodies_is_refused_if_they_exceed_their_common_limit(
    small_app: ASGIApp,
) -> None:
    waiting = asyncio.Event()

    class _Slow(_Client):
        async def _receive(self) -> Message:
            if self.asked == 10:
                await waiting.wait()
            return await super()._receive()

    slow = [_Slow(small_app, {}, _chunks(10)) for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        for client in slow:
            tasks.create_task(client.post())
        await asyncio.sleep(0)
        # The three slow bodies have used all 3000 bytes. The service reads a fourth body nevertheless, and refuses one
        # of the slow bodies instead: each of them is larger than the part of the fourth body that has arrived.
        assert await _Client(small_app, {}, _chunks(10)).post() == 401
        waiting.set()
    assert sorted(client.status for client in slow) == [401, 401, 503]
    assert await _Client(small_app, {}, _chunks(1)).post() == 401


async def test_a_client_that_disconnects_leaves_nothing_behind(small_app: ASGIApp, database: Database) -> None:
    class _Gone(_Client):
        async def _receive(self) -> Message:
            return {"type": "http.disconnect"}

    assert await _Gone(small_app, {}, _chunks(0)).post() == 0
    assert await read_deliveries(database) == []


UNREADABLE = {
    "no JSON": (github("issues", b'{"action": "opened", "issue": {'), "the body is not JSON"),
    "empty": (github("issues", b""), "the body is not JSON"),
    "not UTF-8": (github("issues", b'{"action": "\xff"}'), "the body is not UTF-8: byte 12"),
    "an event that is not used, with a body that is not JSON": (github("star", b"nonsense"), "the body is not JSON"),
    "no object": (github("issues", b"[1, 2]"), "expected an object, got a list"),
    "a field short": (
        github("issues", {"action": "opened", "repository": {"full_name": "acme/app"}}),
        "missing required field `issue`",
    ),
    "deeper than deep": (github("issues", b'{"issue":' * 100_000), "nested too deeply"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_a_signed_but_unreadable_delivery_is_stored_as_failed_and_listed(database: Database, kind: str) -> None:
    request, reason = UNREADABLE[kind]
    async with api(database) as client:
        assert (await post(client, request)).status_code == 202
        telemetry = await settle(database)
        [shown] = (await client.get("/deliveries", params={"verdict": "failed"})).json()["deliveries"]
    assert shown["provider_id"] == request.delivery_id
    assert reason in shown["reason"]
    assert (
        telemetry.registry.get_sample_value("loopgauge_interpreted_total", {"source": "github", "verdict": "failed"})
        == 1
    )


async def test_a_delivery_without_an_event_type_is_stored_as_failed(database: Database) -> None:
    headers = REQUEST.headers()
    del headers["x-github-event"]
    async with api(database) as client:
        response = await client.post("/webhooks/github", content=REQUEST.body, headers=headers)
    assert response.status_code == 202
    await settle(database)
    assert [(row.verdict, row.reason) for row in await read_deliveries(database)] == [
        ("failed", "header X-GitHub-Event is missing")
    ]


async def test_a_form_encoded_delivery_is_counted(database: Database) -> None:
    form = httpx.QueryParams({"payload": REQUEST.body.decode()})
    request = github("issues", str(form).encode())
    headers = {**request.headers(), "content-type": "application/x-www-form-urlencoded"}
    async with api(database) as client:
        response = await client.post("/webhooks/github", content=request.body, headers=headers)
    assert response.status_code == 202
    await settle(database)
    assert [row.verdict for row in await read_deliveries(database)] == ["counted"]


async def test_every_request_is_counted_by_its_result(database: Database) -> None:
    async with api(database) as client:
        await post(client, REQUEST)
        await post(client, REQUEST)
        await client.post("/webhooks/github", content=b"{}")
        await post(client, REQUEST, "invented-by-a-stranger")
        scrape = parse_samples((await client.get("/metrics")).text)
    deliveries = {name[1:]: value for name, value in scrape.items() if name[0] == "deliveries_total"}
    counted = {name: value for name, value in deliveries.items() if name[1] != "cloudevents"}
    # Each key contains the values of the labels `result` and `source`.
    assert counted == {
        ("stored", "github"): 1,
        ("duplicate", "github"): 1,
        ("refused", "github"): 1,
        ("spooled", "github"): 0,
        ("error", "github"): 0,
        ("refused", "_unknown"): 1,
    }


async def test_the_last_delivery_time_of_a_source_ignores_refused_deliveries(
    database: Database,
) -> None:
    name = ("source_last_delivery_timestamp_seconds", "github")
    async with api(database, at(3)) as client:
        await client.post("/webhooks/github", content=b"{}")
        before = parse_samples((await client.get("/metrics")).text)
        await post(client, REQUEST)
        stored = parse_samples((await client.get("/metrics")).text)
    async with api(database, at(4)) as client:
        assert (await post(client, REQUEST)).json()["status"] == "duplicate"
        again = parse_samples((await client.get("/metrics")).text)
    assert name not in before
    # 2026-03-03T09:00:00Z, and a day later.
    assert (stored[name], again[name]) == (1772528400, 1772614800)


async def test_without_a_database_and_with_the_spool_disabled_the_answer_is_503_with_retry_after(
    gone: Database,
) -> None:
    async with api(gone) as client:
        response = await post(client, REQUEST)
        scrape = parse_samples((await client.get("/metrics")).text)
    assert is_problem(response, 503, "database-unavailable")
    assert response.headers["retry-after"] == "5"
    assert scrape["deliveries_total", "error", "github"] == 1


async def test_without_a_database_a_delivery_is_stored_in_the_spool(gone: Database, tmp_path: Path) -> None:
    async with api(gone, spool=True, data_dir=tmp_path) as client:
        answers = [(await post(client, REQUEST)).json()["status"] for _ in range(2)]
        unsigned = await client.post("/webhooks/github", content=b"{}")
        scrape = parse_samples((await client.get("/metrics")).text)
    assert answers == ["stored", "duplicate"]
    assert unsigned.status_code == 401
    assert scrape["deliveries_total", "spooled", "github"] == 1
    assert scrape["deliveries_total", "duplicate", "github"] == 1
    assert scrape["deliveries_total", "stored", "github"] == 0
    assert scrape["spool_pending",] == 1
    [kept] = Spool(tmp_path / "spool").read_oldest(10)
    assert (kept.source, kept.provider_id, kept.received_at) == ("github", REQUEST.delivery_id, at(2))
    assert kept.body == REQUEST.body
    assert scrape["source_last_delivery_timestamp_seconds", "github"] == at(2).timestamp()


async def test_with_neither_database_nor_a_working_spool_the_answer_is_503_with_retry_after(
    gone: Database, tmp_path: Path
) -> None:
    (tmp_path / "spool").touch()
    async with api(gone, spool=True, data_dir=tmp_path) as client:
        response = await post(client, REQUEST)
        scrape = parse_samples((await client.get("/metrics")).text)
    assert is_problem(response, 503, "database-unavailable")
    assert response.headers["retry-after"] == "5"
    assert str(tmp_path / "spool" / FILE) in response.json()["detail"]
    assert (scrape["deliveries_total", "error", "github"], scrape["spool_pending",]) == (1, 0)


async def test_spooled_deliveries_are_counted_when_the_database_is_back(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with line_to(database_url) as line:
        far = Database(line.url)
        async with api(far, spool=True, data_dir=tmp_path) as client:
            await line.cut()
            assert (await post(client, REQUEST)).json()["status"] == "stored"
            await line.mend()

            async def back() -> bool:
                return parse_samples((await client.get("/metrics")).text)["spool_pending",] == 0

            await until(back)
            again = await post(client, REQUEST)
        await far.close()
    assert again.json()["status"] == "duplicate"
    await settle(database)
    assert [(row.verdict, row.received_at) for row in await read_deliveries(database)] == [("counted", at(2))]


async def test_many_deliveries_at_once_are_all_stored_and_counted(database: Database) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 201)]
    async with api(database) as client:
        responses = await asyncio.gather(*(post(client, request) for request in requests))
    assert {response.status_code for response in responses} == {202}
    await settle(database)
    shown = await exported_samples(database, at(3))
    assert shown["experiments_in_flight", "proposed", "acme/app"] == 200


async def test_a_trailing_slash_makes_no_difference(database: Database) -> None:
    async with api(database) as client:
        response = await client.post("/webhooks/github/", content=REQUEST.body, headers=REQUEST.headers())
    assert response.status_code == 202


async def test_a_bug_is_answered_500_and_counted_without_details(database: Database) -> None:
    def broken_clock() -> datetime:
        raise RuntimeError("details for the log only")

    app = create_app(settings(), RULES, database, broken_clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        response = await post(client, REQUEST)
        assert is_problem(response, 500, "internal")
        assert "details for the log only" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        figures = parse_samples((await client.get("/metrics")).text)
    assert figures["http_request_duration_seconds_count", "POST", "/webhooks/{source}", "500"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/github", 202),
        ("POST", "/webhooks/GitHub/", 202),
        ("POST", "/webhooks/github//", 202),
        ("POST", "/webhooks/github/more", 404),
        ("POST", "/webhooks/", 404),
        ("POST", "/webhooks", 404),
        ("POST", "/webhooks//", 404),
        ("POST", "/webhooks///", 404),
        ("POST", "/webhooks//github", 202),
        ("POST", "/webhooks//github/", 202),
        ("GET", "/webhooks/github", 200),
        ("PUT", "/webhooks/github/", 405),
    ],
)
async def test_a_post_is_a_delivery_if_its_path_has_one_name_after_webhooks(
    database: Database, method: str, path: str, status: int
) -> None:
    async with api(database) as client:
        response = await client.request(method, path, content=REQUEST.body, headers=REQUEST.headers())
    assert response.status_code == status

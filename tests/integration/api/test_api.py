"""The API serves deliveries, metrics and explanations, checks tokens, and describes itself with OpenAPI."""

import re
from uuid import UUID

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from pydantic import SecretStr
from sqlalchemy import text

from service.app import create_app
from service.storage.database import Database
from tests.support.builders import Issue, PullRequest, at, github, workflow_run
from tests.support.road import RULES, api, bearer, deliver, is_problem, parse_samples, post, settings, settle

OPENED = Issue(created_at=at(2), labels=("bug",)).opened()
TOKENS = {"read": "r3ad-t0ken", "admin": "adm1n-t0ken"}


async def test_a_delivery_shows_why_it_does_not_count(database: Database) -> None:
    async with api(database) as client:
        await post(client, OPENED)
        pending = (await client.get("/deliveries")).json()["deliveries"][0]
        await settle(database)
        shown = (await client.get(f"/deliveries/{pending['id']}")).json()
    assert (pending["verdict"], pending["reason"]) == ("pending", None)
    assert shown["verdict"] == "ignored"
    assert shown["reason"].startswith("no label `experiment`; labels were bug")
    assert (shown["headers"], shown["body"]) == (None, None)


async def test_pages_of_deliveries_follow_each_other(database: Database) -> None:
    async with api(database) as client:
        for number in range(1, 6):
            await post(client, Issue(number=number, created_at=at(2)).opened())
        first = (await client.get("/deliveries", params={"limit": 3})).json()
        second = (await client.get("/deliveries", params={"limit": 3, "cursor": first["next"]})).json()
        strange = await client.get("/deliveries", params={"cursor": "strange"})
    assert len({one["id"] for one in first["deliveries"] + second["deliveries"]}) == 5
    assert second["next"] is None
    assert is_problem(strange, 422, "invalid-cursor")


async def test_only_the_admin_token_shows_bodies(database: Database) -> None:
    odd = github("issues", b"\xff")
    async with api(database, api_tokens=TOKENS) as client:
        stored = [(await post(client, request)).json()["delivery"] for request in (OPENED, odd)]
        path, odd_path = (f"/deliveries/{delivery}" for delivery in stored)
        for_readers = (await client.get(path, headers=bearer("r3ad-t0ken"))).json()
        for_admins = (await client.get(path, headers=bearer("adm1n-t0ken"))).json()
        not_text = (await client.get(odd_path, headers=bearer("adm1n-t0ken"))).json()
    assert (for_readers["headers"], for_readers["body"]) == (None, None)
    assert for_admins["body"] == OPENED.body.decode()
    assert for_admins["headers"] == {
        "content-type": "application/json",
        "x-github-delivery": OPENED.delivery_id,
        "x-github-event": "issues",
    }
    assert (not_text["body"], not_text["body_base64"]) == (None, "/w==")


async def _retry(client: httpx.AsyncClient, delivery: str, token: str | None = TOKENS["admin"]) -> httpx.Response:
    return await client.post(f"/deliveries/{delivery}/retry", headers=bearer(token) if token else {})


async def test_a_failed_delivery_is_retried_and_returned(database: Database) -> None:
    async with api(database, api_tokens=TOKENS) as client:
        delivery = (await post(client, github("issues", b"{"))).json()["delivery"]
        await settle(database)
        failed = (await client.get(f"/deliveries/{delivery}", headers=bearer("adm1n-t0ken"))).json()
        retried = await _retry(client, delivery)
        shown = (await client.get(f"/deliveries/{delivery}", headers=bearer("adm1n-t0ken"))).json()
        again = await _retry(client, delivery)
        await settle(database)
        failed_again = (await client.get(f"/deliveries/{delivery}", headers=bearer("adm1n-t0ken"))).json()
    assert failed["verdict"] == "failed"
    assert (retried.status_code, retried.json()) == (202, shown)
    assert shown == {**failed, "verdict": "pending", "reason": None, "interpreted_at": None}
    assert (again.status_code, again.json()) == (202, shown)
    assert failed_again == failed


async def test_a_delivery_that_cannot_be_retried_is_refused_with_the_reason(database: Database) -> None:
    requests = (OPENED, Issue(number=46, created_at=at(2)).opened(), github("issues", b"{"))
    async with api(database, api_tokens=TOKENS) as client:
        ignored, counted, gone = [(await post(client, request)).json()["delivery"] for request in requests]
        await settle(database)
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE deliveries SET body = NULL WHERE verdict = 'failed'"))
        refused = {delivery: await _retry(client, delivery) for delivery in (ignored, counted, gone)}
        unknown = await _retry(client, str(UUID(int=1)))
        no_id = await _retry(client, "1")
    for response in refused.values():
        assert is_problem(response, 409, "not-retriable")
    assert "it is ignored" in refused[ignored].json()["detail"]
    assert "loopgauge replay" in refused[counted].json()["detail"]
    assert "LOOPGAUGE_RAW_RETENTION" in refused[gone].json()["detail"]
    assert is_problem(unknown, 404, "unknown-delivery")
    assert is_problem(no_id, 422, "invalid")


@pytest.mark.parametrize("token", [None, "wrong", "r3ad-t0ken", "wr1te-t0ken"])
async def test_only_the_admin_token_allows_a_retry(database: Database, token: str | None) -> None:
    async with api(database, api_tokens={**TOKENS, "write": "wr1te-t0ken"}) as client:
        delivery = (await post(client, github("issues", b"{"))).json()["delivery"]
        await settle(database)
        refused = await _retry(client, delivery, token)
        shown = (await client.get(f"/deliveries/{delivery}", headers=bearer("r3ad-t0ken"))).json()
    assert is_problem(refused, 401, "token-refused")
    assert shown["verdict"] == "failed"


async def test_a_retry_is_refused_if_no_admin_token_is_configured(database: Database) -> None:
    async with api(database) as client:
        refused = await _retry(client, str(UUID(int=1)))
    assert is_problem(refused, 403, "token-not-configured")
    assert refused.json()["aliases"] == ["urn:loopgauge:problem:door-closed"]
    assert "LOOPGAUGE_API_TOKENS__ADMIN" in refused.json()["detail"]


async def test_without_a_database_a_retry_is_answered_503_with_retry_after(gone: Database) -> None:
    async with api(gone, api_tokens=TOKENS) as client:
        refused = await _retry(client, str(UUID(int=1)))
    assert is_problem(refused, 503, "database-unavailable")
    assert refused.headers["retry-after"]


async def test_the_openapi_document_has_each_answer_of_a_retry(database: Database) -> None:
    async with api(database) as client:
        described = (await client.get("/openapi.json")).json()["paths"]["/deliveries/{delivery}/retry"]["post"]
    assert described["security"] == [{"HTTPBearer": []}]
    assert set(described["responses"]) == {"202", "401", "403", "404", "409", "422", "503"}
    examples = {
        example["value"]["type"]
        for status, answer in described["responses"].items()
        if status != "202"
        for example in answer["content"]["application/problem+json"]["examples"].values()
    }
    slugs = (
        *("token-refused", "token-not-configured", "unknown-delivery", "not-retriable", "invalid"),
        *("database-unavailable", "database-misconfigured"),
    )
    assert examples == {f"urn:loopgauge:problem:{slug}" for slug in slugs}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "the request has no bearer token"),
        ("wrong", "the service does not have this bearer token"),
        ("wr1te-t0ken", "the token in LOOPGAUGE_API_TOKENS__WRITE does not allow this request"),
        ("metr1cs-t0ken", "the token in LOOPGAUGE_METRICS_TOKEN does not allow this request"),
    ],
)
async def test_a_refused_token_is_answered_with_the_token_to_send(
    database: Database, token: str | None, reason: str
) -> None:
    tokens = {**TOKENS, "write": "wr1te-t0ken"}
    async with api(database, api_tokens=tokens, metrics_token="metr1cs-t0ken") as client:
        refused = await client.get("/deliveries", headers=bearer(token) if token else {})
    assert is_problem(refused, 401, "token-refused")
    remedy = "send the token in LOOPGAUGE_API_TOKENS__READ or LOOPGAUGE_API_TOKENS__ADMIN"
    in_browsers = "in a browser, open the link that loopgauge sign-in prints"
    assert refused.json()["detail"] == f"{reason}; {remedy}; {in_browsers}"


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"authorization": "Basic eDp5"}])
async def test_reading_requires_the_read_token_if_it_is_configured(database: Database, headers: dict[str, str]) -> None:
    async with api(database, api_tokens=TOKENS) as client:
        response = await client.get("/deliveries", headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["type"] == "urn:loopgauge:problem:token-refused"


async def test_reading_from_other_machines_is_refused_if_no_read_token_is_configured(database: Database) -> None:
    async with api(database, host="0.0.0.0") as client:
        response = await client.get("/deliveries")
    assert response.status_code == 403
    assert "LOOPGAUGE_API_TOKENS__READ" in response.json()["detail"]


async def test_metrics_require_their_token_if_it_is_configured(database: Database) -> None:
    async with api(database, metrics_token="the metrics token") as client:
        refused = await client.get("/metrics")
        allowed = await client.get("/metrics", headers=bearer("the metrics token"))
    assert (refused.status_code, allowed.status_code) == (401, 200)


async def test_metrics_are_available_in_both_formats(database: Database) -> None:
    async with api(database) as client:
        text_format = await client.get("/metrics")
        openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert text_format.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert parse_samples(text_format.text)["interpreted_total", "github", "counted"] == 0
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in read_openmetrics(openmetrics.text)}
    assert families["loopgauge_deliveries"].type == "counter"


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/openmetrics-text",
        ),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.1", "text/plain"),
        ("application/openmetrics-text, text/plain", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("APPLICATION/OPENMETRICS-TEXT", "application/openmetrics-text"),
        ("application/openmetrics-text;q=much", "text/plain"),
        (";,;q", "text/plain"),
    ],
)
async def test_the_accept_header_chooses_the_format_of_the_metrics(
    database: Database, accept: str, answered: str
) -> None:
    async with api(database) as client:
        response = await client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].startswith(answered)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None)],
)
async def test_metrics_are_compressed_if_the_client_accepts_it(
    database: Database, accepted: str, encoding: str | None
) -> None:
    async with api(database) as client:
        response = await client.get("/metrics", headers={"accept-encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert parse_samples(response.text)["interpreted_total", "github", "counted"] == 0


async def test_an_unknown_path_is_answered_with_a_problem(database: Database) -> None:
    async with api(database) as client:
        response = await client.get("/nothing")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:loopgauge:problem:not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "GET /nothing: Not Found",
    }


@pytest.mark.parametrize(
    ("path", "status", "slug", "detail"),
    [
        ("/deliveries/1", 422, "invalid", "path.delivery: "),
        ("/deliveries?limit=0", 422, "invalid", "query.limit: "),
        ("/deliveries?verdict=good", 422, "invalid", "query.verdict: "),
        (f"/deliveries/{UUID(int=1)}", 404, "unknown-delivery", f"no delivery has the id {UUID(int=1)}"),
    ],
)
async def test_the_problem_for_an_invalid_request_says_what_is_wrong(
    database: Database, path: str, status: int, slug: str, detail: str
) -> None:
    async with api(database) as client:
        response = await client.get(path)
    assert response.headers["content-type"] == "application/problem+json"
    assert is_problem(response, status, slug)
    assert detail in response.json()["detail"]


async def test_a_bug_is_answered_with_a_problem_without_details(database: Database) -> None:
    app = create_app(settings(), RULES, database)

    @app.app.get("/fault")
    def fault() -> None:
        raise ZeroDivisionError("internal details")

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
    ) as client:
        response = await client.get("/fault")
    assert is_problem(response, 500, "internal")
    assert "secret" not in response.text


async def test_a_missing_table_is_answered_with_a_problem_of_its_own_and_not_as_a_bug(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE deliveries"))
    async with api(database) as client:
        response = await client.get("/deliveries")
    assert is_problem(response, 503, "database-unavailable")


async def test_the_openapi_document_has_every_endpoint_and_no_secret(database: Database) -> None:
    async with api(database, api_tokens=TOKENS) as client:
        document = await client.get("/openapi.json")
        page = await client.get("/docs")
    assert set(document.json()["paths"]) == {
        "/",
        "/deliveries",
        "/deliveries/retry",
        "/deliveries/{delivery}",
        "/deliveries/{delivery}/retry",
        "/events",
        "/experiments",
        "/experiments/{experiment}",
        "/experiments/{experiment}/events",
        "/experiments/{experiment}/explain",
        "/livez",
        "/metrics",
        "/readyz",
        "/scorecard",
        "/sign-in",
        "/sources",
        "/webhooks/{source}",
    }
    assert page.status_code == 200
    assert not re.search("r3ad-t0ken|adm1n-t0ken|Secret to Everybody", document.text + page.text)


def test_the_settings_hide_secrets() -> None:
    shown = repr(settings(api_tokens=TOKENS, database_url=SecretStr("postgresql://user:password@host/db")))
    assert not re.search("r3ad-t0ken|Secret to Everybody|password@", shown)


async def test_reading_on_loopback_needs_no_token_if_only_the_admin_token_is_configured(database: Database) -> None:
    async with api(database, api_tokens={"admin": "adm1n-t0ken"}) as client:
        await post(client, OPENED)
        listed = await client.get("/deliveries")
        shown = await client.get(f"/deliveries/{listed.json()['deliveries'][0]['id']}")
    assert (listed.status_code, shown.status_code) == (200, 200)
    assert shown.json()["body"] is None


@pytest.mark.parametrize("query", ["source=%00", "since=0001-01-01T00:00:00Z", "since=9999-12-31T23:59:59-23:00"])
async def test_filters_that_cannot_match_are_refused(database: Database, query: str) -> None:
    async with api(database) as client:
        response = await client.get(f"/deliveries?{query}")
    assert is_problem(response, 422, "invalid")


async def test_an_explanation_is_found_by_the_id_or_any_reference_of_an_experiment(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    pull = PullRequest(created_at=at(3))
    issue, closed = issue.closed(at(5))
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened(), workflow_run(pull.head, at(4)), closed)
    async with api(database, now=at(6)) as client:
        by_reference = await client.get("/experiments/github:Acme/App%2345/explain")
        shown = by_reference.json()
        by_id = await client.get(f"/experiments/{shown['experiment']['id']}/explain")
        of_evidence = (await client.get(f"/experiments/commit:{pull.head}/explain")).json()
        unknown = await client.get("/experiments/github:acme/app%231/explain")
        unknown_id = await client.get(f"/experiments/{UUID(int=1)}/explain")
        no_reference = await client.get("/experiments/nonsense/explain")
    assert by_id.json() == shown
    assert (shown["subject"], shown["why_not"]) == ("github:acme/app#45", "")
    assert (shown["experiment"]["state"], shown["experiment"]["team"]) == ("concluded", "search")
    [signalled] = [event for event in shown["events"] if event["kind"] == "signalled"]
    assert (signalled["subject"], signalled["counts"]) == (f"commit:{pull.head}", True)
    assert [origin["rule"] for origin in signalled["origins"]] == ["signalled by a run that succeeded"]
    assert [origin["source"] for origin in signalled["origins"]] == ["github"]
    [proposed_change] = [e for e in shown["events"] if e["kind"] == "proposed" and e["subject"].endswith("!7")]
    assert proposed_change["counts"] is False
    assert shown["experiment"]["stages"]["idea_to_answer"] == {"seconds": 3 * 86400, "words": "3 days"}
    assert shown["left_out"] == []
    concluded = {"outcome": "undeclared", "team": "search", "window": "7d"}
    counted = [one for one in shown["figures"] if one["metric"] == "loopgauge_experiments_concluded"]
    assert (counted[0]["labels"], counted[0]["value"], counted[0]["own"]) == (concluded, 1, 1)
    assert not any(event["counts"] for event in of_evidence["events"])
    assert (of_evidence["experiment"], of_evidence["serves"]) == (None, ["github:acme/app#45"])
    assert "it is evidence for github:acme/app#45" in of_evidence["why_not"]
    assert is_problem(unknown, 404, "unknown-subject")
    assert unknown_id.status_code == 404
    assert is_problem(no_reference, 422, "bad-reference")


async def test_an_explanation_shows_when_a_subject_was_excluded_and_each_restart(
    database: Database,
) -> None:
    _, duplicate = Issue(number=46, created_at=at(2)).closed(at(3), "duplicate")
    issue, closed = Issue(created_at=at(2)).closed(at(3))
    await deliver(database, duplicate, closed, PullRequest(created_at=at(5), branch="exp/cache").opened())
    async with api(database, now=at(6)) as client:
        left_out = (await client.get("/experiments/github:acme/app%2346/explain")).json()
        again = (await client.get(f"/experiments/github:acme/app%23{issue.number}/explain")).json()
    said_by = left_out["excluded"].pop("said_by")
    assert left_out["excluded"] == {"reason": "duplicate", "since": "2026-03-03T09:00:00Z"}
    assert (said_by["channel"], said_by["source"]) == ("rule", "github")
    assert left_out["why_not"] == "it is excluded: duplicate"
    assert again["excluded"] is None
    assert again["experiment"]["again"] == [
        {"at": "2026-03-05T09:00:00Z", "concluded": True, "quiet": {"seconds": 2 * 86400, "words": "2 days"}}
    ]
    repeated = {"team": "acme/app", "window": "7d"}
    counted = [one for one in again["figures"] if one["metric"] == "loopgauge_repeated_experiments"]
    assert (counted[0]["labels"], counted[0]["value"], counted[0]["own"]) == (repeated, 1, 1)


@pytest.mark.oldest_postgresql_too
async def test_deliveries_are_found_by_reference_page_by_page(database: Database) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in (45, 45, 46)]
    change = PullRequest(number=7, body="Fixes #45", created_at=at(3)).opened()
    await deliver(database, *requests, change)
    async with api(database) as client:
        listed = (await client.get("/deliveries", params={"ref": "acme/app#45"})).json()
        first = (await client.get("/deliveries", params={"ref": "acme/app!7", "limit": 1})).json()
        ambiguous = await client.get("/deliveries", params={"ref": "number one"})
    assert [shown["reference"] for shown in listed["deliveries"]] == ["github:acme/app#45"]
    assert [(shown["event"], shown["reference"]) for shown in first["deliveries"]] == [
        ("pull_request opened", "github:acme/app!7")
    ]
    assert is_problem(ambiguous, 422, "bad-reference")


async def test_many_deliveries_are_retried_by_one_request(database: Database) -> None:
    async with api(database, api_tokens=TOKENS, max_body_bytes=1000) as client:
        ids = [(await post(client, github("issues", b"{" * size))).json()["delivery"] for size in (1, 2)]
        await settle(database)

        async def retry(body: object, token: str = TOKENS["admin"]) -> httpx.Response:
            return await client.post("/deliveries/retry", json=body, headers=bearer(token))

        by_id = await retry({"deliveries": [ids[0], ids[0], str(UUID(int=1))]})
        failed = await retry({"failed": True, "source": "GitHub", "since": "2026-01-01T00:00:00Z"})
        wrong: list[dict[str, object]] = [
            {},
            {"failed": True, "deliveries": ids},
            {"deliveries": ids, "source": "github"},
            {"deliveries": []},
            {"failed": 1},
            {"failed": True, "since": 5},
        ]
        refused = [await retry(body) for body in wrong]
        strange = await retry({"failed": True, "cursor": "strange"})
        large = await retry({"failed": True, "source": "a" * 1000})
        for_readers = await retry({"failed": True, "source": "a" * 1000}, TOKENS["read"])
    assert by_id.json() == {
        "retried": 1,
        "deliveries": [
            {"id": ids[0], "status": "retried", "detail": "it had failed, and is pending again"},
            {"id": str(UUID(int=1)), "status": "unknown", "detail": f"there is no delivery {UUID(int=1)}"},
        ],
        "next": None,
    }
    assert [shown["id"] for shown in failed.json()["deliveries"]] == [ids[1]]
    assert all(is_problem(response, 422, "invalid") for response in refused)
    assert is_problem(strange, 422, "invalid-cursor")
    assert is_problem(large, 413, "body-too-large")
    assert is_problem(for_readers, 401, "token-refused")

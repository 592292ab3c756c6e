"""`POST /experiments/{experiment}/events` accepts events, which change experiments, or refuses them with the reason."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.storage import inbox, inbox_listing
from service.storage.database import Database
from tests.support.builders import Issue, PullRequest, at, renamed, workflow_run
from tests.support.road import (
    TERMS,
    all_experiments,
    api,
    deliver,
    exported_samples,
    is_problem,
    parse_samples,
    settle,
)

ROOT = "github:acme/app#45"
PATH = "/experiments/github:acme/app%2345/events"
NOW = at(10)
TOKENS = {"read": "r3ad-t0ken", "write": "wr1te-t0ken", "admin": "adm1n-t0ken"}
ISSUE = Issue(created_at=at(2), labels=("experiment", "team:search"))


async def _opened(database: Database) -> None:
    await deliver(database, ISSUE.opened())


async def _closed(database: Database, *labels: str) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search", *labels))
    await deliver(database, issue.opened(), issue.closed(at(6))[1])


def _headers(key: str | None = None, token: str | None = TOKENS["write"]) -> dict[str, str]:
    shown = {"authorization": f"Bearer {token}"} if token else {}
    return {**shown, **({"idempotency-key": key} if key is not None else {})}


async def _post(
    client: httpx.AsyncClient, event: str, *, key: str | None = None, path: str = PATH, **said: Any
) -> httpx.Response:
    return await client.post(path, json={"event": event, **said}, headers=_headers(key))


async def _said(database: Database, event: str, **said: Any) -> httpx.Response:
    """Post an event on 10 March, process the event, and return the answer."""
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await _post(client, event, **said)
    await settle(database)
    return response


async def _experiment(database: Database) -> Experiment:
    return (await all_experiments(database))[ROOT]


async def test_a_manual_classification_changes_the_metrics_and_is_explained(database: Database) -> None:
    await _closed(database, "outcome:failed")
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await _post(client, "classified", failure_category="intelligent", key="1")
        counted = parse_samples((await client.get("/metrics")).text)
        await settle(database)
        headers = _headers(token=TOKENS["read"])
        explained = (await client.get("/experiments/github:acme/app%2345/explain", headers=headers)).json()
        delivery = (await client.get(f"/deliveries/{response.json()['delivery']}", headers=headers)).json()
    assert (response.status_code, response.json()["status"]) == (202, "stored")
    assert counted["deliveries_total", "stored", "cloudevents"] == 1
    assert (delivery["source"], delivery["verdict"], delivery["reason"]) == ("cloudevents", "counted", "by hand")
    [said] = [one for one in explained["events"] if one["data"].get("field") == "failure_category"]
    assert (said["occurred_at"], said["data"]["channel"], said["counts"]) == ("2026-03-10T09:00:00Z", "api", True)
    [origin] = said["origins"]
    assert (origin["source"], origin["rule"], origin["delivery"]) == ("cloudevents", "by hand", delivery["id"])
    shown = await exported_samples(database, NOW)
    window = TERMS.windows[-1].label
    assert shown["failures", "intelligent", "search", window] == 1
    assert shown["failures", "unclassified", "search", window] == 0


async def test_a_whole_experiment_can_be_recorded_with_manual_events(database: Database) -> None:
    await _opened(database)
    await _said(database, "started", occurred_at="2026-03-03T09:00:00Z")
    await _said(database, "signalled", occurred_at="2026-03-04T10:00:00+01:00", result="failure")
    await _said(database, "described", title="Ask the cache", team="Ads", risk="bold", url="https://example.com/45")
    await _said(
        database,
        "concluded",
        occurred_at="2026-03-05T09:00:00Z",
        outcome="failed",
        failure_category="complex",
        learning_url="https://wiki.example.com/45",
    )
    await _said(database, "shipped", occurred_at="2026-03-06T09:00:00Z")
    told = await _experiment(database)
    assert (told.started_at, told.first_signal_at, told.concluded_at) == (at(3), at(4), at(5))
    assert (told.shared_at, told.shipped_at) == (at(5), at(6))
    assert (told.title, told.team, told.risk) == ("Ask the cache", "ads", Risk.BOLD)
    assert told.url == "https://example.com/45"
    assert (told.outcome, told.failure_category) == (Outcome.FAILED, FailureCategory.COMPLEX)
    await _said(database, "reopened")
    assert (await _experiment(database)).concluded_at is None


async def test_only_a_proposal_makes_an_item_an_experiment(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=()).opened())
    refused = await _said(database, "started")
    assert is_problem(refused, 404, "unknown-subject")
    proposed = await _said(database, "proposed", occurred_at="2026-03-01T09:00:00Z")
    assert proposed.status_code == 202
    assert (await _experiment(database)).idea_at == at(1)


async def test_a_manual_event_does_not_change_the_experiment_mark(database: Database) -> None:
    issue = Issue(created_at=at(2))
    await deliver(database, issue.opened())
    assert (await _said(database, "started", occurred_at="2026-03-03T09:00:00Z")).status_code == 202
    _, unlabelled = issue.unlabeled("experiment", at(4))
    await deliver(database, unlabelled)
    assert await all_experiments(database) == {}


async def test_a_repeated_request_is_a_duplicate_even_after_the_experiment_changed(database: Database) -> None:
    issue = Issue(created_at=at(2))
    await deliver(database, issue.opened())
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        first = await _post(client, "started", key="1")
        await deliver(database, issue.unlabeled("experiment", at(4))[1])
        again = await _post(client, "started", key="1")
    assert [one.json()["status"] for one in (first, again)] == ["stored", "duplicate"]


async def test_an_experiment_is_addressed_by_its_id_or_any_of_its_names(database: Database) -> None:
    await deliver(database, ISSUE.opened(), renamed("app", "acme/new", at(3)))
    root, known = next(iter((await all_experiments(database)).items()))
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        paths = [f"/experiments/{name}/events" for name in (known.id, "github:acme/app%2345", "github:acme/new%2345")]
        responses = [await _post(client, "started", key="1", path=path) for path in paths]
    assert root == "github:acme/new#45"
    assert [one.json()["status"] for one in responses] == ["stored", "duplicate", "duplicate"]
    assert len({one.json()["delivery"] for one in responses}) == 1


async def test_a_request_repeated_with_the_same_key_records_one_event(database: Database) -> None:
    await _opened(database)
    said = {"outcome": "failed", "failure_category": "basic"}
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        first = await _post(client, "concluded", key="a key", **said)
        at_once = await _post(client, "concluded", key="a key", **said)
    await settle(database)
    async with api(database, now=NOW + timedelta(hours=3), api_tokens=TOKENS) as client:
        later = await _post(client, "concluded", key="a key", **said)
    await settle(database)
    assert [one.json()["status"] for one in (first, at_once, later)] == ["stored", "duplicate", "duplicate"]
    assert {one.status_code for one in (first, at_once, later)} == {202}
    assert len({one.json()["delivery"] for one in (first, at_once, later)}) == 1
    assert (await _experiment(database)).concluded_at == NOW


async def test_a_key_reused_for_another_request_is_refused_even_after_the_body_is_deleted(database: Database) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        stored = await _post(client, "started", key="1")
        others = [
            await _post(client, "concluded", key="1"),
            await _post(client, "started", key="1", occurred_at="2026-03-10T09:00:00Z"),
        ]
        await settle(database)
        async with database.transaction() as connection:
            assert await inbox.delete_bodies(connection, at(20), 100) > 0
        gone = await _post(client, "started", key="1", team="ads")
        same = await _post(client, "started", key="1")
    for refused in (*others, gone):
        assert is_problem(refused, 422, "key-reused")
        assert stored.json()["delivery"] in refused.json()["detail"]
    assert same.json() == {**stored.json(), "status": "duplicate"}


async def test_a_key_belongs_to_one_experiment_and_without_a_key_each_request_is_new(database: Database) -> None:
    await deliver(database, ISSUE.opened(), Issue(number=46, created_at=at(2)).opened())
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        of_two = [
            await _post(client, "started", key="1", path=f"/experiments/github:acme/app%23{n}/events") for n in (45, 46)
        ]
        without = [await _post(client, "started") for _ in range(2)]
    assert [one.json()["status"] for one in (*of_two, *without)] == ["stored"] * 4
    assert len({one.json()["delivery"] for one in (*of_two, *without)}) == 4


async def test_concurrent_requests_with_one_key_store_one_event(database: Database) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        same = await asyncio.gather(*(_post(client, "started", key="1") for _ in range(5)))
        different = await asyncio.gather(*(_post(client, "described", key="2", title=f"{n}") for n in range(5)))
    assert sorted(one.json()["status"] for one in same) == ["duplicate"] * 4 + ["stored"]
    assert sorted(one.status_code for one in different) == [202, 422, 422, 422, 422]
    assert all(is_problem(one, 422, "key-reused") for one in different if one.status_code != 202)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x01b", "a\x7fb"])
async def test_a_malformed_key_is_refused(database: Database, key: str) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await _post(client, "started", key=key)
    assert is_problem(response, 422, "invalid")
    assert "Idempotency-Key" in response.json()["detail"]


OPEN: tuple[str, ...] = ()
WORKED = ("outcome:worked",)
FAILED = ("outcome:failed",)


@pytest.mark.parametrize(
    ("labels", "event", "said", "why"),
    [
        (
            WORKED,
            "classified",
            {"failure_category": "basic"},
            "only a failed experiment has a category, and the outcome of this experiment is worked",
        ),
        (
            ("outcome:abandoned",),
            "classified",
            {"failure_category": "basic"},
            "if it failed, run `loopgauge conclude REFERENCE failed basic`, or send the event concluded",
        ),
        (WORKED, "shared", {"failure_category": "basic"}, "the outcome of this experiment is worked"),
        (FAILED, "classified", {}, "needs failure_category"),
        (FAILED, "described", {}, "needs a title, url, team or risk"),
        (FAILED, "concluded", {}, "it has been concluded since 2026-03-06T09:00:00Z"),
        (FAILED, "started", {}, "it was concluded at 2026-03-06T09:00:00Z, so it cannot be started at 2026-03-10"),
        (FAILED, "signalled", {"result": "success"}, "so it cannot be started at"),
        (FAILED, "reopened", {"occurred_at": "2026-03-05T09:00:00Z"}, "before its conclusion at 2026-03-06"),
        (FAILED, "concluded", {"occurred_at": "2026-03-01T09:00:00Z"}, "before its idea at 2026-03-02T09"),
        (FAILED, "shared", {"occurred_at": "2026-03-01T09:00:00Z"}, "it cannot be shared at 2026-03-01"),
        (FAILED, "shipped", {"occurred_at": "2026-03-01T09:00:00Z"}, "it cannot be shipped at"),
        (
            FAILED,
            "signalled",
            {"occurred_at": "2026-03-01T09:00:00Z", "result": "success"},
            "it cannot be signalled at",
        ),
        (FAILED, "signalled", {}, "needs result"),
        (FAILED, "started", {"result": "success"}, "only a signal has a result"),
        (FAILED, "described", {"title": " "}, "needs a title, url, team or risk"),
    ],
)
async def test_an_impossible_event_is_refused_with_the_reason_and_not_stored(
    database: Database, labels: tuple[str, ...], event: str, said: dict[str, str], why: str
) -> None:
    await _closed(database, *labels)
    before = await _experiment(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await _post(client, event, **said)
        counted = parse_samples((await client.get("/metrics")).text)
    assert is_problem(response, 422, "impossible")
    assert why in response.json()["detail"]
    assert counted["deliveries_total", "refused", "cloudevents"] == 1
    await settle(database)
    assert await _experiment(database) == before
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, source="cloudevents")
    assert rows == []


async def test_an_event_that_is_impossible_for_an_open_experiment_is_refused_with_the_reason(
    database: Database,
) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("experiment", "outcome:worked")).opened())
    reopened = await _said(database, "reopened")
    classified = await _said(database, "classified", failure_category="basic")
    assert is_problem(reopened, 422, "impossible")
    assert "it is open, so it cannot be reopened" in reopened.json()["detail"]
    assert is_problem(classified, 422, "impossible")


async def test_a_conclusion_before_the_last_reopening_has_no_effect_and_is_refused(database: Database) -> None:
    issue, closed = ISSUE.closed(at(3))
    await deliver(database, ISSUE.opened(), closed, issue.reopened(at(5))[1])
    refused = await _said(database, "concluded", occurred_at="2026-03-04T09:00:00Z", outcome="worked")
    taken = await _said(database, "concluded", occurred_at="2026-03-05T09:00:01Z", outcome="worked")
    assert is_problem(refused, 422, "impossible")
    assert "it was reopened after 2026-03-04T09:00:00Z" in refused.json()["detail"]
    assert taken.status_code == 202
    assert (await _experiment(database)).concluded_at == at(5, "09:00:01")


async def test_an_experiment_without_a_known_idea_cannot_be_concluded_before_its_first_event(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(3), labels=())
    await deliver(database, workflow_run(pull.head, at(4)))
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        event = {"specversion": "1.0", "id": "1", "source": "/x", "subject": "key:it", "time": "2026-03-04T09:00:00Z"}
        started = {**event, "type": "dev.loopgauge.experiment.started"}
        headers = {**_headers(), "content-type": "application/cloudevents+json"}
        assert (await client.post("/events", content=json.dumps(started), headers=headers)).status_code == 202
        await settle(database)
        refused = await _post(
            client, "concluded", path="/experiments/key:it/events", occurred_at="2026-03-03T09:00:00Z"
        )
    assert is_problem(refused, 422, "impossible")
    assert "post a CloudEvent of type proposed with that time" in refused.json()["detail"]


async def test_an_event_that_projection_would_apply_is_accepted(database: Database) -> None:
    await _closed(database)
    classified = await _said(database, "classified", failure_category="basic")
    assert (await _experiment(database)).failure_category is FailureCategory.BASIC
    corrected = await _said(database, "concluded", outcome="worked")
    told = await _experiment(database)
    assert (told.concluded_at, told.outcome, told.failure_category) == (at(6), Outcome.WORKED, None)
    earlier = await _said(database, "concluded", occurred_at="2026-03-05T09:00:00Z")
    assert (await _experiment(database)).concluded_at == at(5)
    both = await _said(
        database, "concluded", occurred_at="2026-03-11T09:00:00Z", outcome="failed", failure_category="complex"
    )
    late = await _said(database, "started", occurred_at="2026-03-01T09:00:00Z")
    assert (await _experiment(database)).started_at == at(1)
    assert [one.status_code for one in (classified, corrected, earlier, late)] == [202] * 4
    assert is_problem(both, 422, "invalid-event")


async def test_an_open_experiment_can_be_classified_and_shared(database: Database) -> None:
    await _opened(database)
    responses = [
        await _said(database, "classified", failure_category="basic"),
        await _said(database, "shared"),
        await _said(database, "concluded"),
    ]
    told = await _experiment(database)
    assert [one.status_code for one in responses] == [202] * 3
    assert (told.outcome, told.failure_category, told.shared_at) == (Outcome.FAILED, FailureCategory.BASIC, NOW)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"{}", "body.event"),
        (b'{"event": "pivoted"}', "body.event"),
        (b'{"event": "started", "colour": "red"}', "body.colour"),
        (b'{"event": "started", "\\ud800": "red"}', "body"),
        (b'{"event": "described", "title": "\\u0000"}', "body.title"),
        (b'{"event": "described", "title": "\\ud800"}', "body"),
        (b'{"event": "described", "url": "javascript:alert(1)"}', "body.url"),
        (b'{"event": "described", "team": "_ours"}', "body.team"),
        (b'{"event": "concluded", "outcome": "undeclared"}', "body.outcome"),
        (b'{"event": "concluded", "occurred_at": "2026-03-05"}', "body.occurred_at"),
        (b'{"event": "concluded", "occurred_at": 1772700000}', "body.occurred_at"),
        (b'{"event": "concluded", "occurred_at": "2026-03-05T09:00:00"}', "body.occurred_at"),
        (b'{"event": "concluded", "occurred_at": "9999-12-31T23:59:59-23:00"}', "body.occurred_at"),
    ],
)
async def test_the_refusal_of_a_malformed_request_names_the_field(database: Database, body: bytes, field: str) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await client.post(PATH, content=body, headers=_headers())
    assert is_problem(response, 422, "invalid")
    assert response.json()["errors"][0]["field"].startswith(field)


@pytest.mark.parametrize(
    ("said", "field", "question"),
    [
        ({"event": "clasified", "failure_category": "basic"}, "body.event", "did you mean classified?"),
        ({"event": "conclude", "outcome": "failed"}, "body.event", "did you mean concluded?"),
        ({"event": "concluded", "outcome": "Fail"}, "body.outcome", "did you mean failed?"),
        (
            {"event": "classified", "failure_category": "inteligent"},
            "body.failure_category",
            "did you mean intelligent?",
        ),
        ({"event": "described", "risk": "blod"}, "body.risk", "did you mean bold?"),
        ({"event": "signalled", "result": "succes"}, "body.result", "did you mean success?"),
        ({"event": "described", "team": "_org"}, "body.team", "expected a team name of at most 100 characters"),
        ({"event": "described", "team": "x" * 101}, "body.team", "expected a team name of at most 100 characters"),
        ({"event": "shared", "learning_url": "wiki/1"}, "body.learning_url", "expected a URL that begins with http"),
        ({"event": "classified", "failure_categry": "basic"}, "body.failure_categry", "did you mean failure_category?"),
    ],
)
async def test_the_refusal_of_a_misspelt_word_names_the_field_and_proposes_the_nearest_word(
    database: Database, said: dict[str, str], field: str, question: str
) -> None:
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await client.post(PATH, json=said, headers=_headers())
    assert is_problem(response, 422, "invalid")
    [error] = response.json()["errors"]
    assert error["field"] == field
    assert question in error["message"]


async def test_a_person_can_exclude_an_experiment_and_propose_it_again(database: Database) -> None:
    await _opened(database)
    await _said(database, "excluded", occurred_at="2026-03-05T09:00:00Z")
    assert await all_experiments(database) == {}
    await _said(database, "proposed", occurred_at="2026-03-06T09:00:00Z")
    assert (await _experiment(database)).idea_at == at(2)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"event": "concluded", "occurred_at": "2026-03-10T09:05:01Z"}, "occurred_at"),
        ({"event": "concluded", "outcome": "worked", "failure_category": "basic"}, "failure_category"),
    ],
)
async def test_the_refusal_of_an_event_that_contradicts_itself_or_the_clock_names_the_field(
    database: Database, said: dict[str, str], field: str
) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await client.post(PATH, json=said, headers=_headers())
    assert is_problem(response, 422, "invalid-event")
    assert response.json()["errors"][0]["field"] == field


async def test_the_openapi_document_has_each_answer_and_its_examples_are_accepted(database: Database) -> None:
    await _closed(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        document = (await client.get("/openapi.json")).json()
        described = document["paths"]["/experiments/{experiment}/events"]["post"]
        media = described["requestBody"]["content"]["application/json"]
        taken = [await client.post(PATH, json=one, headers=_headers()) for one in media["schema"]["examples"]]
    assert [one.status_code for one in taken] == [202, 202]
    assert set(described["responses"]) == {"202", "400", "401", "403", "404", "408", "409", "413", "415", "422", "503"}
    examples = described["responses"]["422"]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {
        *("ambiguous-reference", "bad-reference", "invalid", "invalid-event", "impossible", "key-reused")
    }


async def test_an_event_without_an_experiment_is_refused(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, ISSUE.opened(), pull.opened(), Issue(number=1, labels=(), created_at=at(2)).opened())
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        unknown = ("github:acme/app%2399", "github:acme/app!7", "github:acme/app%231", UUID(int=1))
        refused = [await _post(client, "started", path=f"/experiments/{one}/events") for one in unknown]
        nonsense = await _post(client, "started", path="/experiments/nonsense/events")
    assert all(is_problem(one, 404, "unknown-subject") for one in refused)
    assert "evidence for github:acme/app#45" in refused[1].json()["detail"]
    assert "POST /events makes it one" in refused[2].json()["detail"]
    assert is_problem(nonsense, 422, "bad-reference")


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("r3ad-t0ken", 401), ("wr1te-t0ken", 202), ("adm1n-t0ken", 202)]
)
async def test_only_the_write_and_the_admin_token_add_events(
    database: Database, token: str | None, status: int
) -> None:
    await _opened(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        response = await client.post(PATH, json={"event": "started"}, headers=_headers(token=token))
    assert response.status_code == status


async def test_events_are_refused_if_no_write_token_is_configured(database: Database) -> None:
    async with api(database, now=NOW) as client:
        response = await _post(client, "started")
    assert is_problem(response, 403, "token-not-configured")
    assert "LOOPGAUGE_API_TOKENS__WRITE" in response.json()["detail"]


async def test_a_body_over_the_limit_is_refused(database: Database) -> None:
    async with api(database, now=NOW, api_tokens=TOKENS, max_body_bytes=50) as client:
        response = await _post(client, "described", title="x" * 100)
    assert is_problem(response, 413, "body-too-large")

"""`POST /events` accepts valid CloudEvents, which change experiments, and refuses others with the reason.

The SDK of the CNCF writes the requests, and the library of Standard Webhooks signs them.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha512
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.storage.database import Database
from tests.support.builders import at
from tests.support.cloudevents import batched, structured
from tests.support.provider_examples import BATCHED, STRUCTURED
from tests.support.road import all_experiments, api, is_problem, parse_samples, read_deliveries, settle

OURS = "dev.loopgauge.experiment."
SUBJECT = "github:acme/app#45"
NOW = at(2)

TOKENS = {"read": "r3ad-t0ken", "write": "wr1te-t0ken", "admin": "adm1n-t0ken"}
KEY = "whsec_" + base64.b64encode(b"a key of some twenty bytes").decode()
OLD_KEY = "whsec_" + base64.b64encode(b"the key that was before it").decode()
SIGNED: Mapping[str, Any] = {"sources": {"cloudevents": {"secret": KEY, "previous_secret": OLD_KEY}}}
WITH_TOKENS: Mapping[str, Any] = {"sources": {}, "api_tokens": TOKENS}
WITH_BOTH: Mapping[str, Any] = {**SIGNED, "api_tokens": TOKENS}


def ours(statement: str = "proposed", data: Any = None, **attributes: Any) -> CloudEvent:
    """An event about an experiment on 2 March 2026. The given attributes replace the defaults."""
    usual = {"id": "1", "source": "/pipelines/search", "type": OURS + statement, "subject": SUBJECT, "time": at(2)}
    return CloudEvent(usual | attributes, data)


def written(**attributes: Any) -> dict[str, Any]:
    """An event as JSON. It may be invalid, unlike an event of the SDK. Attributes that are `None` are omitted."""
    event = {**json.loads(to_structured_event(ours()).body), **attributes}
    return {name: value for name, value in event.items() if value is not None}


def bearer(token: str = TOKENS["write"]) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def signature(message: HTTPMessage, key: str = KEY, when: datetime = NOW) -> dict[str, str]:
    """The headers with which the Standard Webhooks library signs a message."""
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(key).sign("msg_1", when, message.body.decode()),
    }


async def post(
    client: httpx.AsyncClient, message: HTTPMessage, credentials: Mapping[str, str] | None = None, path: str = "/events"
) -> httpx.Response:
    """Post a message, by default with the write token."""
    headers = {**message.headers, **(bearer() if credentials is None else credentials)}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return await client.post(path, content=message.body, headers=raw)


def wrong_field(response: httpx.Response) -> str:
    """The field that an answer with status 422 names."""
    assert is_problem(response, 422, "invalid-event"), response.text
    [error] = response.json()["errors"]
    assert error["message"]
    field: str = error["field"]
    return field


def statuses(response: httpx.Response) -> list[str]:
    assert response.status_code == 202, response.text
    return [one["status"] for one in response.json()]


MODES: Mapping[str, Callable[[CloudEvent], HTTPMessage]] = {
    "structured": to_structured_event,
    "binary": to_binary_event,
    "batched": batched,
}


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_in_each_content_mode_is_stored_and_then_counted(database: Database, mode: str) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, MODES[mode](ours(data={"title": "Cache"})))
    [row] = await read_deliveries(database)
    assert (response.status_code, response.json()) == (202, [{"delivery": str(row.id), "status": "stored"}])
    assert (row.source, row.provider, row.received_at) == ("cloudevents", "cloudevents", at(2))
    assert row.provider_id == "/pipelines/search 1"
    await settle(database)
    assert [(one.verdict, one.reason) for one in await read_deliveries(database)] == [("counted", "stated")]
    assert (await all_experiments(database))[SUBJECT].title == "Cache"


async def test_the_same_event_is_a_duplicate_in_any_content_mode(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        responses = [await post(client, write(ours(id="naïve 1"))) for write in MODES.values()]
    assert [statuses(one) for one in responses] == [["stored"], ["duplicate"], ["duplicate"]]
    assert len({one.json()[0]["delivery"] for one in responses}) == 1


async def test_events_with_the_same_source_and_id_are_duplicates(database: Database) -> None:
    events = [ours(), ours("started"), ours(source="/pipelines/ads"), ours(id="2")]
    async with api(database, **WITH_TOKENS) as client:
        responses = [await post(client, to_structured_event(event)) for event in events]
    assert [statuses(one) for one in responses] == [["stored"], ["duplicate"], ["stored"], ["stored"]]


async def test_the_answer_to_a_batch_has_a_result_for_each_event_in_its_order(database: Database) -> None:
    events = [ours(id=number) for number in ("a", "b", "a", "c")]
    async with api(database, **WITH_TOKENS) as client:
        first = await post(client, to_structured_event(ours(id="b")))
        response = await post(client, batched(*events))
    assert statuses(response) == ["stored", "duplicate", "duplicate", "stored"]
    ids = {row.provider_id.split()[1]: str(row.id) for row in await read_deliveries(database)}
    assert [one["delivery"] for one in response.json()] == [ids[number] for number in ("a", "b", "a", "c")]
    assert first.json()[0]["delivery"] == ids["b"]


async def test_an_empty_batch_is_accepted_and_stores_nothing(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, batched())
    assert (response.status_code, response.json()) == (202, [])
    assert await read_deliveries(database) == []


async def test_a_batch_has_at_most_a_thousand_events(database: Database) -> None:
    events = [ours(id=str(number)) for number in range(1001)]
    async with api(database, **WITH_TOKENS) as client:
        refused = await post(client, batched(*events))
        assert await read_deliveries(database) == []
        accepted = await post(client, batched(*events[:1000]))
    assert wrong_field(refused) == ""
    assert "1000 events at most" in refused.json()["detail"]
    assert statuses(accepted) == ["stored"] * 1000
    assert len(await read_deliveries(database)) == 1000


INVALID: Mapping[str, Sequence[dict[str, Any]]] = {
    "specversion": [{"specversion": None}, {"specversion": "0.3"}],
    "id": [{"id": None}, {"id": ""}, {"id": 5}, {"id": "\0"}],
    "source": [{"source": None}, {"source": ""}, {"source": "/my pipelines"}],
    "type": [{"type": None}, {"type": ""}, {"type": OURS + "conclude"}, {"type": OURS + "Proposed"}],
    "subject": [{"subject": None}, {"subject": "45"}, {"subject": "key:\0"}, {"subject": "github:acme/app #45"}],
    "time": [{"time": "now"}, {"time": "2026-03-02T09:05:01Z"}, {"time": "9999-12-31T23:59:59-14:00"}],
    "datacontenttype": [{"datacontenttype": "text/plain", "data": "words"}],
    "data_base64": [{"data_base64": "****"}],
    "data": [{"data": []}, {"data": "words"}, {"data_base64": "////"}],
    "data.title": [{"data": {"title": 5}}],
    "data.url": [{"data": {"url": "javascript:alert(1)"}}],
    "data.team": [{"data": {"team": "_org"}}, {"data": {"team": ""}}],
    "data.risk": [{"data": {"risk": "high"}}],
    "data.outcome": [{"data": {"outcome": "undeclared"}}],
    "data.failure_category": [{"data": {"failure_category": "unclassified"}}],
    "data.learning_url": [{"data": {"learning_url": "the wiki"}}],
    "data.result": [{"data": {"result": "cancelled"}}],
    "data.links": [{"data": {"links": "key:a"}}, {"data": {"links": ["key:a"] * 51}}],
    "data.links[1]": [{"data": {"links": ["key:a", "b"]}}],
}


@pytest.mark.parametrize("field", INVALID)
async def test_the_refusal_of_an_invalid_event_names_the_field_and_nothing_of_its_batch_is_stored(
    database: Database, field: str
) -> None:
    async with api(database, **WITH_TOKENS) as client:
        for wrong in INVALID[field]:
            event = written(**wrong)
            assert wrong_field(await post(client, structured(event))) == field
            batch = batched(ours(), ours(id="2"), event, ours(id="3"))
            assert wrong_field(await post(client, batch)) == f"[2].{field}"
    assert await read_deliveries(database) == []


async def test_the_longest_accepted_references_can_be_stored(database: Database) -> None:
    # Use text that hardly compresses: PostgreSQL would compress other text until it fits into an index.
    names = [sha512(bytes([number])).hexdigest() for number in range(16)]
    longest = [f"key:{''.join(some)}"[:1000] for some in (names[:8], names[8:])]
    assert [len(reference) for reference in longest] == [1000, 1000]
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, structured(written(subject=longest[0], data={"links": longest[1:]})))
    assert statuses(response) == ["stored"]
    await settle(database)
    assert [(row.verdict, row.reason) for row in await read_deliveries(database)] == [
        ("counted", "stated, linked by api")
    ]


async def test_the_refusal_of_a_misspelt_type_lists_the_known_types(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, to_binary_event(ours("conclude")))
    assert wrong_field(response) == "type"
    assert f"{OURS}concluded" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("kind", ["dev.cdevents.pipelinerun.finished.0.2.0", "com.example.cache-warmed"])
async def test_events_of_other_types_are_stored_as_ignored_and_their_reason_names_the_type(
    database: Database, kind: str
) -> None:
    foreign = CloudEvent({"id": "1", "source": "/x", "type": kind, "time": at(9), "datacontenttype": "text/plain"}, "x")
    async with api(database, **WITH_TOKENS) as client:
        assert statuses(await post(client, to_binary_event(foreign))) == ["stored"]
    await settle(database)
    [row] = await read_deliveries(database)
    assert (row.verdict, row.reason) == ("ignored", f"CloudEvents of type `{kind}` say nothing about experiments")


async def test_an_event_without_a_time_gets_the_time_of_its_receipt(database: Database) -> None:
    async with api(database, at(4, "11:12:13"), **WITH_TOKENS) as client:
        assert statuses(await post(client, structured(written(time=None)))) == ["stored"]
    await settle(database)
    assert (await all_experiments(database))[SUBJECT].idea_at == at(4, "11:12:13")


async def test_a_time_up_to_five_minutes_ahead_is_accepted(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        believed = await post(client, to_binary_event(ours(time=at(2) + timedelta(minutes=5))))
        refused = await post(client, to_binary_event(ours(id="2", time=at(2) + timedelta(minutes=5, seconds=1))))
    assert statuses(believed) == ["stored"]
    assert wrong_field(refused) == "time"


async def test_attributes_in_headers_are_percent_encoded_or_quoted(database: Database) -> None:
    encoded = to_binary_event(ours(subject='key:"naïve"-100%-鍵'))
    quoted = HTTPMessage({**to_binary_event(ours(id="2")).headers, "ce-subject": '"key:in-\\"quotes\\""'}, b"")
    plain = HTTPMessage({**to_binary_event(ours(id="3")).headers, "ce-subject": "key:é"}, b"")
    async with api(database, **WITH_TOKENS) as client:
        for message in (encoded, quoted, plain):
            assert statuses(await post(client, message)) == ["stored"]
    await settle(database)
    assert set(await all_experiments(database)) == {'key:"naïve"-100%-鍵', 'key:in-"quotes"', "key:é"}


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json; charset=utf-8", "Application/CloudEvents+JSON"]
)
async def test_the_parameters_and_the_case_of_a_content_type_do_not_matter(
    database: Database, content_type: str
) -> None:
    message = to_structured_event(ours())
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, HTTPMessage({"content-type": content_type}, message.body))
    assert statuses(response) == ["stored"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "application/json"}, {"content-type": "application/cloudevents+avro"}, {"ce-id": "1"}],
)
async def test_the_refusal_of_a_request_without_a_cloudevent_says_what_is_expected(
    database: Database, headers: dict[str, str]
) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, HTTPMessage(headers, to_structured_event(ours()).body))
    assert is_problem(response, 415, "no-cloudevent")
    assert STRUCTURED in response.json()["detail"]


@pytest.mark.parametrize(("content_type", "nested"), [(STRUCTURED, b'{"data":'), (BATCHED, b"[")])
async def test_a_body_that_is_not_json_is_refused(database: Database, content_type: str, nested: bytes) -> None:
    async with api(database, **WITH_TOKENS) as client:
        for body in (b"", nested, b"\xff", b"nonsense", nested * 100_000):
            response = await post(client, HTTPMessage({"content-type": content_type}, body))
            assert is_problem(response, 400, "unreadable")
    assert await read_deliveries(database) == []


async def test_the_refusal_of_the_default_content_type_of_curl_gives_advice(database: Database) -> None:
    headers = {**to_binary_event(ours()).headers, "content-type": "application/x-www-form-urlencoded"}
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, HTTPMessage(headers, b'{"title": "Cache"}'))
    assert wrong_field(response) == "datacontenttype"


async def test_a_body_over_the_limit_is_refused(database: Database) -> None:
    message = to_structured_event(ours())
    size = len(message.body)
    async with api(database, max_body_bytes=size, **WITH_TOKENS) as client:
        at_the_cap = await post(client, message)
        over_it = await post(client, HTTPMessage(message.headers, message.body + b" "))
    assert statuses(at_the_cap) == ["stored"]
    assert is_problem(over_it, 413, "body-too-large")


@pytest.mark.parametrize("token", ["wr1te-t0ken", "adm1n-t0ken"])
async def test_the_write_and_the_admin_token_are_accepted(database: Database, token: str) -> None:
    async with api(database, **WITH_TOKENS) as client:
        assert statuses(await post(client, to_structured_event(ours()), bearer(token))) == ["stored"]


REFUSED: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "the read token": bearer("r3ad-t0ken"),
    "another": bearer("wrong"),
    "an empty one": bearer(""),
    "one that is not ASCII": bearer("wr1te-t0ken-é"),
    "a long one": bearer("x" * 60_000),
    "another scheme": {"authorization": "Basic d3IxdGUtdDBrZW46"},
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_other_tokens_are_refused(database: Database, kind: str) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, to_structured_event(ours()), REFUSED[kind])
    assert is_problem(response, 401, "token-refused")
    assert response.headers["www-authenticate"] == "Bearer"
    assert await read_deliveries(database) == []


@pytest.mark.parametrize("tokens", [{}, {"read": "r3ad-t0ken"}])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_events_are_refused_even_on_loopback_if_no_token_and_no_secret_is_configured(
    database: Database, host: str, tokens: dict[str, str]
) -> None:
    message = to_structured_event(ours())
    async with api(database, sources={}, api_tokens=tokens, host=host) as client:
        responses = [await post(client, message, shown) for shown in ({}, bearer("r3ad-t0ken"), signature(message))]
    for response in responses:
        assert is_problem(response, 403, "token-not-configured")
        assert "LOOPGAUGE_API_TOKENS__WRITE" in response.json()["detail"]
        assert "LOOPGAUGE_SOURCES__CLOUDEVENTS__SECRET" in response.json()["detail"]
    assert await read_deliveries(database) == []


async def test_the_secret_of_a_github_source_named_cloudevents_signs_no_events(database: Database) -> None:
    message = to_structured_event(ours())
    async with api(database, sources={"cloudevents": {"provider": "github", "secret": KEY}}) as client:
        assert is_problem(await post(client, message, signature(message)), 403, "token-not-configured")


SIGNED_MODES = ["structured", "batched"]


@pytest.mark.parametrize("path", ["/events", "/webhooks/cloudevents"])
async def test_a_signature_does_not_admit_an_event_in_binary_mode(database: Database, path: str) -> None:
    message = to_binary_event(ours())
    async with api(database, **SIGNED) as client:
        response = await post(client, message, signature(message), path)
    assert is_problem(response, 401, "signature-refused")
    assert "or use the write token" in response.json()["detail"]
    assert await read_deliveries(database) == []


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
@pytest.mark.parametrize("mode", SIGNED_MODES)
async def test_a_signature_with_the_current_or_the_previous_secret_is_accepted(
    database: Database, mode: str, key: str
) -> None:
    message = MODES[mode](ours(data={"team": "search"}))
    async with api(database, **SIGNED) as client:
        assert statuses(await post(client, message, signature(message, key))) == ["stored"]


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_a_signature_up_to_five_minutes_old_or_ahead_is_accepted(database: Database, minutes: int) -> None:
    message = to_structured_event(ours())
    async with api(database, **SIGNED) as client:
        response = await post(client, message, signature(message, when=at(2) + timedelta(minutes=minutes)))
    assert statuses(response) == ["stored"]


MESSAGE = to_structured_event(ours())
GOOD = signature(MESSAGE)["webhook-signature"]
BAD_SIGNATURES: Mapping[str, Mapping[str, str]] = {
    "of another secret": signature(MESSAGE, "whsec_" + base64.b64encode(b"another").decode()),
    "of another body": signature(HTTPMessage({}, MESSAGE.body + b" ")),
    "too old": signature(MESSAGE, when=at(2) - timedelta(seconds=301)),
    "too far ahead": signature(MESSAGE, when=at(2) + timedelta(seconds=301)),
    "empty": {"webhook-signature": ""},
    "without an id": {"webhook-id": ""},
    "without a time": {"webhook-timestamp": ""},
    "for another id": {"webhook-id": "msg_2"},
    "without a version": {"webhook-signature": GOOD.removeprefix("v1,")},
    "of another version": {"webhook-signature": "v1a" + GOOD.removeprefix("v1")},
    "of many versions": {"webhook-signature": "v1,AAAA " * 7500},
    "not base64": {"webhook-signature": "v1,****"},
    "cut short": {"webhook-signature": GOOD[:-1]},
    "hexadecimal": {"webhook-signature": "v1," + "0" * 64},
    "not ASCII": {"webhook-signature": "v1,鍵"},
    "with an id that is not ASCII": {"webhook-id": "鍵"},
    "with a time that is not ASCII": {"webhook-timestamp": "١٧٧٢"},
    "with a time that is not a number": {"webhook-timestamp": "nan"},
    "with an infinite time": {"webhook-timestamp": "9" * 60_000},
    "huge": {"webhook-signature": "v1," + "A" * 60_000},
}


@pytest.mark.parametrize("bad", BAD_SIGNATURES)
async def test_a_bad_signature_is_refused_and_nothing_is_stored(database: Database, bad: str) -> None:
    async with api(database, **WITH_BOTH) as client:
        response = await post(client, MESSAGE, {**signature(MESSAGE), **BAD_SIGNATURES[bad]})
    assert is_problem(response, 401, "signature-refused")
    assert await read_deliveries(database) == []


async def test_a_body_that_was_changed_after_signing_is_refused(database: Database) -> None:
    flipped = HTTPMessage(MESSAGE.headers, MESSAGE.body.replace(b"#45", b"#44"))
    async with api(database, **SIGNED) as client:
        response = await post(client, flipped, signature(MESSAGE))
    assert is_problem(response, 401, "signature-refused")


async def test_a_signature_is_verified_before_the_body_is_parsed(database: Database) -> None:
    nonsense = HTTPMessage({"content-type": STRUCTURED}, b"nonsense")
    async with api(database, **SIGNED) as client:
        refused = await post(client, nonsense, signature(MESSAGE))
        unreadable = await post(client, nonsense, signature(nonsense))
    assert is_problem(refused, 401, "signature-refused")
    assert is_problem(unreadable, 400, "unreadable")


async def test_a_valid_token_suffices_with_an_invalid_signature(database: Database) -> None:
    wrong = {**signature(MESSAGE), "webhook-signature": "v1,wrong"}
    async with api(database, **WITH_BOTH) as client:
        with_the_token = await post(client, MESSAGE, {**wrong, **bearer()})
        with_another = await post(client, MESSAGE, {**wrong, **bearer("r3ad-t0ken")})
    assert statuses(with_the_token) == ["stored"]
    assert is_problem(with_another, 401, "signature-refused")


async def test_a_valid_signature_suffices_with_an_invalid_token(database: Database) -> None:
    async with api(database, **WITH_BOTH) as client:
        response = await post(client, MESSAGE, {**signature(MESSAGE), **bearer("wrong")})
    assert statuses(response) == ["stored"]


async def test_a_signature_without_a_configured_secret_is_ignored(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await post(client, MESSAGE, signature(MESSAGE))
    assert is_problem(response, 401, "token-refused")


async def test_no_credential_is_stored(database: Database) -> None:
    async with api(database, **WITH_BOTH) as client:
        response = await post(client, to_binary_event(ours()), {**bearer(), "cookie": "a=b"})
        [answer] = response.json()
        shown = (await client.get(f"/deliveries/{answer['delivery']}", headers=bearer("adm1n-t0ken"))).json()
    assert set(shown["headers"]) == {"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time"}


async def test_each_event_is_counted_by_its_result_and_each_refused_request_once(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        await post(client, batched(ours(), ours(id="2"), ours(id="3"), ours()))
        await post(client, to_binary_event(ours()))
        await post(client, batched())
        await post(client, batched(ours(id="4"), written(id="5", subject=None)))
        await post(client, to_structured_event(ours()), bearer("wrong"))
        await post(client, structured([]))
        await post(client, HTTPMessage({}, b""))
        scrape = parse_samples((await client.get("/metrics")).text)
    counted = {
        name[1]: value for name, value in scrape.items() if name[0] == "deliveries_total" and name[2] == "cloudevents"
    }
    assert counted == {"stored": 3, "duplicate": 2, "refused": 4, "spooled": 0, "error": 0}


async def test_without_a_database_the_answer_is_503_with_retry_after(gone: Database) -> None:
    async with api(gone, **WITH_TOKENS) as client:
        response = await post(client, batched(ours(), ours(id="2")))
        scrape = parse_samples((await client.get("/metrics")).text)
    assert is_problem(response, 503, "database-unavailable")
    assert response.headers["retry-after"] == "5"
    assert scrape["deliveries_total", "error", "cloudevents"] == 1


async def test_the_examples_of_the_openapi_document_are_accepted(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        described = (await client.get("/openapi.json")).json()["paths"]["/events"]["post"]
        examples = {kind: one["example"] for kind, one in described["requestBody"]["content"].items()}
        assert set(examples) == {STRUCTURED, BATCHED}
        for kind, example in examples.items():
            message = HTTPMessage({"content-type": kind}, json.dumps(example).encode())
            assert (await post(client, message)).status_code == 202
    assert {"202", "400", "401", "403", "413", "415", "422", "503"} <= set(described["responses"])
    await settle(database)
    assert {row.verdict for row in await read_deliveries(database)} == {"counted"}


async def test_another_method_is_not_allowed(database: Database) -> None:
    async with api(database, **WITH_TOKENS) as client:
        response = await client.get("/events")
    assert is_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


STORY = [
    ours(
        "proposed",
        {"title": "Answer from the cache", "url": "https://example.com/45", "team": "Search", "risk": "bold"},
        id="1",
        subject="key:cache-answers",
    ),
    ours("started", id="2", subject="key:cache-answers", time=at(3, "10:00:00")),
    ours(
        "signalled",
        {"result": "failure", "links": ["key:cache-answers"]},
        id="3",
        source="/pipelines/tests",
        subject="commit:" + "a" * 40,
        time=at(5, "11:30:00"),
    ),
    ours(
        "concluded",
        {"outcome": "failed", "failure_category": "intelligent"},
        id="4",
        subject="key:cache-answers",
        time=at(8),
    ),
    ours(
        "shared",
        {"learning_url": "https://wiki.example.com/45"},
        id="5",
        subject="key:cache-answers",
        time=at(9, "16:45:30"),
    ),
]
TOLD = Experiment(
    root=Ref("key:cache-answers"),
    title="Answer from the cache",
    url="https://example.com/45",
    team="search",
    risk=Risk.BOLD,
    idea_at=at(2),
    idea_inferred=False,
    started_at=at(3, "10:00:00"),
    first_signal_at=at(5, "11:30:00"),
    concluded_at=at(8),
    outcome=Outcome.FAILED,
    failure_category=FailureCategory.INTELLIGENT,
    shared_at=at(9, "16:45:30"),
    shipped_at=None,
    last_activity_at=at(9, "16:45:30"),
)


async def test_a_sequence_of_events_becomes_the_expected_experiment(database: Database) -> None:
    async with api(database, at(20), **WITH_TOKENS) as client:
        for event in STORY:
            assert statuses(await post(client, to_binary_event(event))) == ["stored"]
    await settle(database)
    assert await all_experiments(database) == {"key:cache-answers": TOLD}
    assert {row.verdict for row in await read_deliveries(database)} == {"counted"}


# Three orders in which two copies of each event arrive.
SHUFFLED = [[4, 3, 2, 1, 0, 0, 1, 2, 3, 4], [2, 2, 4, 0, 4, 1, 3, 3, 1, 0], [3, 0, 4, 3, 1, 2, 0, 2, 4, 1]]


@pytest.mark.parametrize("order", SHUFFLED)
@pytest.mark.parametrize("at_once", [True, False])
async def test_repeated_events_in_any_order_become_the_same_experiment(
    database: Database, order: list[int], at_once: bool
) -> None:
    events = [STORY[place] for place in order]
    async with api(database, at(20), **WITH_TOKENS) as client:
        if at_once:
            assert statuses(await post(client, batched(*events))).count("stored") == len(STORY)
        else:
            for event in events:
                assert (await post(client, to_structured_event(event))).status_code == 202
                await settle(database)
    await settle(database)
    assert await all_experiments(database) == {"key:cache-answers": TOLD}


async def test_an_excluded_experiment_disappears_and_a_reopened_experiment_is_open(database: Database) -> None:
    more = [
        ours("reopened", id="6", subject="key:cache-answers", time=at(10)),
        ours("excluded", id="7", subject="key:cache-answers", time=at(11)),
    ]
    async with api(database, at(20), **WITH_TOKENS) as client:
        await post(client, batched(*STORY, more[0]))
        await settle(database)
        [reopened] = (await all_experiments(database)).values()
        await post(client, batched(more[1]))
        await settle(database)
    assert (reopened.concluded_at, reopened.outcome, reopened.shared_at) == (None, None, TOLD.shared_at)
    assert await all_experiments(database) == {}


HOOK: Mapping[str, Any] = {"sources": {"builds": {"provider": "cloudevents", "secret": KEY}}}


@pytest.mark.parametrize("mode", SIGNED_MODES)
async def test_a_webhook_accepts_events_in_structured_and_in_batched_mode(database: Database, mode: str) -> None:
    message = MODES[mode](ours(data={"title": "Cache"}))
    async with api(database, **HOOK) as client:
        answers = [await post(client, message, signature(message), "/webhooks/builds") for _ in range(2)]
    [row] = await read_deliveries(database)
    assert [answer.json() for answer in answers] == [
        {"delivery": str(row.id), "status": status} for status in ("stored", "duplicate")
    ]
    assert (row.source, row.provider) == ("builds", "cloudevents")
    await settle(database)
    assert (await all_experiments(database))[SUBJECT].title == "Cache"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (structured(written(subject=None)), "subject: expected a reference, such as"),
        (to_structured_event(ours("conclude")), "type: expected one of"),
        (batched(ours(), written(data={"team": "_org"})), "[1].data.team: expected a team"),
        (structured(written(time="2026-03-02T09:05:01Z")), "time: the time is more than five minutes ahead"),
        (HTTPMessage({"content-type": STRUCTURED}, b"nonsense"), "the body is not JSON"),
    ],
    ids=["structured", "unknown", "batched", "ahead", "nonsense"],
)
async def test_an_invalid_event_of_a_webhook_is_stored_as_failed_and_its_reason_names_the_field(
    database: Database, message: HTTPMessage, reason: str
) -> None:
    async with api(database, **HOOK) as client:
        answer = await post(client, message, signature(message), "/webhooks/builds")
    assert (answer.status_code, answer.json()["status"]) == (202, "stored")
    await settle(database)
    [row] = await read_deliveries(database)
    assert row.verdict == "failed"
    assert (row.reason or "").startswith(reason)
    assert await all_experiments(database) == {}


@pytest.mark.parametrize("credentials", [{}, bearer(), {**signature(MESSAGE), "webhook-signature": "v1,wrong"}])
async def test_a_webhook_refuses_unsigned_events(database: Database, credentials: dict[str, str]) -> None:
    async with api(database, **HOOK, api_tokens=TOKENS) as client:
        response = await post(client, MESSAGE, credentials, "/webhooks/builds")
    assert is_problem(response, 401, "signature-refused")
    assert await read_deliveries(database) == []

"""The service reads structured, binary and batched CloudEvents. The tests write CloudEvents with the CNCF's SDK."""

import base64
import json
import re
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from standardwebhooks import Webhook

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Linked, Nothing, Observation, Stated
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Signalled,
    Started,
)
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.providers import CLOUD_EVENTS
from service.providers.cloudevents import BATCHED, MOST_EVENTS, STRUCTURED, InvalidEvent, NoCloudEvent
from service.rules.apply import apply_rules
from tests.support.builders import NO_PAYLOAD, at
from tests.support.cloudevents import batched, structured
from tests.support.mutations import nearly_right
from tests.support.paths import CORPUS
from tests.support.road import RULES

OURS = "dev.loopgauge.experiment."
SUBJECT = Ref("github:acme/app#45")
COMMIT = Ref("commit:" + "a" * 40)
MARKED = Declared(SUBJECT, at(2), "experiment", "true", "api")
WIKI = "https://wiki.example.com/45"

KEY = "whsec_" + base64.b64encode(b"a key of some twenty bytes").decode()
OLD_KEY = "whsec_" + base64.b64encode(b"the key that was before it").decode()
BODY = b'{"specversion": "1.0"}'
NOW = at(2)


def ours(statement: str = "described", data: Any = None, **attributes: Any) -> CloudEvent:
    """A `dev.loopgauge.experiment` event, by default of the second of March. Attributes replace the defaults."""
    usual = {
        "id": "1",
        "source": "/pipelines/search",
        "type": OURS + statement,
        "subject": SUBJECT,
        "time": at(2),
        "datacontenttype": "application/json",
    }
    return CloudEvent(usual | attributes, data)


def written(statement: str = "described", **attributes: Any) -> dict[str, Any]:
    """An event as JSON. It may be invalid, unlike an event of the SDK. Attributes that are `None` are omitted."""
    usual = {
        "specversion": "1.0",
        "id": "1",
        "source": "/pipelines/search",
        "type": OURS + statement,
        "subject": SUBJECT,
        "time": "2026-03-02T09:00:00Z",
    }
    return {name: value for name, value in (usual | attributes).items() if value is not None}


def delivery(message: HTTPMessage, received_at: datetime = NOW) -> Delivery:
    """The delivery that the service stores for a request, without the headers that it does not keep."""
    kept = {name: value for name, value in message.headers.items() if name in CLOUD_EVENTS.kept_headers}
    return Delivery("cloudevents", "cloudevents", "1", kept, message.body, received_at)


def observe(message: HTTPMessage, received_at: datetime = NOW) -> Sequence[Observation] | Nothing:
    return CLOUD_EVENTS.observe(delivery(message, received_at))


def said(statement: str, data: Any = None, **attributes: Any) -> Sequence[Observation] | Nothing:
    """The observations of an event, after a check that they are the same in structured and in binary mode."""
    event = ours(statement, data, **attributes)
    in_json, in_headers = observe(to_structured_event(event)), observe(to_binary_event(event))
    assert in_json == in_headers
    return in_json


def declared(field: FieldName, value: str) -> Declared:
    return Declared(SUBJECT, at(2), field, value, "api")


def invalid(message: HTTPMessage, now: datetime = NOW) -> str:
    """The name of the invalid field, after a check that `separate` and `observe` raise the same error."""
    with pytest.raises(InvalidEvent) as refused:
        CLOUD_EVENTS.separate(message.headers, message.body, now)
    with pytest.raises(InvalidEvent) as failed:
        observe(message, now)
    assert str(refused.value) == str(failed.value)
    assert refused.value.field == failed.value.field
    assert refused.value.problem
    assert refused.value.field in str(refused.value)
    return refused.value.field


def signed(body: bytes = BODY, when: datetime = NOW, key: str = KEY, message_id: str = "msg_1") -> dict[str, str]:
    """The headers with which the Standard Webhooks library signs a request."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(key).sign(message_id, when, body.decode()),
    }


def verify(headers: Mapping[str, str], body: bytes = BODY, secrets: Sequence[str] = (KEY,)) -> None:
    structured = {"content-type": "application/cloudevents+json", **headers}
    CLOUD_EVENTS.verify(structured, body, [secret.encode() for secret in secrets], at(2))


def test_the_example_of_the_standard_webhooks_specification_is_accepted() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "content-type": "application/cloudevents+json",
    }
    secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    CLOUD_EVENTS.verify(headers, b'{"test": 2432232314}', [secret], datetime.fromtimestamp(1614265330, UTC))


def test_a_signature_that_the_standard_webhooks_library_makes_is_accepted() -> None:
    verify(signed())


def _svix(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in headers.items()}


def test_the_headers_of_svix_are_those_of_standard_webhooks_under_other_names() -> None:
    verify(_svix(signed()))
    verify({**signed(), **_svix(signed(key=OLD_KEY))})
    assert _svix(signed()).keys() <= CLOUD_EVENTS.proof_headers


def test_headers_of_svix_are_checked_as_strictly() -> None:
    for wrong, reason in (
        (_svix(signed(key=OLD_KEY)), "does not match"),
        (_svix(signed(when=NOW - timedelta(minutes=6))), "header svix-timestamp is more than 5 minutes"),
        ({**_svix(signed()), "svix-id": ""}, "headers svix-id, svix-timestamp and svix-signature are required"),
        ({**signed(key=OLD_KEY), **_svix(signed())}, "does not match"),
        (
            {"svix-signature": signed()["webhook-signature"], **signed(message_id=""), "webhook-signature": ""},
            "svix-id",
        ),
    ):
        with pytest.raises(SignatureRefused, match=reason):
            verify(wrong)


def test_one_right_signature_among_several_is_enough() -> None:
    both = signed(key=OLD_KEY)["webhook-signature"] + " v1a,b3RoZXI= " + signed()["webhook-signature"]
    verify({**signed(), "webhook-signature": both})


def test_a_secret_without_the_prefix_is_the_key_in_base64_or_in_plain_text() -> None:
    bare = KEY.removeprefix("whsec_")
    verify(signed(), secrets=[bare])
    verify(signed(key=base64.b64encode(b"just words").decode()), secrets=["just words"])


@pytest.mark.parametrize("other", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(at(2).timestamp()) + 1)}])
def test_the_signature_covers_the_id_and_the_time(other: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        verify({**signed(), **other})


@pytest.mark.parametrize("content_type", ["application/cloudevents+json", "application/CloudEvents-Batch+json; x=y"])
def test_a_signature_admits_the_structured_and_the_batched_mode(content_type: str) -> None:
    verify({**signed(), "content-type": content_type})


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_a_signature_does_not_admit_the_binary_mode_because_the_attributes_are_in_headers(content_type: str) -> None:
    binary = {**to_binary_event(ours()).headers, "content-type": content_type}
    with pytest.raises(SignatureRefused, match=r"does not cover the headers .* or use the write token"):
        verify({**signed(), **binary})


def test_headers_with_attributes_are_not_stored_beside_a_structured_event() -> None:
    structured = to_structured_event(ours())
    [envelope] = CLOUD_EVENTS.separate({**structured.headers, "ce-type": "other"}, structured.body, NOW)
    assert envelope.headers == {"content-type": "application/cloudevents+json"}


BY_TYPE: Mapping[str, Sequence[LifecycleEvent]] = {
    "proposed": [Proposed(SUBJECT, at(2))],
    "started": [Started(SUBJECT, at(2))],
    "signalled": [Signalled(SUBJECT, at(2), "success")],
    "concluded": [Concluded(SUBJECT, at(2), None)],
    "classified": [],
    "shared": [declared("shared", "true")],
    "reopened": [Reopened(SUBJECT, at(2))],
    "shipped": [Shipped(SUBJECT, at(2))],
    "described": [],
    "excluded": [declared("excluded", "stated")],
}


@pytest.mark.parametrize("statement", BY_TYPE)
def test_each_type_of_event_becomes_its_lifecycle_event_and_marks_its_subject_as_an_experiment(statement: str) -> None:
    assert said(statement) == [Stated((MARKED, *BY_TYPE[statement]))]


ALL_DATA = {
    "title": " Answer from the cache ",
    "url": "https://example.com/45",
    "team": " Search ",
    "risk": "bold",
    "outcome": "failed",
    "failure_category": "intelligent",
    "learning_url": WIKI,
    "result": "failure",
    "links": ["jira:ml-12", "key:Cache", "jira:ML-12", SUBJECT],
}
ALL_DECLARED = (
    declared("title", "Answer from the cache"),
    declared("url", "https://example.com/45"),
    declared("team", "search"),
    declared("risk", "bold"),
    declared("outcome", "failed"),
    declared("failure_category", "intelligent"),
    declared("shared", WIKI),
)
ALL_LINKED = Linked(SUBJECT, "api", SUBJECT, frozenset({Ref("jira:ML-12"), Ref("key:Cache")}), at(2))
WITH_DATA: Mapping[str, Sequence[LifecycleEvent]] = {
    **BY_TYPE,
    "signalled": [Signalled(SUBJECT, at(2), "failure")],
    "concluded": [Concluded(SUBJECT, at(2), Outcome.FAILED)],
    "shared": [],
}


@pytest.mark.parametrize("statement", WITH_DATA)
def test_each_type_of_event_declares_every_field_of_its_data_once(statement: str) -> None:
    assert said(statement, ALL_DATA) == [Stated((MARKED, *WITH_DATA[statement], *ALL_DECLARED)), ALL_LINKED]


DATA: Sequence[tuple[dict[str, Any], Sequence[LifecycleEvent]]] = [
    ({}, []),
    ({"title": "Cache"}, [declared("title", "Cache")]),
    ({"title": ""}, []),
    ({"title": "  "}, []),
    ({"url": "HTTP://example.com"}, [declared("url", "HTTP://example.com")]),
    ({"team": "ML Platform"}, [declared("team", "ml platform")]),
    ({"risk": "safe"}, [declared("risk", "safe")]),
    ({"outcome": "worked"}, [declared("outcome", "worked")]),
    ({"outcome": "inconclusive"}, [declared("outcome", "inconclusive")]),
    ({"outcome": "abandoned"}, [declared("outcome", "abandoned")]),
    ({"failure_category": "basic"}, [declared("failure_category", "basic")]),
    (
        {"outcome": "failed", "failure_category": "complex"},
        [declared("outcome", "failed"), declared("failure_category", "complex")],
    ),
    ({"learning_url": WIKI}, [declared("shared", WIKI)]),
    ({"result": "failure"}, []),
    ({"sponsor": {"name": ["nobody"]}}, []),
    (dict.fromkeys(ALL_DATA), []),
]


@pytest.mark.parametrize(("data", "expected"), DATA, ids=lambda one: str(one)[:40] if isinstance(one, dict) else "")
def test_each_field_of_the_data_declares_its_own_value(
    data: dict[str, Any], expected: Sequence[LifecycleEvent]
) -> None:
    (stated,) = observed(said("described", data))
    assert isinstance(stated, Stated)
    assert stated.events == (MARKED, *expected)


@pytest.mark.parametrize("outcome", ["worked", "failed", "inconclusive", "abandoned"])
def test_a_conclusion_contains_its_outcome(outcome: str) -> None:
    concluded = Concluded(SUBJECT, at(2), Outcome(outcome))
    assert said("concluded", {"outcome": outcome}) == [Stated((MARKED, concluded, declared("outcome", outcome)))]


@pytest.mark.parametrize("result", ["success", "failure"])
def test_a_first_result_is_a_success_or_a_failure(result: Any) -> None:
    assert said("signalled", {"result": result}) == [Stated((MARKED, Signalled(SUBJECT, at(2), result)))]


@pytest.mark.parametrize("subject", [COMMIT, "branch:acme/app@exp/Cache", "run:acme/app/7"])
@pytest.mark.parametrize("statement", BY_TYPE)
def test_a_commit_a_branch_or_a_run_is_not_marked_as_an_experiment(statement: str, subject: str) -> None:
    (stated,) = observed(said(statement, subject=subject))
    assert isinstance(stated, Stated)
    assert [type(event) for event in stated.events] == [type(event) for event in BY_TYPE[statement]]
    assert all(event.subject == subject for event in stated.events)
    assert not any(isinstance(event, Declared) and event.field == "experiment" for event in stated.events)


def observed(what: Sequence[Observation] | Nothing) -> Sequence[Observation]:
    assert not isinstance(what, Nothing), what.reason
    return what


@pytest.mark.parametrize("subject", ["github:acme/app!7", "jira:ML-12", "key:Cache-answers"])
def test_a_subject_other_than_a_commit_a_branch_or_a_run_is_marked_as_an_experiment(subject: str) -> None:
    assert said("described", subject=subject) == [Stated((Declared(Ref(subject), at(2), "experiment", "true", "api"),))]


def test_an_event_about_a_commit_may_link_the_commit_to_an_experiment() -> None:
    assert said("signalled", {"result": "success", "links": [SUBJECT]}, subject="commit:" + "A" * 40) == [
        Stated((Signalled(COMMIT, at(2), "success"),)),
        Linked(COMMIT, "api", COMMIT, frozenset({SUBJECT}), at(2)),
    ]


def test_an_empty_list_of_links_withdraws_earlier_links() -> None:
    assert said("described", {"links": []}) == [
        Stated((MARKED,)),
        Linked(SUBJECT, "api", SUBJECT, frozenset(), at(2)),
    ]


def test_a_subject_is_named_by_its_canonical_reference() -> None:
    assert said("described", subject=" github:Acme/App#45 ") == [Stated((MARKED,))]


def test_an_event_without_a_time_is_dated_by_its_receipt() -> None:
    for message in (
        structured(written(time=None)),
        batched(written(time=None)),
        HTTPMessage({f"ce-{name}": value for name, value in written(time=None).items()}, b""),
    ):
        assert observe(message, at(7, "11:12:13")) == [
            Stated((Declared(SUBJECT, at(7, "11:12:13"), "experiment", "true", "api"),))
        ]


def test_a_time_is_converted_to_utc() -> None:
    local = at(2).astimezone(timezone(timedelta(hours=5, minutes=30)))
    (stated,) = observed(said("proposed", time=local))
    assert isinstance(stated, Stated)
    assert {(event.occurred_at, event.occurred_at.tzinfo) for event in stated.events} == {(at(2), UTC)}


def test_a_time_may_have_nanoseconds() -> None:
    when = at(2, "08:59:59.123457")
    assert observe(structured(written(time="2026-03-02T08:59:59.123456789Z"))) == [
        Stated((Declared(SUBJECT, when, "experiment", "true", "api"),))
    ]


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=-20_000)])
def test_a_time_in_the_past_or_up_to_five_minutes_in_the_future_is_accepted(ahead: timedelta) -> None:
    when = at(2) + ahead
    assert said("proposed", time=when) == [
        Stated((Declared(SUBJECT, when, "experiment", "true", "api"), Proposed(SUBJECT, when)))
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-03-02T09:05:00.000001Z",
        "2026-03-02T09:00:00-01:00",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-03-02T09:00:00",
        "2026-03-02",
        "yesterday",
        "",
    ],
)
def test_an_invalid_time_is_refused_and_the_error_names_the_attribute_time(wrong: str) -> None:
    assert invalid(structured(written(time=wrong))) == "time"
    assert invalid(batched(written(time=None), written(time=wrong))) == "[1].time"
    headers = {f"ce-{name}": value for name, value in written(time=wrong).items()}
    assert invalid(HTTPMessage(headers, b"")) == "time"


ATTRIBUTES: Sequence[tuple[str, Any]] = [
    ("specversion", None),
    ("specversion", "0.3"),
    ("specversion", 1.0),
    ("id", None),
    ("id", ""),
    ("id", 7),
    ("id", "a\nb"),
    ("id", "\0"),
    ("id", "x" * 2001),
    ("source", None),
    ("source", ""),
    ("source", []),
    ("source", "/pipelines/my search"),
    ("source", "x" * 2001),
    ("type", None),
    ("type", ""),
    ("type", {}),
    ("type", OURS + "conclude"),
    ("type", OURS + "Concluded"),
    ("type", OURS),
    ("type", "x" * 2001),
    ("subject", None),
    ("subject", ""),
    ("subject", 45),
    ("subject", "45"),
    ("subject", "#45"),
    ("subject", "GitHub:acme/app"),
    ("subject", "github:"),
    ("subject", "github:acme/my app#45"),
    ("subject", "key:\0"),
    ("subject", "key:" + "x" * 997),
    ("subject", "key:" + "鍵" * 333),
    ("subject", "jira:" + "ΐ" * 400),
    ("time", 1_772_442_000),
    ("datacontenttype", 5),
    ("data_base64", 5),
    ("data_base64", "not base64!"),
    ("data_base64", "é"),
]


@pytest.mark.parametrize(("name", "value"), ATTRIBUTES, ids=lambda one: repr(one)[:30])
def test_a_missing_or_malformed_attribute_is_refused_and_the_error_names_the_attribute(name: str, value: Any) -> None:
    event = written(**{name: value})
    assert invalid(structured(event)) == name
    assert invalid(batched(written(), event)) == f"[1].{name}"


IN_HEADERS = {"specversion", "id", "source", "type", "subject"}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, value in ATTRIBUTES if name in IN_HEADERS and isinstance(value, str | None)],
    ids=lambda one: repr(one)[:30],
)
def test_a_missing_or_malformed_attribute_in_the_headers_is_refused_and_the_error_names_the_attribute(
    name: str, value: str | None
) -> None:
    headers = {f"ce-{name}": value for name, value in written().items()}
    if value is None:
        del headers[f"ce-{name}"]
    else:
        headers[f"ce-{name}"] = quote(value)
    message = HTTPMessage(headers, b"")
    if name == "specversion" and value is None:
        with pytest.raises(NoCloudEvent):
            CLOUD_EVENTS.separate(message.headers, message.body, at(2))
    else:
        assert invalid(message) == name


WRONG_DATA: Sequence[tuple[Any, str]] = [
    ([], "data"),
    ("title", "data"),
    (5, "data"),
    (False, "data"),
    ({"title": 5}, "data.title"),
    ({"title": "\0"}, "data.title"),
    ({"title": "x" * 20_001}, "data.title"),
    ({"url": ""}, "data.url"),
    ({"url": "example.com"}, "data.url"),
    ({"url": "javascript:alert(1)"}, "data.url"),
    ({"url": "https://example.com/a b"}, "data.url"),
    ({"url": "https://"}, "data.url"),
    ({"team": ""}, "data.team"),
    ({"team": "   "}, "data.team"),
    ({"team": "_org"}, "data.team"),
    ({"team": " _other"}, "data.team"),
    ({"team": "x" * 101}, "data.team"),
    ({"team": ["search"]}, "data.team"),
    ({"risk": "Bold"}, "data.risk"),
    ({"outcome": "success"}, "data.outcome"),
    ({"outcome": "undeclared"}, "data.outcome"),
    ({"outcome": "failed", "failure_category": "unclassified"}, "data.failure_category"),
    ({"outcome": "worked", "failure_category": "basic"}, "data.failure_category"),
    ({"learning_url": "the wiki"}, "data.learning_url"),
    ({"result": True}, "data.result"),
    ({"result": "cancelled"}, "data.result"),
    ({"links": "key:a"}, "data.links"),
    ({"links": ["key:a"] * 51}, "data.links"),
    ({"links": ["key:a", 5]}, "data.links[1]"),
    ({"links": ["key:a", "b"]}, "data.links[1]"),
    ({"links": ["key:" + "x" * 997]}, "data.links[0]"),
    ({"links": ["key:" + "鍵" * 333]}, "data.links[0]"),
]


@pytest.mark.parametrize(("data", "field"), WRONG_DATA, ids=lambda one: repr(one)[:40])
def test_invalid_data_is_refused_and_the_error_names_the_field(data: Any, field: str) -> None:
    in_base64 = base64.b64encode(json.dumps(data).encode()).decode()
    assert invalid(structured(written(data=data))) == field
    assert invalid(structured(written(data_base64=in_base64))) == field
    assert invalid(batched(written(), written(), written(data=data))) == f"[2].{field}"
    assert invalid(HTTPMessage(to_binary_event(ours()).headers, json.dumps(data).encode())) == field


@pytest.mark.parametrize(
    "body", [b"{", b"title=Cache", b"\xff", b'{"title": "\xff"}', b'{"title": "\\ud800"}', b"[" * 100_000]
)
def test_data_that_is_not_json_is_refused_and_the_error_names_the_data(body: bytes) -> None:
    assert invalid(HTTPMessage(to_binary_event(ours()).headers, body)) == "data"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.acme.cache+json; v=1", ""],
)
def test_data_of_any_json_content_type_is_read(content_type: str) -> None:
    expected = [Stated((MARKED, declared("title", "Cache")))]
    assert observe(structured(written(data={"title": "Cache"}, datacontenttype=content_type))) == expected
    headers = {**to_binary_event(ours()).headers, "content-type": content_type}
    assert observe(HTTPMessage(headers, b'{"title": "Cache"}')) == expected
    del headers["content-type"]
    assert observe(HTTPMessage(headers, b'{"title": "Cache"}')) == expected


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"])
def test_data_of_another_content_type_is_refused_with_the_reason(content_type: str) -> None:
    assert invalid(structured(written(data="title", datacontenttype=content_type))) == "datacontenttype"
    headers = {**to_binary_event(ours()).headers, "content-type": content_type}
    assert invalid(HTTPMessage(headers, b"{}")) == "datacontenttype"


@pytest.mark.parametrize("empty", [b"", b" \n", b"null"])
def test_the_content_type_of_empty_data_is_ignored(empty: bytes) -> None:
    headers = {**to_binary_event(ours()).headers, "content-type": "text/plain"}
    assert observe(HTTPMessage(headers, empty)) == [Stated((MARKED,))]


def test_data_in_base64_is_read() -> None:
    assert observe(to_structured_event(ours(data=b'{"risk": "bold"}'))) == [Stated((MARKED, declared("risk", "bold")))]
    assert observe(structured(written(data_base64=""))) == [Stated((MARKED,))]


@pytest.mark.parametrize("name", ["subject", "time", "datacontenttype", "data", "data_base64", "dataschema"])
@pytest.mark.parametrize("null", [True, False])
def test_every_optional_attribute_except_the_subject_may_be_null_or_absent(name: str, null: bool) -> None:
    event = written() | ({name: None} if null else {})
    if not null:
        event.pop(name, None)
    if name == "subject":
        assert invalid(structured(event)) == "subject"
    else:
        assert observe(structured(event)) == [Stated((MARKED,))]


def test_unknown_attributes_are_ignored() -> None:
    extended = ours(traceparent="00-0af7", dataschema="https://example.com/schema", sequence="7")
    assert observe(to_structured_event(extended)) == observe(to_binary_event(extended)) == [Stated((MARKED,))]


def test_a_property_that_is_not_read_is_named_with_the_nearest_property() -> None:
    data = {"outcom": "failed", "colour": "red", "jane@acme.example": 1, "team": "search"}
    (stated,) = observed(said("concluded", data))
    assert isinstance(stated, Stated)
    assert stated.unread == (
        "data.outcom is not a property of these events; did you mean outcome?",
        "data.colour is not a property of these events",
    )


def test_the_reason_of_an_event_names_the_properties_that_are_not_read() -> None:
    observations = observed(said("concluded", {"outcom": "failed"}))
    assert apply_rules(RULES, "cloudevents", observations, NO_PAYLOAD).reason == (
        "stated; refused: data.outcom is not a property of these events; did you mean outcome?"
    )


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("key:caf%C3%A9", "key:café"),
        ("key:caf\u00c3\u00a9", "key:café"),
        ('"key:cache"', "key:cache"),
        ('"key:a\\"b\\\\c"', 'key:a"b\\c'),
        ("key:100%", "key:100%"),
        ("key:100%25", "key:100%"),
        ("key:%2520", "key:%20"),
    ],
)
def test_the_quotes_and_the_percent_encoding_of_a_header_are_decoded_once(header: str, meant: str) -> None:
    headers = {**to_binary_event(ours()).headers, "ce-subject": header}
    assert observe(HTTPMessage(headers, b"")) == [Stated((Declared(Ref(meant), at(2), "experiment", "true", "api"),))]


def test_an_attribute_that_the_sdk_encodes_is_decoded() -> None:
    odd = 'key:"naïve"-100%-鍵-\N{ROCKET}'
    assert said("described", subject=odd) == [Stated((Declared(Ref(odd), at(2), "experiment", "true", "api"),))]


@pytest.mark.parametrize("header", ["key:%FF", "key:\u00ff", "key:\N{ROCKET}", "key:%00", "%20", '"'])
def test_a_header_that_does_not_decode_to_a_reference_is_refused_and_the_error_names_the_attribute(header: str) -> None:
    assert invalid(HTTPMessage({**to_binary_event(ours()).headers, "ce-subject": header}, b"")) == "subject"


@pytest.mark.parametrize("parameters", ["; charset=utf-8", ";charset=UTF-8", " ; boundary=x"])
def test_the_parameters_and_the_case_of_a_content_type_do_not_matter(parameters: str) -> None:
    one = HTTPMessage({"content-type": "Application/CloudEvents+JSON" + parameters}, json.dumps(written()).encode())
    many = HTTPMessage({"content-type": BATCHED.upper() + parameters}, batched(written()).body)
    assert observe(one) == observe(many) == [Stated((MARKED,))]


def test_a_structured_body_takes_precedence_over_headers() -> None:
    headers = {**to_binary_event(ours(subject="key:other")).headers, "content-type": STRUCTURED}
    assert observe(HTTPMessage(headers, to_structured_event(ours()).body)) == [Stated((MARKED,))]


FOREIGN = ("dev.cdevents.pipelinerun.finished.0.2.0", "com.github.push", "dev.loopgauge.experiments.concluded")


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_event_of_another_type_is_ignored_whatever_its_other_fields(kind: str) -> None:
    nothing = Nothing(f"CloudEvents of type `{kind}` say nothing about experiments")
    event = CloudEvent(
        {"id": "1", "source": "/x", "type": kind, "time": at(2, "10:00:00"), "datacontenttype": "text/plain"}, "words"
    )
    assert observe(to_structured_event(event)) == observe(to_binary_event(event)) == nothing
    assert observe(batched(event, event)) == nothing


def test_the_reason_for_an_ignored_batch_of_other_types_names_ten_of_the_types() -> None:
    kinds = [f"com.example.{number}" for number in range(20)]
    message = batched(*(written(type=kind) for kind in kinds))
    named = ", ".join(f"`{kind}`" for kind in kinds[:10])
    assert observe(message) == Nothing(f"CloudEvents of type {named} say nothing about experiments")


def test_an_empty_batch_is_ignored() -> None:
    assert observe(batched()) == Nothing("an empty batch")


def test_the_events_of_a_batch_are_read_in_order() -> None:
    message = batched(ours("proposed"), written(type="com.example.other"), ours("started", {"links": ["key:a"]}))
    assert observe(message) == [
        Stated((MARKED, Proposed(SUBJECT, at(2)))),
        Stated((MARKED, Started(SUBJECT, at(2)))),
        Linked(SUBJECT, "api", SUBJECT, frozenset({Ref("key:a")}), at(2)),
    ]


@pytest.mark.parametrize(("element", "field"), [(5, "[1]"), (None, "[1]"), ([], "[1]"), ({}, "[1].specversion")])
def test_the_error_for_an_invalid_element_of_a_batch_names_its_position(element: Any, field: str) -> None:
    assert invalid(batched(written(), element)) == field


def test_a_batch_may_contain_a_thousand_events_at_most() -> None:
    most = [written(id=str(number)) for number in range(MOST_EVENTS)]
    message = batched(*most)
    assert len(CLOUD_EVENTS.separate(message.headers, message.body, at(2))) == len(observed(observe(message))) == 1000
    assert invalid(batched(*most, written())) == ""


def test_a_batch_of_a_million_events_is_refused_before_the_whole_batch_is_decoded() -> None:
    message = HTTPMessage({"content-type": BATCHED}, b"[" + b"1," * 1_000_000 + b"1]")
    tracemalloc.start()
    try:
        assert invalid(message) == ""
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("event", [[], 5, "event", None])
def test_a_structured_event_that_is_not_an_object_or_a_batch_that_is_not_an_array_is_refused(event: Any) -> None:
    assert invalid(structured(event)) == ""
    assert invalid(HTTPMessage({"content-type": BATCHED}, json.dumps({"events": event}).encode())) == ""


UNREADABLE = [b"", b"{", b"\xff", b"nonsense", b"[" * 100_000, b'{"data":' * 100_000, b'{"id": "\\ud800"}']


@pytest.mark.parametrize("content_type", [STRUCTURED, BATCHED])
@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: repr(body)[:20])
def test_a_body_that_is_not_json_is_unreadable(content_type: str, body: bytes) -> None:
    message = HTTPMessage({"content-type": content_type}, body)
    with pytest.raises(UnreadableDelivery):
        CLOUD_EVENTS.separate(message.headers, message.body, at(2))
    with pytest.raises(UnreadableDelivery):
        observe(message)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "application/cloudevents+avro"},
        {"ce-id": "1", "ce-type": OURS + "proposed", "ce-source": "/a"},
    ],
)
def test_a_request_without_an_event_is_refused_and_the_error_names_the_expected_headers(
    headers: dict[str, str],
) -> None:
    with pytest.raises(NoCloudEvent, match=r"application/cloudevents\+json .* ce-specversion"):
        CLOUD_EVENTS.separate(headers, BODY, at(2))
    with pytest.raises(UnreadableDelivery, match=r"application/cloudevents\+json .* ce-specversion"):
        observe(HTTPMessage(headers, BODY))


def test_each_event_of_a_request_becomes_its_own_delivery_with_the_same_observations() -> None:
    events = [ours("proposed", id="a"), ours("concluded", {"outcome": "worked"}, id="b", source="urn:x")]
    request = batched(*events)
    kept = CLOUD_EVENTS.separate({**request.headers, "authorization": "Bearer t0ken"}, request.body, at(2))
    assert [one.provider_id for one in kept] == ["/pipelines/search a", "urn:x b"]
    assert [one.headers for one in kept] == [{"content-type": STRUCTURED}] * 2
    each = [observe(HTTPMessage(dict(one.headers), one.body)) for one in kept]
    assert [observation for one in each for observation in observed(one)] == observe(request)


def test_an_event_has_the_same_delivery_id_in_every_mode() -> None:
    event = ours("proposed", {"title": "Cache"}, id="naïve 1", source="/naïve")
    ids = set()
    for message in (to_structured_event(event), to_binary_event(event), batched(event)):
        (kept,) = CLOUD_EVENTS.separate(
            {**message.headers, "webhook-signature": "v1,x", "host": "x"}, message.body, at(2)
        )
        assert set(kept.headers) <= CLOUD_EVENTS.kept_headers
        ids.add(kept.provider_id)
    assert ids == {"/naïve naïve 1"}


def test_events_that_differ_in_source_or_id_never_have_the_same_delivery_id() -> None:
    one, other = (
        CLOUD_EVENTS.separate({"content-type": STRUCTURED}, structured(written(source=source, id=number)).body, at(2))
        for source, number in (("/a", "b c"), ("/a", " b c"))
    )
    assert one[0].provider_id != other[0].provider_id
    assert invalid(structured(written(source="/a b", id="c"))) == "source"


@pytest.mark.parametrize("text", [" ", "https://", "\\", '"\\', "%"])
def test_long_texts_are_read_in_linear_time(text: str) -> None:
    # A text of four times the length takes four times as long to read, or sixteen times if the time is quadratic.
    assert _cpu_seconds(text, 40_000) < 10 * _cpu_seconds(text, 10_000)


def _cpu_seconds(text: str, length: int) -> float:
    """Measure three times the CPU seconds to refuse events with texts of this length, and return the least."""
    long = text * (length // len(text)) + "_"
    headers = {f"ce-{name}": long for name in ("id", "source", "type", "subject", "time")}
    requests = [
        HTTPMessage({"ce-specversion": "1.0", **headers}, b""),
        structured(written(data={"team": long, "url": long, "title": long})),
    ]
    return min(_taken(requests) for _ in range(3))


def _taken(requests: Sequence[HTTPMessage]) -> float:
    begun = time.process_time()
    for request in requests:
        invalid(request)
    return time.process_time() - begun


CDEVENTS = CORPUS / "cdevents"
READ = [json.loads(path.read_text("utf-8")) for path in sorted(CDEVENTS.rglob("*.json"))]
REAL = [payload for payload in READ if "context" in payload]


@pytest.mark.skipif(not REAL, reason="the corpus of real payloads is not installed beside the repository")
def test_a_published_cdevent_in_a_cloudevent_is_ignored_and_the_reason_names_its_type() -> None:
    for payload in REAL:
        context = payload["context"]
        event = CloudEvent(
            {"id": context["id"], "source": context["source"], "type": context["type"], "time": at(1)}, payload
        )
        nothing = Nothing(f"CloudEvents of type `{context['type']}` say nothing about experiments")
        assert observe(to_structured_event(event)) == observe(to_binary_event(event)) == nothing


@given(nearly_right(lambda: [written(statement, data=ALL_DATA) for statement in BY_TYPE]))
def test_an_event_that_is_accepted_on_receipt_is_always_understood_later(event: dict[str, Any]) -> None:
    message = structured(event)
    try:
        (kept,) = CLOUD_EVENTS.separate(message.headers, message.body, at(2))
    except UnreadableDelivery:
        return
    assert observe(HTTPMessage(dict(kept.headers), kept.body)) == observe(message)


@pytest.mark.parametrize(
    ("event", "field", "question"),
    [
        (ours("clasified"), "type", "did you mean dev.loopgauge.experiment.classified?"),
        (ours("conclude"), "type", "did you mean dev.loopgauge.experiment.concluded?"),
        (ours("classified", {"failure_category": "inteligent"}), "data.failure_category", "did you mean intelligent?"),
        (ours("concluded", {"outcome": "fail"}), "data.outcome", "did you mean failed?"),
        (ours("described", {"risk": "Blod"}), "data.risk", "did you mean bold?"),
        (ours("signalled", {"result": "sucess"}), "data.result", "did you mean success?"),
    ],
)
def test_the_refusal_of_a_misspelt_word_proposes_the_nearest_word(event: CloudEvent, field: str, question: str) -> None:
    with pytest.raises(InvalidEvent, match=f"expected one of .*{re.escape(question)}") as refused:
        observe(to_structured_event(event))
    assert refused.value.field == field


def test_an_unknown_word_that_is_near_no_word_gets_no_question() -> None:
    with pytest.raises(InvalidEvent) as refused:
        observe(to_structured_event(ours("pivoted")))
    assert "did you mean" not in refused.value.problem


@pytest.mark.parametrize(
    ("content_type", "body", "advice"),
    [
        (STRUCTURED, b"[{}]", f"the body is a batch, not one event; send it with the content type {BATCHED}"),
        (BATCHED, b" {}", f"the body is one event, not a batch; send it with the content type {STRUCTURED}"),
    ],
    ids=["batch as one event", "one event as batch"],
)
def test_the_reason_names_the_content_type_that_fits_the_body(content_type: str, body: bytes, advice: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        CLOUD_EVENTS.separate({"content-type": content_type}, body, at(3))
    assert refused.value.problem == advice

"""Every provider verifies, identifies and reads deliveries by the same contract."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Commented, Mentioned, Nothing, Observation
from service.deliveries.signatures import SignatureRefused
from service.providers import PROVIDERS, REFERENCES
from tests.support.builders import at
from tests.support.malformed import MALFORMED, malformed
from tests.support.mutations import JSON, is_sound, nearly_right, times
from tests.support.persons import ACCOUNT, MARK, planted
from tests.support.provider_examples import BATCHED, EVENT_HEADERS, TIMED, Example, Timed, examples, published, timed
from tests.support.signing import SCHEMES

SENT = at(2)
BODY = b'{"an": "example"}'
KEPT_HEADERS: Mapping[str, set[str]] = {
    "github": {"x-github-event", "x-github-delivery", "x-github-hook-id"},
    "jira": {"x-atlassian-webhook-identifier", "x-atlassian-webhook-retry", "x-atlassian-webhook-flow"},
    "gitlab": {
        *("x-gitlab-event", "x-gitlab-webhook-uuid", "x-gitlab-event-uuid"),
        *("idempotency-key", "webhook-id"),
    },
    "circleci": {"circleci-event-type"},
    "buildkite": {"x-buildkite-event"},
    "jenkins": set(),
    "cloudevents": {"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time"},
}
SECRETS = frozenset().union(*(provider.proof_headers for provider in PROVIDERS.values())) - {
    "webhook-id",
    "webhook-timestamp",
}
"""The headers that prove who the sender is, without the two that Standard Webhooks signs and that are not secret."""
UNPARSED = b"\xff not JSON"
DELIVERY_IDS: Sequence[tuple[str, Mapping[str, str], str | bytes]] = [
    ("github", {"x-github-event": "ping", "x-github-delivery": "72d3162e-cc78"}, "72d3162e-cc78"),
    ("github", {"x-github-event": "ping"}, b"ping\n"),
    ("github", {"x-github-event": "ping", "x-github-delivery": ""}, b"ping\n"),
    ("jira", {"x-atlassian-webhook-identifier": "a-b"}, "a-b"),
    ("jira", {}, b"\n"),
    ("jira", {"x-atlassian-webhook-identifier": ""}, b"\n"),
    ("gitlab", {"idempotency-key": "f5e5f430", "webhook-id": "msg_1", "x-gitlab-event": "Push Hook"}, "f5e5f430"),
    ("gitlab", {"idempotency-key": "", "webhook-id": "msg_1"}, "msg_1"),
    ("gitlab", {"x-gitlab-event": "Push Hook"}, b"Push Hook\n"),
    ("gitlab", {"x-gitlab-event-uuid": "13792a34"}, b"\n"),
    ("gitlab", {}, b"\n"),
    ("circleci", {"circleci-event-type": "ping", "circleci-signature": "v1=changes"}, b"ping\n"),
    ("circleci", {}, b"\n"),
    ("buildkite", {"x-buildkite-event": "ping", "x-buildkite-signature": "timestamp=1,signature=2"}, b"ping\n"),
    ("buildkite", {}, b"\n"),
    ("jenkins", {"authorization": "changes"}, b"\n"),
    ("cloudevents", {"ce-source": "/pipelines/search", "ce-id": "1"}, b"\n"),
    ("cloudevents", {}, b"\n"),
]
"""A provider, the headers of a delivery, and the id of the delivery. If the id is a hash, the third element is instead
the bytes that are hashed before the body."""


def lacking(name: str) -> list[str]:
    """The tables of test data that have no entry for a provider. Most tests here skip such a provider."""
    needed = {
        "KEPT_HEADERS in tests/unit/providers/test_contract.py": name in KEPT_HEADERS,
        "DELIVERY_IDS in tests/unit/providers/test_contract.py": name in {entry[0] for entry in DELIVERY_IDS},
        "EVENT_HEADERS in tests/support/provider_examples.py": name in EVENT_HEADERS,
        "TIMED in tests/support/provider_examples.py": bool(TIMED.get(name)),
        "MALFORMED in tests/support/malformed.py": name in MALFORMED,
        "SCHEMES in tests/support/signing.py": any(scheme.provider == name for scheme in SCHEMES.values()),
        "_MORE in tests/support/provider_examples.py": bool(examples(name)),
    }
    return [place for place, present in needed.items() if not present]


COMPLETE = [name for name in PROVIDERS if not lacking(name)]
every_provider = pytest.mark.parametrize("name", COMPLETE)
every_time = pytest.mark.parametrize(("name", "place"), [(name, place) for name in COMPLETE for place in TIMED[name]])
EVENTS = [(name, headers) for name in COMPLETE for headers in EVENT_HEADERS[name]]
every_event = pytest.mark.parametrize(("name", "headers"), EVENTS)
every_scheme = pytest.mark.parametrize("source", SCHEMES)


def verify(
    source: str,
    proof: Mapping[str, str],
    *,
    body: bytes = BODY,
    secrets: Sequence[bytes] | None = None,
    later: timedelta = timedelta(0),
) -> None:
    """Verify a body with `secrets`, or with the secret of the scheme if `secrets` is None."""
    scheme = SCHEMES[source]
    own = [scheme.secret.encode()]
    headers = {"content-type": "application/cloudevents+json", **proof}
    PROVIDERS[scheme.provider].verify(headers, body, own if secrets is None else secrets, SENT + later)


def proof_of(source: str) -> dict[str, str]:
    return dict(SCHEMES[source].prove(BODY, SENT))


@every_provider
def test_the_example_references_of_a_provider_can_be_parsed_and_begin_with_its_name(name: str) -> None:
    grammar = PROVIDERS[name].references
    examples_of_form = grammar.example.split(" or ") if grammar else []
    assert [REFERENCES.parse(example) for example in examples_of_form] == examples_of_form
    assert all(example.startswith(f"{name}:") for example in examples_of_form)


def proofs() -> list[tuple[str, str]]:
    """Every pair of a scheme and a proof header of the scheme."""
    return [(source, header) for source in SCHEMES for header in proof_of(source)]


def is_dated(source: str) -> bool:
    """Whether the proof of the scheme depends on the time."""
    return SCHEMES[source].prove(BODY, at(2)) != SCHEMES[source].prove(BODY, at(3))


def delivery(name: str, headers: Mapping[str, str], body: bytes) -> Delivery:
    kept = {header: value for header, value in headers.items() if header in PROVIDERS[name].kept_headers}
    return Delivery(name, name, "1", kept, body, at(9))


def observe(name: str, headers: Mapping[str, str], body: bytes) -> Sequence[Observation] | Nothing:
    return PROVIDERS[name].observe(delivery(name, headers, body))


def is_understood_or_unreadable(name: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the provider returns observations that pass `is_sound`, or reports the delivery as unreadable.

    Any other error fails the test.
    """
    try:
        return is_sound(observe(name, headers, body))
    except UnreadableDelivery as error:
        return bool(str(error))


def without_texts(said: Sequence[Observation] | Nothing) -> str:
    """The observations as text, without the texts that people wrote and without the owners of forks in references."""
    told = [] if isinstance(said, Nothing) else [one for one in said if not isinstance(one, Commented | Mentioned)]
    return f"{said if isinstance(said, Nothing) else told}".replace(f"{ACCOUNT}/", "").lower()


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_is_listed_under_its_name_and_has_examples_for_the_contract(name: str) -> None:
    assert PROVIDERS[name].name == name
    assert not lacking(name), f"the provider `{name}` needs an entry in: {', '.join(lacking(name))}"


@every_provider
def test_a_provider_stores_the_headers_that_it_reads_and_never_a_proof_header(name: str) -> None:
    assert PROVIDERS[name].kept_headers == {"content-type"} | KEPT_HEADERS[name]
    assert not PROVIDERS[name].kept_headers & SECRETS


@every_scheme
def test_a_scheme_needs_no_headers_except_the_proof_headers_and_those_that_the_provider_stores(source: str) -> None:
    provider = PROVIDERS[SCHEMES[source].provider]
    read = provider.kept_headers | provider.proof_headers
    verify(source, {name: value for name, value in proof_of(source).items() if name in read})


@every_provider
def test_the_security_schemes_in_the_openapi_document_name_only_proof_headers(name: str) -> None:
    provider = PROVIDERS[name]
    for scheme in provider.security_schemes.values():
        assert scheme.get("name", "authorization").lower() in provider.proof_headers


@every_scheme
def test_the_previous_secret_is_accepted_until_it_is_removed(source: str) -> None:
    verify(source, proof_of(source), secrets=[b"the new one", SCHEMES[source].secret.encode()])
    with pytest.raises(SignatureRefused):
        verify(source, proof_of(source), secrets=[b"the new one"])


@every_scheme
@pytest.mark.parametrize("secrets", [[], [b"another secret"], [b"another secret", b"and another"]], ids=len)
def test_no_proof_is_accepted_without_the_right_secret(source: str, secrets: list[bytes]) -> None:
    with pytest.raises(SignatureRefused):
        verify(source, proof_of(source), secrets=secrets)


@pytest.mark.parametrize(("source", "header"), proofs())
def test_a_delivery_is_refused_if_one_proof_header_is_missing(source: str, header: str) -> None:
    proof = proof_of(source)
    del proof[header]
    with pytest.raises(SignatureRefused):
        verify(source, proof)


@pytest.mark.parametrize(("source", "header"), proofs())
@pytest.mark.parametrize("inserted", ["é", "鍵", "\udcff\ud800", "é" * 60_000, "0" * 60_000, "," * 60_000], ids=ascii)
def test_a_malformed_proof_is_refused_and_the_refusal_reveals_no_secret(
    source: str, header: str, inserted: str
) -> None:
    proof = proof_of(source)
    right, middle = proof[header], len(proof[header]) // 2
    for value in ("", inserted, right[:middle], right[:middle] + inserted + right[middle:]):
        with pytest.raises(SignatureRefused) as refused:
            verify(source, {**proof, header: value})
        assert str(refused.value)
        assert SCHEMES[source].secret not in str(refused.value)
        assert right not in str(refused.value)


@pytest.mark.parametrize("source", [name for name, scheme in SCHEMES.items() if scheme.covers_body])
def test_a_signature_is_valid_for_one_body_only(source: str) -> None:
    flipped = [
        bytes(byte ^ (1 << bit if at == place else 0) for at, byte in enumerate(BODY))
        for place in range(len(BODY))
        for bit in range(8)
    ]
    for body in (*flipped, BODY + b"\n", b""):
        with pytest.raises(SignatureRefused, match="does not match"):
            verify(source, proof_of(source), body=body)


@every_scheme
@pytest.mark.parametrize("apart", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_proof_with_a_time_is_valid_for_five_minutes_and_a_proof_without_a_time_is_always_valid(
    source: str, apart: timedelta
) -> None:
    verify(source, proof_of(source), later=apart)
    if not is_dated(source):
        verify(source, proof_of(source), later=100 * apart)
        return
    with pytest.raises(SignatureRefused, match="more than 5 minutes from the service's clock"):
        verify(source, proof_of(source), later=apart + apart / 300)


@pytest.mark.parametrize(("name", "headers", "expected"), DELIVERY_IDS)
def test_the_delivery_id_comes_from_the_sender_or_is_a_hash_of_the_event_name_and_the_unparsed_body(
    name: str, headers: Mapping[str, str], expected: str | bytes
) -> None:
    hashed = expected if isinstance(expected, str) else sha256(expected + UNPARSED).hexdigest()
    assert PROVIDERS[name].delivery_id(headers, UNPARSED) == hashed


@every_provider
def test_a_redelivery_has_the_same_id_and_a_delivery_with_another_body_has_another_id(name: str) -> None:
    bodies = {example.body: example for example in examples(name)}
    ids = {PROVIDERS[name].delivery_id(example.headers, body) for body, example in bodies.items()}
    assert ids == {PROVIDERS[name].delivery_id(example.headers, body) for body, example in bodies.items()}
    assert len({PROVIDERS[name].delivery_id({}, body) for body in bodies}) == len(bodies)


@every_provider
def test_the_method_document_returns_the_body_of_a_delivery(name: str) -> None:
    assert PROVIDERS[name].document(delivery(name, {}, BODY)) == BODY


BROKEN = [
    *(b"", b"{", b"{,}", b'{"a": opened}', b"\xef\xbb\xbf{}", b"nonsense"),
    *(b'{"a": "\\ud800"}', b'{"a": "\\udc00 alone"}', b'{"a":' * 100_000),
]


@every_event
def test_a_body_that_is_not_json_is_unreadable(name: str, headers: Mapping[str, str]) -> None:
    for body in BROKEN:
        with pytest.raises(UnreadableDelivery, match=r"not JSON|nested too deeply|one event, not a batch"):
            observe(name, headers, body)
    for body in (b"[" * 100_000, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        with pytest.raises(UnreadableDelivery):
            observe(name, headers, body)


@every_event
def test_a_body_that_is_not_utf_8_is_unreadable(name: str, headers: Mapping[str, str]) -> None:
    with pytest.raises(UnreadableDelivery, match=r"JSON|one event" if name == "cloudevents" else "not UTF-8: byte 6"):
        observe(name, headers, b'{"a": \xff}')


@pytest.mark.parametrize(("name", "headers"), [event for event in EVENTS if event[1].get("content-type") != BATCHED])
def test_a_body_that_is_not_an_object_is_unreadable(name: str, headers: Mapping[str, str]) -> None:
    with pytest.raises(UnreadableDelivery, match=r"got a list; the body is a batch|is a batch, not one event"):
        observe(name, headers, b"[]")


@pytest.mark.parametrize(
    ("name", "example", "complaint"), [(name, *case) for name in COMPLETE for case in malformed(name)]
)
def test_a_missing_or_malformed_field_is_named_with_its_path(name: str, example: Example, complaint: str) -> None:
    with pytest.raises(UnreadableDelivery, match=complaint) as unreadable:
        observe(name, example.headers, example.body)
    beginnings = ("a field is missing or malformed: ", "a field is malformed: ", "the event's ", "the time ")
    assert str(unreadable.value).startswith(beginnings)


@every_time
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_beyond_the_calendar_is_unreadable(name: str, place: Timed, time: str) -> None:
    example = timed(name, place, time)
    with pytest.raises(UnreadableDelivery, match="out of range"):
        observe(name, example.headers, example.body)


@every_time
def test_a_time_with_an_offset_or_in_unix_time_is_converted_to_utc(name: str, place: Timed) -> None:
    example = timed(name, place, "2026-03-03T11:00:00.000+02:00")
    said = observe(name, example.headers, example.body)
    assert not isinstance(said, Nothing)
    assert (at(3), UTC) in {(when, when.tzinfo) for one in said for when in times(one)}


@pytest.mark.parametrize(
    ("name", "headers", "payload", "reason"),
    [
        *(
            (name, headers, payload, "a ping: the webhook is connected")
            for name, headers, payload in (
                ("github", {"x-github-event": "ping"}, {"zen": "Design for failure.", "hook_id": 1}),
                ("circleci", {}, {"type": "ping"}),
                ("buildkite", {}, {"event": "ping", "organization": {}}),
            )
        ),
        *(
            (name, headers, payload, f"{vendor}'s `{event}` events say nothing about experiments")
            for name, vendor, headers, payload, event in (
                ("github", "GitHub", {"x-github-event": "star"}, {"action": "created"}, "star"),
                ("github", "GitHub", {"x-github-event": "x" * 9000}, {}, "x" * 50 + "…"),
                ("circleci", "CircleCI", {}, {"type": "x" * 9000}, "x" * 50 + "…"),
                ("buildkite", "Buildkite", {}, {"event": "agent.connected"}, "agent.connected"),
                ("buildkite", "Buildkite", {}, {"event": "x" * 9000}, "x" * 50 + "…"),
                ("gitlab", "GitLab", {}, {"object_kind": "x" * 100_000}, "x" * 50 + "…"),
                ("gitlab", "GitLab", {}, {"event_name": "user_create"}, "user_create"),
                ("gitlab", "GitLab", {}, {"object_kind": "tag_push"}, "tag_push"),
                ("jira", "Jira", {}, {"webhookEvent": "x" * 5000}, "x" * 50 + "…"),
                (
                    "jira",
                    "Jira",
                    {},
                    {"webhookEvent": "sprint_started", "timestamp": "?", "issue": 1},
                    "sprint_started",
                ),
            )
        ),
    ],
)
def test_an_unused_event_is_ignored_with_a_reason(
    name: str, headers: dict[str, str], payload: Any, reason: str
) -> None:
    assert observe(name, headers, json.dumps(payload).encode()) == Nothing(reason)


@every_provider
def test_every_published_payload_is_understood(name: str) -> None:
    if not published(name):
        pytest.skip("the corpus has no payload of this provider, or is not installed beside the repository")
    assert all(is_sound(observe(name, example.headers, example.body)) for example in published(name))


@every_provider
def test_no_observation_names_a_person(name: str) -> None:
    for example in examples(name):
        payload = example.payload if name == "cloudevents" else planted(example.payload)
        said = observe(name, example.headers, json.dumps(payload).encode())
        assert MARK not in without_texts(said)


@st.composite
def deliveries(draw: st.DrawFn, name: str) -> tuple[Mapping[str, str], bytes]:
    """Draw a delivery that is almost valid, or any JSON with the headers of any event."""
    if draw(st.booleans()):
        return draw(st.sampled_from(EVENT_HEADERS[name])), json.dumps(draw(JSON)).encode()
    example: Example = draw(st.sampled_from(examples(name)))
    return example.headers, json.dumps(draw(nearly_right(lambda: [example.payload]))).encode()


@every_provider
@given(data=st.data())
def test_any_json_is_either_understood_or_reported_as_unreadable(name: str, data: st.DataObject) -> None:
    headers, body = data.draw(deliveries(name))
    assert is_understood_or_unreadable(name, headers, body)


@every_provider
@given(data=st.data())
def test_any_headers_and_bytes_are_either_understood_or_reported_as_unreadable(name: str, data: st.DataObject) -> None:
    known = {value for headers in EVENT_HEADERS[name] for value in headers.values()}
    usual = [*sorted(known), "application/x-www-form-urlencoded", "application/json", "1.0", "2026-03-02T09:00:00Z"]
    header = st.sampled_from(sorted(PROVIDERS[name].kept_headers))
    headers = data.draw(st.dictionaries(header, st.sampled_from(usual) | st.text()))
    text = st.text(alphabet="payload=%&+{}[]\"':,0\\ud8", max_size=80).map(str.encode)
    body = data.draw(st.binary() | text | JSON.map(lambda value: json.dumps(value).encode()))
    assert is_understood_or_unreadable(name, headers, body)

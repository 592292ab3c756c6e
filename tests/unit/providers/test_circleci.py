"""CircleCI: signatures, delivery ids, and what its payloads say."""

import hmac
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Mentioned, Nothing, Observation, Observed, Trait
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.references import Ref
from service.providers.circleci import CircleCI
from tests.support.builders import at, stamp
from tests.support.mutations import JSON, collected, dated, is_sound, nearly_right, read

CIRCLECI = CircleCI()
SHA = "a" * 40
COMMIT = Ref(f"commit:{SHA}")
STOPPED = at(3)
BODY = b"hello world"
DIGEST = "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"
PUBLISHED = [
    (b"hello world", b"secret", DIGEST),
    (b"lalala", b"another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
    (b"an-important-request-payload", b"hunter123", "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa"),
]
"""The examples of "Validate webhooks" in CircleCI's documentation."""


def verify(signature: str | None, body: bytes = BODY, secrets: Sequence[bytes] = (b"secret",)) -> None:
    headers = {} if signature is None else {"circleci-signature": signature}
    CIRCLECI.verify(headers, body, secrets, at(2))


def observe_body(body: bytes, event: str | None = None) -> Sequence[Observation] | Nothing:
    headers = {} if event is None else {"circleci-event-type": event}
    return CIRCLECI.observe(Delivery("ci", "circleci", "1", headers, body, at(9)))


def observe(payload: Any, event: str | None = None) -> Sequence[Observation] | Nothing:
    return observe_body(json.dumps(payload).encode(), event)


def vcs(**known: Any) -> dict[str, Any]:
    """A pipeline as GitHub's OAuth integration tells it."""
    message = {"subject": "ML-12: cache answers", "body": "Closes #45", "author": {"name": "Somebody"}}
    return {"vcs": {"revision": SHA, "branch": "cache-answers", "commit": message, **known}}


def triggered(**parameters: Any) -> dict[str, Any]:
    """A pipeline as the GitHub App and GitLab tell it."""
    return {"trigger_parameters": parameters}


def completed(pipeline: Any, **workflow: Any) -> dict[str, Any]:
    """A workflow that stopped on the third of March, and the event a day after."""
    run = {"name": "tests", "status": "success", "stopped_at": stamp(at(3)), **workflow}
    return {"type": "workflow-completed", "happened_at": stamp(at(4)), "workflow": run, "pipeline": pipeline}


def finished(when: datetime = STOPPED, **known: str) -> Observed:
    traits: dict[Any, tuple[str, ...]] = {trait: (value,) for trait, value in known.items()}
    named: dict[Trait, tuple[str, ...]] = {"workflow": ("tests",), "conclusion": ("success",), **traits}
    return Observed("finished", COMMIT, when, named)


def mentioned(channel: str, text: str) -> Mentioned:
    return Mentioned(COMMIT, channel, text, STOPPED)


@pytest.mark.parametrize(("body", "secret", "digest"), PUBLISHED)
def test_the_signatures_that_circleci_publishes_are_accepted(body: bytes, secret: bytes, digest: str) -> None:
    assert hmac.digest(secret, body, "sha256").hex() == digest
    verify(f"v1={digest}", body, [secret])


def test_the_signature_of_the_previous_secret_is_accepted() -> None:
    verify(f"v1={DIGEST}", secrets=[b"the new secret", b"secret"])


@pytest.mark.parametrize(
    "signature",
    [f"v1={DIGEST},v2=abc", f"v2=abc,v1={DIGEST}", f"v2=abc, v1={DIGEST} , v3=...", f"v1={DIGEST.upper()}"],
)
def test_the_first_version_is_found_among_several(signature: str) -> None:
    verify(signature)


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        (None, "circleci-signature is missing"),
        ("", "circleci-signature is missing"),
        (DIGEST, "no signature of version v1"),
        (f"v2={DIGEST}", "no signature of version v1"),
        (f"V1={DIGEST}", "no signature of version v1"),
        (f"sha256={DIGEST}", "no signature of version v1"),
        (",,,", "no signature of version v1"),
        ("é" * 60_000, "no signature of version v1"),
        ("v1=", "not made of hexadecimal digits"),
        ("v1=,v1=", "not made of hexadecimal digits"),
        (f"v1={DIGEST[:-1]}", "not made of hexadecimal digits"),
        (f"v1={'g' * 64}", "not made of hexadecimal digits"),
        (f"v1={'é' * 64}", "not made of hexadecimal digits"),
        (f"v1={'٤' * 64}", "not made of hexadecimal digits"),
        (f"v1={DIGEST[:-2]}", "does not match"),
        (f"v1={'0' * 64}", "does not match"),
        (f"v1={'0' * 64},v1={DIGEST}", "does not match"),
        (f"v1={DIGEST[:-1]}b", "does not match"),
        (f"v1={'0' * 60_000}", "does not match"),
    ],
)
def test_a_signature_that_proves_nothing_is_refused_with_the_reason(signature: str | None, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify(signature)


@pytest.mark.parametrize("body", [b"hello worle", b"hello world\n", b""])
def test_a_signature_is_of_one_body_only(body: bytes) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        verify(f"v1={DIGEST}", body)


@pytest.mark.parametrize("secrets", [[], [b"another secret"], [b"another secret", b"and another"]])
def test_without_the_right_secret_nothing_is_accepted(secrets: list[bytes]) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        verify(f"v1={DIGEST}", secrets=secrets)


def test_the_headers_that_reading_needs_are_kept_and_the_signature_is_not() -> None:
    assert {"content-type", "circleci-event-type"} == CIRCLECI.kept_headers


def test_the_event_and_the_body_make_the_delivery_id() -> None:
    headers = {"circleci-event-type": "ping", "circleci-signature": "v1=changes"}
    assert CIRCLECI.delivery_id(headers, b"not JSON") == sha256(b"ping\nnot JSON").hexdigest()
    assert CIRCLECI.delivery_id({}, b"{}") == sha256(b"\n{}").hexdigest()


@pytest.mark.parametrize("status", ["success", "failed", "error", "canceled", "unauthorized", "new in some version"])
def test_a_workflow_that_completed(status: str) -> None:
    assert observe(completed(vcs(), status=status)) == [
        finished(conclusion=status, branch="cache-answers"),
        mentioned("branch", "cache-answers"),
        mentioned("message", "ML-12: cache answers\n\nCloses #45"),
    ]


def test_a_workflow_of_the_github_app() -> None:
    git = {"checkout_sha": SHA, "ref": "refs/heads/exp/ml-12", "branch": "exp/ml-12", "tag": ""}
    app = {"commit_sha": SHA, "branch": "exp/ml-12", "commit_message": "Cache answers", "forced": "false"}
    pipeline = triggered(git=git, github_app=app, circleci={"event_type": "push"}, webhook={"body": "{}"})
    assert observe(completed(pipeline)) == [
        finished(branch="exp/ml-12"),
        mentioned("branch", "exp/ml-12"),
        mentioned("message", "Cache answers"),
    ]


@pytest.mark.parametrize("provider", ["github_app", "gitlab"])
@pytest.mark.parametrize("field", ["commit_message", "commit_title"])
def test_a_workflow_that_only_its_trigger_describes(provider: str, field: str) -> None:
    trigger = {"commit_sha": SHA.upper(), "branch": "cache-answers", field: "Cache answers"}
    assert observe(completed(triggered(**{provider: trigger}))) == [
        finished(branch="cache-answers"),
        mentioned("branch", "cache-answers"),
        mentioned("message", "Cache answers"),
    ]


def test_another_commit_than_the_one_that_was_built_tells_neither_branch_nor_message() -> None:
    other = {"commit_sha": "b" * 40, "branch": "main", "commit_message": "ML-13"}
    assert observe(completed(triggered(git={"checkout_sha": SHA}, gitlab=other))) == [finished()]


def test_a_workflow_of_a_tag_has_no_branch() -> None:
    git = {"checkout_sha": SHA, "branch": "", "tag": "v1", "commit_message": "Release"}
    assert observe(completed(triggered(git=git))) == [finished(), mentioned("message", "Release")]


def test_without_the_time_of_its_end_a_workflow_ended_when_the_event_happened() -> None:
    assert observe(completed(vcs(branch=None, commit=None), stopped_at=None)) == [finished(at(4))]


def test_a_workflow_without_any_time_says_nothing() -> None:
    payload = completed(vcs(), stopped_at=None)
    del payload["happened_at"]
    assert observe(payload) == Nothing("the workflow names no time at which it stopped")


def test_a_workflow_may_have_neither_name_nor_status() -> None:
    observed = observe(completed(vcs(branch="", commit={"subject": None, "body": ""}), name=None, status=None))
    assert observed == [Observed("finished", COMMIT, at(3), {})]


@pytest.mark.parametrize(
    "pipeline",
    [
        None,
        {},
        {"vcs": None, "trigger_parameters": None},
        {"vcs": {}, "trigger_parameters": {}},
        {"trigger_parameters": {"git": None, "gitlab": None, "github_app": None}},
        triggered(git={}, gitlab={"branch": "main"}),
        vcs(revision=None),
        vcs(revision="abc123"),
        vcs(revision="0" * 40),
        vcs(revision="refs/heads/main"),
    ],
)
def test_a_workflow_without_a_full_commit_hash_says_nothing(pipeline: Any) -> None:
    assert observe(completed(pipeline)) == Nothing("the workflow names no commit")


def test_a_time_is_told_in_utc() -> None:
    said = dated(observe(completed(vcs(), stopped_at="2026-03-03T11:00:00.000+02:00")))
    assert {(one.at, one.at.tzinfo) for one in said} == {(at(3), UTC)}


def test_a_job_says_nothing_by_itself() -> None:
    said = observe({"type": "job-completed", "job": {"status": "success"}, "workflow": {"name": "tests"}})
    assert said == Nothing(
        "a job is a part of its workflow, whose end is what counts; choose the event workflow-completed"
    )


def test_a_ping_says_that_the_webhook_is_connected() -> None:
    assert observe({"type": "ping"}) == Nothing("a ping: the webhook is connected")


def test_an_event_that_we_do_not_use_says_nothing() -> None:
    assert observe({"type": "x" * 9000}) == Nothing(f"CircleCI's `{'x' * 50}…` events say nothing about experiments")


def test_the_header_tells_the_event_where_the_body_does_not() -> None:
    payload = completed(vcs(commit=None, branch=None))
    del payload["type"]
    assert observe(payload, "workflow-completed") == [finished()]
    assert observe({}, "ping") == Nothing("a ping: the webhook is connected")


def test_the_body_is_believed_rather_than_the_header() -> None:
    assert observe({"type": "ping"}, "workflow-completed") == Nothing("a ping: the webhook is connected")


def test_a_build_notification_of_the_former_kind_says_what_to_set_up_instead() -> None:
    assert observe({"payload": {"reponame": "app", "status": "failed", "username": "somebody"}}) == Nothing(
        "a build notification of CircleCI's former kind; set up a webhook for workflow-completed"
    )


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ({}, r"the event's type is missing, .* at `\$\.type`"),
        ({"type": ""}, "the event's type is missing"),
        ({"type": None, "payload": None}, "the event's type is missing"),
        ({"type": "workflow-completed"}, "missing required field `workflow`"),
        ({"type": "workflow-completed", "workflow": None}, r"\$\.workflow"),
        ({"type": 5}, r"\$\.type"),
        (completed(vcs(), stopped_at="yesterday"), r"\$\.workflow\.stopped_at"),
        (completed(vcs(revision=5)), r"\$\.pipeline\.vcs\.revision"),
        (completed(triggered(git=[])), r"\$\.pipeline\.trigger_parameters\.git"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_field_that_is_missing_or_malformed_is_named_with_its_path(payload: Any, complaint: str) -> None:
    with pytest.raises(UnreadableDelivery, match=complaint):
        observe(payload)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": \xff}', "not UTF-8: byte 6"),
        (b'{"type": "\\ud800"}', "not JSON"),
        (b'{"a": "\\udc00 alone"}', "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
    ],
)
@pytest.mark.parametrize("event", [None, "workflow-completed", "job-completed"])
def test_a_body_that_is_not_json_is_unreadable(body: bytes, complaint: str, event: str | None) -> None:
    with pytest.raises(UnreadableDelivery, match=complaint):
        observe_body(body, event)


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_calendar_holds_in_utc_is_unreadable(when: str) -> None:
    with pytest.raises(UnreadableDelivery, match="out of range"):
        observe(completed(vcs(), stopped_at=when))


def test_the_document_is_the_body() -> None:
    assert CIRCLECI.document(Delivery("ci", "circleci", "1", {}, b'{"type": "ping"}', at(9))) == b'{"type": "ping"}'


COLLECTED = collected("circleci")
PAYLOADS = [completed({**vcs(), **triggered(git={"checkout_sha": SHA}, gitlab={"commit_sha": SHA})}), *read(COLLECTED)]


@given(nearly_right(lambda: PAYLOADS) | JSON, st.sampled_from([None, "workflow-completed", "job-completed", "ping"]))
def test_any_json_is_either_understood_or_unreadable(payload: Any, event: str | None) -> None:
    with suppress(UnreadableDelivery):
        assert is_sound(observe(payload, event))


@pytest.mark.parametrize("path", COLLECTED, ids=lambda path: path.name)
def test_a_published_payload_is_understood_and_gives_nobody_away(path: Path) -> None:
    said = observe_body(path.read_bytes())
    assert isinstance(said, Nothing) == ("workflow-completed" not in path.name)
    assert not any(name in repr(said) for name in ("Author", "Committer", "@", "username", "zulip"))

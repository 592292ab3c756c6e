"""The Buildkite provider verifies signatures and tokens, and turns payloads into observations."""

import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Mentioned, Nothing, Observation, Observed, Outsider
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.references import Ref
from service.providers.buildkite import Buildkite
from tests.support.builders import at
from tests.support.mutations import collected, dated
from tests.support.observations import traits

BUILDKITE = Buildkite()
SHA = "a" * 40
COMMIT = Ref(f"commit:{SHA}")
FINISHED, RECEIVED = at(3), at(9)
BODY = b'{"event": "ping"}'
SENT = at(2)
TIME = str(int(SENT.timestamp()))


def digest(stamp: str = TIME, body: bytes = BODY, secret: bytes = b"secret") -> str:
    return hmac.digest(secret, stamp.encode() + b"." + body, "sha256").hex()


def signed(stamp: str = TIME, secret: bytes = b"secret") -> str:
    return f"timestamp={stamp},signature={digest(stamp, secret=secret)}"


def verify(
    signature: str | None = None,
    token: str | None = None,
    *,
    body: bytes = BODY,
    secrets: Sequence[bytes] = (b"secret",),
    now: datetime = SENT,
) -> None:
    headers = {"x-buildkite-signature": signature, "x-buildkite-token": token}
    BUILDKITE.verify({name: value for name, value in headers.items() if value is not None}, body, secrets, now)


def observe_body(body: bytes, event: str | None = None) -> Sequence[Observation] | Nothing:
    headers = {} if event is None else {"x-buildkite-event": event}
    return BUILDKITE.observe(Delivery("ci", "buildkite", "1", headers, body, at(9)))


def observe(payload: Any, event: str | None = None) -> Sequence[Observation] | Nothing:
    return observe_body(json.dumps(payload).encode(), event)


def finished(**build: Any) -> dict[str, Any]:
    """The event of a build that finished on the third of March."""
    run = {
        "state": "passed",
        "commit": SHA,
        "branch": "cache-answers",
        "message": "ML-12: cache answers",
        "finished_at": "2026-03-03T09:00:00.000Z",
        "creator": {"name": "Somebody", "email": "somebody@example.com"},
    }
    return {"event": "build.finished", "build": {**run, **build}, "pipeline": {"slug": "tests", "name": "Tests"}}


def observed(**known: str) -> Observed:
    return Observed("finished", COMMIT, FINISHED, traits(**{"workflow": "tests", "conclusion": "passed", **known}))


def mentioned(channel: str, text: str) -> Mentioned:
    return Mentioned(COMMIT, channel, text, FINISHED)


def test_a_signature_is_accepted() -> None:
    verify(signed())


def test_the_signed_text_is_the_time_followed_by_a_dot_and_the_body() -> None:
    expected = hmac.new(b"secret", f"{TIME}.".encode() + BODY, sha256).hexdigest()
    verify(f"timestamp={TIME},signature={expected}")
    without_dot = hmac.new(b"secret", TIME.encode() + BODY, sha256).hexdigest()
    with pytest.raises(SignatureRefused, match="does not match"):
        verify(f"timestamp={TIME},signature={without_dot}")


@pytest.mark.parametrize(
    "signature",
    [
        f"timestamp={TIME}, signature={digest()}",
        f" signature={digest()} ,timestamp={TIME}",
        f"timestamp={TIME},signature={digest().upper()}",
        f"timestamp={TIME},signature={digest()},version=2",
    ],
)
def test_a_signature_may_be_written_in_several_forms(signature: str) -> None:
    verify(signature)


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("", "is not timestamp=…,signature=…"),
        (digest(), "is not timestamp=…,signature=…"),
        (f"timestamp={TIME}", "is not timestamp=…,signature=…"),
        (f"signature={digest()}", "is not timestamp=…,signature=…"),
        (f"timestamp=,signature={digest()}", "is not timestamp=…,signature=…"),
        (f"timestamp={TIME},signature=", "is not timestamp=…,signature=…"),
        (f"t={TIME},v1={digest()}", "is not timestamp=…,signature=…"),
        (f"timestamp=-{TIME},signature={digest()}", "is not a Unix time"),
        (f"timestamp={TIME}.5,signature={digest()}", "is not a Unix time"),
        (f"timestamp=0,signature={digest('0')}", "more than 5 minutes"),
        (f"timestamp={TIME},signature={'g' * 64}", "not made of hexadecimal digits"),
        (f"timestamp={TIME},signature={'é' * 64}", "not made of hexadecimal digits"),
        (f"timestamp={TIME},signature={digest()[:-2]}", "does not match"),
        (f"timestamp={TIME},signature={'0' * 64}", "does not match"),
    ],
)
def test_a_malformed_signature_is_refused_with_the_reason(signature: str, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify(signature)


@pytest.mark.parametrize("signature", ["", "nonsense", f"timestamp={TIME},signature={'0' * 64}"])
def test_a_wrong_signature_is_refused_even_with_the_right_token(signature: str) -> None:
    with pytest.raises(SignatureRefused):
        verify(signature, "secret")


def test_a_token_is_accepted_whatever_the_time() -> None:
    verify(token="secret", now=at(9))


@pytest.mark.parametrize("token", [None, ""])
def test_a_delivery_without_signature_and_token_is_refused(token: str | None) -> None:
    with pytest.raises(SignatureRefused, match="X-Buildkite-Signature or X-Buildkite-Token is missing"):
        verify(token=token)


@pytest.mark.parametrize("state", ["passed", "failed", "canceled", "not_run", "new in some version"])
def test_a_build_that_finished_is_observed(state: str) -> None:
    assert observe(finished(state=state), "build.finished") == [
        observed(conclusion=state, branch="cache-answers"),
        mentioned("branch", "cache-answers"),
        mentioned("message", "ML-12: cache answers"),
    ]


def test_a_build_that_is_blocked_at_a_step_is_finished() -> None:
    assert observe(finished(blocked=True, branch=None, message=None)) == [observed()]


@pytest.mark.parametrize("when", ["2026-03-03 09:00:00 UTC", "2026-03-03T10:00:00+01:00", "2026-03-03T09:00:00Z"])
def test_the_finish_time_may_be_written_in_several_forms(when: str) -> None:
    said = dated(observe(finished(finished_at=when)))
    assert {(one.at, one.at.tzinfo) for one in said} == {(FINISHED, UTC)}


def test_the_owner_of_a_fork_is_removed_from_the_branch_and_the_run_is_an_outsiders() -> None:
    assert observe(finished(branch="somebody:exp/cache", message="")) == [
        observed(branch="exp/cache"),
        mentioned("branch", "exp/cache"),
        Outsider(COMMIT, FINISHED),
    ]


@pytest.mark.parametrize("pipeline", [None, {}, {"slug": None}, {"slug": ""}])
def test_a_build_without_a_pipeline_name_and_a_state_is_observed(pipeline: Any) -> None:
    payload = {**finished(state=None, branch=None, message=None), "pipeline": pipeline}
    assert observe(payload) == [Observed("finished", COMMIT, FINISHED, {})]


@pytest.mark.parametrize("commit", [None, "", "HEAD", "abc123", "0" * 40, "refs/heads/main", "v1.0"])
def test_a_build_without_a_full_commit_hash_is_ignored(commit: str | None) -> None:
    assert observe(finished(commit=commit)) == Nothing("the build names no commit")


@pytest.mark.parametrize("when", [None, ""])
def test_a_build_without_a_finish_time_is_ignored(when: str | None) -> None:
    assert observe(finished(finished_at=when)) == Nothing("the build does not say when it finished")


@pytest.mark.parametrize("state", ["blocked", "running"])
@pytest.mark.parametrize("when", [None, "2026-03-03T09:00:00Z"])
def test_a_build_that_waits_at_a_block_step_has_the_result_of_the_steps_before_it(state: str, when: str | None) -> None:
    said = observe(finished(state=state, blocked=True, finished_at=when, branch=None, message=None))
    at_once = RECEIVED if when is None else FINISHED
    assert [(one.at, one.traits["conclusion"]) for one in dated(said) if isinstance(one, Observed)] == [
        (at_once, ("blocked",))
    ]


@pytest.mark.parametrize("state", ["passed", "failed"])
@pytest.mark.parametrize("when", [None, "2026-03-03T09:00:00Z"])
def test_a_block_step_may_show_the_result_of_its_build(state: str, when: str | None) -> None:
    said = observe(finished(state=state, blocked=True, finished_at=when, branch=None, message=None))
    at_once = RECEIVED if when is None else FINISHED
    assert [(one.at, one.traits["conclusion"]) for one in dated(said) if isinstance(one, Observed)] == [
        (at_once, (state,))
    ]


def test_a_build_with_the_required_fields_alone_can_be_read() -> None:
    assert observe({"build": {}}, "build.finished") == Nothing("the build names no commit")


def test_the_signed_event_in_the_body_takes_precedence_over_the_event_in_the_header() -> None:
    assert observe(finished(), "ping") == observe(finished())
    assert observe({**finished(), "event": "ping"}, "build.finished") == Nothing("a ping: the webhook is connected")
    assert Buildkite.event_name.read({"x-buildkite-event": "ping"}, b'{"event": "build.finished"}') == "build.finished"


@pytest.mark.parametrize("event", ["scheduled", "running", "failing", "skipped"])
def test_a_build_in_progress_is_ignored(event: str) -> None:
    said = observe({**finished(), "event": f"build.{event}"})
    assert said == Nothing(f"a build that is {event} has no result yet")


@pytest.mark.parametrize("event", ["job.scheduled", "job.started", "job.finished", "job.activated"])
def test_a_job_is_ignored_and_the_reason_names_the_right_event(event: str) -> None:
    assert observe({"job": {"state": "finished"}}, event) == Nothing(
        "a job is one part of a build; choose the event build.finished instead"
    )


COLLECTED = collected("buildkite")


@pytest.mark.parametrize("path", COLLECTED, ids=lambda path: path.name)
def test_a_published_payload_is_understood(path: Path) -> None:
    said = observe_body(path.read_bytes())
    assert [type(one) for one in dated(said)] == [Observed, Mentioned, Mentioned]

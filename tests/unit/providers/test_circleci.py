"""The CircleCI provider verifies signatures, and turns payloads into observations."""

import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Mentioned, Nothing, Observation, Observed, Outsider
from service.deliveries.signatures import SignatureRefused
from service.demo.post import zulu
from service.lifecycle.references import Ref
from service.providers.circleci import CircleCI
from tests.support.builders import at
from tests.support.mutations import collected
from tests.support.observations import traits

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
    """The fields that name the commit of a pipeline that CircleCI's GitHub OAuth integration triggers."""
    message = {"subject": "ML-12: cache answers", "body": "Closes #45", "author": {"name": "Somebody"}}
    return {"vcs": {"revision": SHA, "branch": "cache-answers", "commit": message, **known}}


def triggered(**parameters: Any) -> dict[str, Any]:
    """The fields that name the commit of a pipeline that CircleCI's GitHub App or GitLab integration triggers."""
    return {"trigger_parameters": parameters}


def completed(pipeline: Any, **workflow: Any) -> dict[str, Any]:
    """The event of a workflow that stopped on the third of March. `happened_at` is a day later."""
    run = {"name": "tests", "status": "success", "stopped_at": zulu(at(3)), **workflow}
    return {"type": "workflow-completed", "happened_at": zulu(at(4)), "workflow": run, "pipeline": pipeline}


def finished(when: datetime = STOPPED, **known: str) -> Observed:
    return Observed("finished", COMMIT, when, traits(**{"workflow": "tests", "conclusion": "success", **known}))


def mentioned(channel: str, text: str) -> Mentioned:
    return Mentioned(COMMIT, channel, text, STOPPED)


@pytest.mark.parametrize(("body", "secret", "digest"), PUBLISHED)
def test_the_signatures_that_circleci_publishes_are_accepted(body: bytes, secret: bytes, digest: str) -> None:
    assert hmac.digest(secret, body, "sha256").hex() == digest
    verify(f"v1={digest}", body, [secret])


@pytest.mark.parametrize(
    "signature",
    [f"v1={DIGEST},v2=abc", f"v2=abc,v1={DIGEST}", f"v2=abc, v1={DIGEST} , v3=...", f"v1={DIGEST.upper()}"],
)
def test_the_signature_of_version_v1_is_found_among_other_versions(signature: str) -> None:
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
        ("v1=", "not made of hexadecimal digits"),
        ("v1=,v1=", "not made of hexadecimal digits"),
        (f"v1={DIGEST[:-2]}", "does not match"),
        (f"v1={'0' * 64},v1={DIGEST}", "does not match"),
        (f"v1={'0' * 64}", "does not match"),
    ],
)
def test_a_malformed_signature_is_refused_with_the_reason(signature: str | None, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify(signature)


@pytest.mark.parametrize("status", ["success", "failed", "error", "canceled", "unauthorized", "new in some version"])
def test_a_workflow_that_completed_is_observed(status: str) -> None:
    assert observe(completed(vcs(), status=status)) == [
        finished(conclusion=status, branch="cache-answers"),
        mentioned("branch", "cache-answers"),
        mentioned("message", "ML-12: cache answers\n\nCloses #45"),
    ]


def test_a_workflow_that_the_github_app_triggered_is_observed() -> None:
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
def test_a_workflow_whose_pipeline_has_only_trigger_parameters_is_observed(provider: str, field: str) -> None:
    trigger = {"commit_sha": SHA.upper(), "branch": "cache-answers", field: "Cache answers"}
    assert observe(completed(triggered(**{provider: trigger}))) == [
        finished(branch="cache-answers"),
        mentioned("branch", "cache-answers"),
        mentioned("message", "Cache answers"),
    ]


def test_the_branch_and_the_message_of_a_trigger_with_another_commit_are_not_used() -> None:
    other = {"commit_sha": "b" * 40, "branch": "main", "commit_message": "ML-13"}
    assert observe(completed(triggered(git={"checkout_sha": SHA}, gitlab=other))) == [finished()]


def test_a_workflow_of_a_tag_has_no_branch() -> None:
    git = {"checkout_sha": SHA, "branch": "", "tag": "v1", "commit_message": "Release"}
    assert observe(completed(triggered(git=git))) == [finished(), mentioned("message", "Release")]


def test_a_workflow_without_a_stop_time_is_dated_by_its_event() -> None:
    assert observe(completed(vcs(branch=None, commit=None), stopped_at=None)) == [finished(at(4))]


def test_a_workflow_without_any_time_is_ignored() -> None:
    payload = completed(vcs(), stopped_at=None)
    del payload["happened_at"]
    assert observe(payload) == Nothing("the workflow does not say when it stopped")


def test_a_workflow_without_a_name_and_a_status_is_observed() -> None:
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
def test_a_workflow_without_a_full_commit_hash_is_ignored(pipeline: Any) -> None:
    assert observe(completed(pipeline)) == Nothing("the workflow names no commit")


def test_a_job_is_ignored_and_the_reason_names_the_right_event() -> None:
    said = observe({"type": "job-completed", "job": {"status": "success"}, "workflow": {"name": "tests"}})
    assert said == Nothing("a job is one part of a workflow; choose the event workflow-completed instead")


def test_the_header_names_the_event_if_the_body_does_not() -> None:
    payload = completed(vcs(commit=None, branch=None))
    del payload["type"]
    assert observe(payload, "workflow-completed") == [finished()]
    assert observe({}, "ping") == Nothing("a ping: the webhook is connected")


def test_the_event_in_the_body_takes_precedence_over_the_event_in_the_header() -> None:
    assert observe({"type": "ping"}, "workflow-completed") == Nothing("a ping: the webhook is connected")


def test_a_build_notification_of_the_old_kind_is_ignored_and_the_reason_names_the_right_event() -> None:
    assert observe({"payload": {"reponame": "app", "status": "failed", "username": "somebody"}}) == Nothing(
        "a build notification of CircleCI's old kind; set up a webhook for workflow-completed"
    )


COLLECTED = collected("circleci")


@pytest.mark.parametrize("path", COLLECTED, ids=lambda path: path.name)
def test_a_published_payload_is_understood(path: Path) -> None:
    said = observe_body(path.read_bytes())
    assert isinstance(said, Nothing) == ("workflow-completed" not in path.name)


OURS, THEIRS = "https://github.com/acme/app", "https://github.com/octo-dev/app"


@pytest.mark.parametrize(
    ("pipeline", "fork"),
    [
        (vcs(origin_repository_url=THEIRS, target_repository_url=OURS, branch="ML-12"), True),
        (vcs(origin_repository_url=OURS.upper(), target_repository_url=OURS), False),
        (vcs(origin_repository_url=OURS, target_repository_url=OURS, branch="pull/7"), False),
        (vcs(branch="pull/7"), True),
        (vcs(branch="pull/7/head"), True),
        (vcs(branch="pull/cache"), False),
        (triggered(github_app={"commit_sha": SHA, "branch": "pull/7"}), True),
        (triggered(github_app={"commit_sha": SHA, "branch": "cache-answers"}), False),
    ],
)
def test_the_texts_of_a_workflow_of_a_fork_are_an_outsiders(pipeline: dict[str, Any], fork: bool) -> None:
    said = observe(completed(pipeline))
    assert not isinstance(said, Nothing)
    assert [one for one in said if isinstance(one, Outsider)] == ([Outsider(COMMIT, STOPPED)] if fork else [])

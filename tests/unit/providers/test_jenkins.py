"""The Jenkins provider verifies passwords, and turns payloads into observations."""

import json
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import Mentioned, Nothing, Observation, Observed
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.references import Ref
from service.providers.jenkins import Jenkins
from tests.support.builders import at
from tests.support.mutations import collected, dated, is_sound
from tests.support.observations import traits

JENKINS = Jenkins()
SHA = "a" * 40
COMMIT = Ref(f"commit:{SHA}")
ENDED = at(3)
MILLISECONDS = int(ENDED.timestamp()) * 1000


def basic(credentials: str) -> str:
    return f"Basic {b64encode(credentials.encode()).decode()}"


def verify(authorization: str | None, secrets: Sequence[bytes] = (b"secret",)) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    JENKINS.verify(headers, b"{}", secrets, at(2))


def observe_body(body: bytes) -> Sequence[Observation] | Nothing:
    return JENKINS.observe(Delivery("ci", "jenkins", "1", {}, body, at(9)))


def observe(payload: Any) -> Sequence[Observation] | Nothing:
    return observe_body(json.dumps(payload).encode())


def scm(**known: Any) -> dict[str, Any]:
    return {"url": "git@github.com:acme/app.git", "branch": "origin/cache-answers", "commit": SHA, **known}


def run(phase: str = "COMPLETED", **build: Any) -> dict[str, Any]:
    """The payload of a run on the third of March."""
    known = {"number": 4, "status": "SUCCESS", "timestamp": MILLISECONDS, "scm": scm(culprits=["somebody"])}
    return {"name": "tests", "url": "job/tests/", "build": {"phase": phase, **known, **build}}


def observed(**known: str) -> Observed:
    return Observed("finished", COMMIT, ENDED, traits(**{"workflow": "tests", "conclusion": "SUCCESS", **known}))


BRANCH = Mentioned(COMMIT, "branch", "cache-answers", ENDED)


@pytest.mark.parametrize("user", ["jenkins", "", "somebody else", "jürgen"])
def test_the_secret_is_accepted_as_the_password_of_any_user(user: str) -> None:
    verify(basic(f"{user}:secret"))


def test_the_word_basic_may_be_in_any_case_and_the_password_may_contain_any_letters() -> None:
    verify(basic("jenkins:se:crät").replace("Basic", "bASIC"), ["se:crät".encode()])


@pytest.mark.parametrize(
    ("authorization", "complaint"),
    [
        (None, "Authorization: Basic is missing"),
        ("", "Authorization: Basic is missing"),
        ("Basic", "Authorization: Basic is missing"),
        ("Bearer secret", "Authorization: Basic is missing"),
        ("secret", "Authorization: Basic is missing"),
        ("Basic ", "is not user:password in base64"),
        ("Basic jenkins:secret", "is not user:password in base64"),
        (basic("jenkins:"), "is missing"),
        (basic("jenkins:secreu"), "is not the source's secret"),
        (basic("jenkins: secret"), "is not the source's secret"),
    ],
)
def test_malformed_credentials_are_refused_with_the_reason(authorization: str | None, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify(authorization)


@pytest.mark.parametrize("phase", ["COMPLETED", "FINALIZED", "FINISHED"])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT"])
def test_a_run_that_ended_is_observed(phase: str, status: str) -> None:
    assert observe(run(phase, status=status)) == [observed(conclusion=status, branch="cache-answers"), BRANCH]


@pytest.mark.parametrize("phase", ["QUEUED", "STARTED", "NONE", "new in some version", ""])
def test_a_run_in_progress_is_ignored(phase: str) -> None:
    assert observe(run(phase)) == Nothing(
        f"a run in phase {phase} has no result yet; COMPLETED and FINALIZED report one"
    )


@pytest.mark.parametrize("branch", ["cache-answers", "origin/cache-answers", "refs/remotes/origin/cache-answers"])
def test_the_name_of_the_remote_is_removed_from_the_branch(branch: str) -> None:
    assert observe(run(scm=scm(branch=branch))) == [observed(branch="cache-answers"), BRANCH]


def test_the_name_of_the_remote_is_removed_only_from_the_start_of_a_branch() -> None:
    assert observed(branch="exp/origin/cache") in dated(observe(run(scm=scm(branch="exp/origin/cache"))))


@pytest.mark.parametrize("branch", [None, "", "origin/"])
def test_a_run_without_a_branch_is_observed(branch: str | None) -> None:
    assert observe(run(scm=scm(branch=branch))) == [observed()]


@pytest.mark.parametrize("unknown", [{"name": None}, {"name": ""}])
def test_a_run_without_a_name_and_a_status_is_observed(unknown: dict[str, Any]) -> None:
    payload = {**run(status=None, scm=scm(branch=None)), **unknown}
    assert observe(payload) == [Observed("finished", COMMIT, ENDED, {})]
    del payload["name"], payload["build"]["status"], payload["build"]["scm"]["branch"]
    assert observe(payload) == [Observed("finished", COMMIT, ENDED, {})]


@pytest.mark.parametrize(
    "timestamp",
    [MILLISECONDS, "2026-03-03T09:00:00.000+00:00", "2026-03-03T10:00:00.000+01:00", "2026-03-03T09:00:00Z"],
)
def test_the_end_time_may_be_a_number_or_a_text(timestamp: int | str) -> None:
    said = dated(observe(run(timestamp=timestamp)))
    assert {(one.at, one.at.tzinfo) for one in said} == {(ENDED, UTC)}


def test_milliseconds_are_kept() -> None:
    said = dated(observe(run(timestamp=MILLISECONDS + 123)))
    assert {one.at for one in said} == {ENDED.replace(microsecond=123_000)}


@pytest.mark.parametrize("timestamp", [None, ""])
def test_a_run_without_a_time_is_ignored_and_the_reason_names_the_plugin_to_update(timestamp: str | None) -> None:
    assert observe(run(timestamp=timestamp)) == Nothing("the run names no time; update the Notification plugin")


def test_a_run_with_the_required_fields_alone_can_be_read() -> None:
    assert observe({"build": {"phase": "FINALIZED"}}) == Nothing("the run names no commit of Git")
    assert observe({"build": {"phase": "STARTED"}}) == Nothing(
        "a run in phase STARTED has no result yet; COMPLETED and FINALIZED report one"
    )


@pytest.mark.parametrize(
    "repository",
    [None, {}, scm(commit=None), scm(commit=""), scm(commit="4"), scm(commit="abc123"), scm(commit="0" * 40)],
)
def test_a_run_without_a_full_commit_hash_is_ignored(repository: Any) -> None:
    assert observe(run(scm=repository)) == Nothing("the run names no commit of Git")


@pytest.mark.parametrize("body", [b"<hudson.plugins/>", b'<?xml version="1.0"?><hudson/>', b"\r\n <hudson/>"])
def test_xml_is_unreadable_and_the_error_names_the_right_format(body: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match="the body is XML; choose the format JSON"):
        observe_body(body)
    with pytest.raises(UnreadableDelivery, match="the body is XML; choose the format JSON"):
        JENKINS.document(Delivery("ci", "jenkins", "1", {}, body, at(9)))


COLLECTED = collected("jenkins")


@given(st.integers())
def test_any_number_is_read_as_a_time_or_is_unreadable(timestamp: int) -> None:
    with suppress(UnreadableDelivery):
        assert is_sound(observe(run(timestamp=timestamp)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("assembla-finalized-failure.json", "the run names no commit of Git"),
        ("synapse-finalized-success.json", "the run names no time; update the Notification plugin"),
    ],
)
def test_a_real_payload_of_an_old_plugin_is_understood(name: str, reason: str) -> None:
    path = next((path for path in COLLECTED if path.name == name), None)
    if path is None:
        pytest.skip("the corpus of real payloads is not installed beside the repository")
    assert observe_body(path.read_bytes()) == Nothing(reason)

"""GitHub: signatures, delivery ids, and what its payloads say."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.evidence import Ref
from service.observation import ChangeSeen, ItemChanged, ItemSeen, LabelChanged, Nothing, Observation, RunFinished
from service.providers import PROVIDERS
from service.webhook import SignatureRefused, UnreadableDelivery
from tests.builders import SECRET, GitHubRequest, Issue, PullRequest, at, github, workflow_run

GITHUB = PROVIDERS["github"]
ITEM = Ref("github:acme/app#45")
CHANGE = Ref("github:acme/app!7")
HEAD = Ref("commit:" + "a" * 40)
MERGE = Ref("commit:" + "b" * 40)

PUBLISHED_BODY = b"Hello, World!"
PUBLISHED_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's "Validating webhook deliveries", made with the secret of the same page."""


def observe(request: GitHubRequest) -> Sequence[Observation] | Nothing:
    return GITHUB.observe(request.headers(), request.body)


def seen(when: datetime, *labels: str) -> ItemSeen:
    return ItemSeen(
        subject=ITEM,
        seen_at=when,
        project="acme/app",
        title="Answer from the cache",
        url="https://github.com/acme/app/issues/45",
        labels=labels,
    )


def change_seen(when: datetime) -> ItemSeen:
    return ItemSeen(
        subject=CHANGE,
        seen_at=when,
        project="acme/app",
        title="Cache answers",
        url="https://github.com/acme/app/pull/7",
        labels=(),
    )


def served(when: datetime, *commits: Ref, closes: frozenset[Ref] = frozenset({ITEM})) -> ChangeSeen:
    return ChangeSeen(subject=CHANGE, seen_at=when, branch="cache-answers", commits=commits, closes=closes)


def created(when: datetime) -> ItemChanged:
    return ItemChanged(subject=ITEM, happened="created", at=when, is_change=False)


def change_created(when: datetime) -> ItemChanged:
    return ItemChanged(subject=CHANGE, happened="created", at=when, is_change=True)


def least_issue_event(**issue: Any) -> dict[str, Any]:
    """An event with the fields that are required, and no more."""
    return {
        "action": "opened",
        "issue": {"number": 45, "created_at": "2026-03-01T09:00:00Z", **issue},
        "repository": {"full_name": "acme/app"},
    }


def least_pull_request_event(**pull: Any) -> dict[str, Any]:
    return {
        "action": "opened",
        "pull_request": {"number": 7, "created_at": "2026-03-01T09:00:00Z", "head": {"sha": "a" * 40}, **pull},
        "repository": {"full_name": "acme/app"},
    }


def closed_by(body: str) -> frozenset[Ref]:
    """The items that a pull request with this body closes."""
    observed = observe(PullRequest(created_at=at(1), body=body).opened())
    assert not isinstance(observed, Nothing)
    (change,) = [observation for observation in observed if isinstance(observation, ChangeSeen)]
    return change.closes


def test_the_signature_that_github_publishes_is_accepted() -> None:
    GITHUB.verify({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}"}, PUBLISHED_BODY, [SECRET.encode()])


def test_the_signature_of_the_previous_secret_is_accepted() -> None:
    headers = Issue(created_at=at(1)).opened().headers("the old secret")
    GITHUB.verify(headers, Issue(created_at=at(1)).opened().body, [b"the new secret", b"the old secret"])


def test_hexadecimal_digits_may_be_capital() -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST.upper()}"}
    GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()])


def test_a_good_signature_is_accepted_beside_a_legacy_one() -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}", "x-hub-signature": "sha1=nonsense"}
    GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()])


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({}, "X-Hub-Signature-256 is missing"),
        ({"x-hub-signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, "only a SHA-1 signature was sent"),
        ({"x-hub-signature-256": ""}, "does not begin with sha256="),
        ({"x-hub-signature-256": PUBLISHED_DIGEST}, "does not begin with sha256="),
        ({"x-hub-signature-256": f"sha1={PUBLISHED_DIGEST}"}, "does not begin with sha256="),
        ({"x-hub-signature-256": f" sha256={PUBLISHED_DIGEST}"}, "does not begin with sha256="),
        ({"x-hub-signature-256": "sha256="}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST[:-1]}"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}0"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}\n"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={'g' * 64}"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={'é' * 64}"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={'٤' * 64}"}, "not 64 hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={'0' * 64}"}, "does not match"),
    ],
)
def test_a_signature_that_proves_nothing_is_refused_with_the_reason(headers: dict[str, str], complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()])


def test_a_signature_is_of_one_body_only() -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}"}
    with pytest.raises(SignatureRefused, match="does not match"):
        GITHUB.verify(headers, PUBLISHED_BODY + b"\n", [SECRET.encode()])


@pytest.mark.parametrize("secrets", [[], [b"another secret"], [b"another secret", b"and another"]])
def test_without_the_right_secret_nothing_is_accepted(secrets: list[bytes]) -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}"}
    with pytest.raises(SignatureRefused, match="does not match"):
        GITHUB.verify(headers, PUBLISHED_BODY, secrets)


def test_a_refusal_gives_neither_the_secret_nor_the_right_signature_away() -> None:
    headers = {"x-hub-signature-256": f"sha256={'0' * 64}"}
    with pytest.raises(SignatureRefused) as refused:
        GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()])
    assert SECRET not in str(refused.value)
    assert PUBLISHED_DIGEST not in str(refused.value)


def test_no_signature_is_kept_beside_the_body() -> None:
    assert not {"x-hub-signature", "x-hub-signature-256", "authorization"} & GITHUB.kept_headers


def test_the_headers_that_reading_needs_are_kept() -> None:
    assert {"content-type", "x-github-event"} <= GITHUB.kept_headers


def test_the_delivery_id_is_the_one_that_github_sends() -> None:
    headers = {"x-github-event": "ping", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    assert GITHUB.delivery_id(headers, b"{}") == "72d3162e-cc78-11e3-81ab-4c9367dc0958"


@pytest.mark.parametrize("without", [{}, {"x-github-delivery": ""}])
def test_without_an_id_the_event_and_the_body_make_one(without: dict[str, str]) -> None:
    assert GITHUB.delivery_id({"x-github-event": "ping", **without}, b"{}") == sha256(b"ping\n{}").hexdigest()


def test_an_opened_issue() -> None:
    assert observe(Issue(created_at=at(1)).opened()) == [seen(at(1), "experiment"), created(at(1))]


def test_a_labeled_issue() -> None:
    _, request = Issue(created_at=at(1)).labeled("outcome:failed", at(2))
    assert observe(request) == [
        seen(at(2), "experiment", "outcome:failed"),
        created(at(1)),
        LabelChanged(subject=ITEM, label="outcome:failed", added=True, at=at(2)),
    ]


def test_an_unlabeled_issue() -> None:
    _, request = Issue(created_at=at(1)).unlabeled("experiment", at(2))
    assert observe(request) == [
        seen(at(2)),
        created(at(1)),
        LabelChanged(subject=ITEM, label="experiment", added=False, at=at(2)),
    ]


def test_an_issue_from_which_a_label_went_that_was_deleted_itself() -> None:
    request = github("issues", {**least_issue_event(), "action": "unlabeled"})
    assert observe(request) == observe(github("issues", least_issue_event()))


def test_an_assigned_issue() -> None:
    assert observe(Issue(created_at=at(1)).assigned(at(2))) == [
        seen(at(2), "experiment"),
        created(at(1)),
        ItemChanged(subject=ITEM, happened="assigned", at=at(2), is_change=False),
    ]


@pytest.mark.parametrize(
    ("reason", "happened"), [("completed", "closed"), ("not_planned", "not planned"), ("duplicate", "duplicate")]
)
def test_a_closed_issue(reason: str, happened: Any) -> None:
    _, request = Issue(created_at=at(1)).closed(at(3), reason)
    assert observe(request) == [
        seen(at(3), "experiment"),
        created(at(1)),
        ItemChanged(subject=ITEM, happened=happened, at=at(3), is_change=False),
    ]


def test_an_issue_closed_without_a_reason_is_closed() -> None:
    assert observe(github("issues", least_issue_event(closed_at="2026-03-03T09:00:00Z"))) == [
        ItemSeen(subject=ITEM, seen_at=at(1), project="acme/app", title="", url="", labels=()),
        created(at(1)),
        ItemChanged(subject=ITEM, happened="closed", at=at(3), is_change=False),
    ]


def test_a_later_payload_of_a_closed_issue_still_tells_when_it_was_closed() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    assert observe(closed.edited(at(5))) == [
        seen(at(5), "experiment"),
        created(at(1)),
        ItemChanged(subject=ITEM, happened="closed", at=at(3), is_change=False),
    ]


def test_a_reopened_issue() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    _, request = closed.reopened(at(4))
    assert observe(request) == [
        seen(at(4), "experiment"),
        created(at(1)),
        ItemChanged(subject=ITEM, happened="reopened", at=at(4), is_change=False),
    ]


def test_a_later_payload_of_a_reopened_issue_does_not_reopen_it_again() -> None:
    reopened, _ = Issue(created_at=at(1)).reopened(at(4))
    assert observe(reopened.edited(at(5))) == [seen(at(5), "experiment"), created(at(1))]


def test_an_issue_is_named_without_case_and_its_project_is_shown_as_written() -> None:
    observed = observe(Issue(created_at=at(1), repository="Acme/App", labels=()).opened())
    assert not isinstance(observed, Nothing)
    assert observed[0] == ItemSeen(
        subject=ITEM,
        seen_at=at(1),
        project="Acme/App",
        title="Answer from the cache",
        url="https://github.com/Acme/App/issues/45",
        labels=(),
    )


def test_an_issue_with_the_required_fields_alone_can_be_read() -> None:
    assert observe(github("issues", least_issue_event(labels=None))) == [
        ItemSeen(subject=ITEM, seen_at=at(1), project="acme/app", title="", url="", labels=()),
        created(at(1)),
    ]


def test_times_are_told_in_utc() -> None:
    observed = observe(github("issues", least_issue_event(created_at="2026-03-01T11:00:00+02:00")))
    assert not isinstance(observed, Nothing)
    (change,) = [observation for observation in observed if isinstance(observation, ItemChanged)]
    assert change.at == at(1)
    assert change.at.tzinfo is UTC


def test_an_opened_pull_request() -> None:
    assert observe(PullRequest(created_at=at(2)).opened()) == [
        change_seen(at(2)),
        change_created(at(2)),
        served(at(2), HEAD),
    ]


def test_a_pull_request_that_is_pushed_to_has_another_head() -> None:
    _, request = PullRequest(created_at=at(2)).pushed("C" * 40, at(3))
    assert observe(request) == [
        change_seen(at(3)),
        change_created(at(2)),
        served(at(3), Ref("commit:" + "c" * 40)),
    ]


def test_a_merged_pull_request() -> None:
    _, request = PullRequest(created_at=at(2)).merged(at(4))
    assert observe(request) == [
        change_seen(at(4)),
        change_created(at(2)),
        served(at(4), HEAD, MERGE),
        ItemChanged(subject=CHANGE, happened="merged", at=at(4), is_change=True),
    ]


def test_a_pull_request_that_was_closed_unmerged() -> None:
    _, request = PullRequest(created_at=at(2), merge_commit="d" * 40).closed(at(4))
    assert observe(request) == [
        change_seen(at(4)),
        change_created(at(2)),
        served(at(4), HEAD),
        ItemChanged(subject=CHANGE, happened="closed", at=at(4), is_change=True),
    ]


def test_a_labeled_pull_request() -> None:
    _, request = PullRequest(created_at=at(2)).labeled("experiment", at(3))
    observed = observe(request)
    assert not isinstance(observed, Nothing)
    assert LabelChanged(subject=CHANGE, label="experiment", added=True, at=at(3)) in observed


def test_a_pull_request_with_the_required_fields_alone_can_be_read() -> None:
    assert observe(github("pull_request", least_pull_request_event(body=None))) == [
        ItemSeen(subject=CHANGE, seen_at=at(1), project="acme/app", title="", url="", labels=()),
        change_created(at(1)),
        ChangeSeen(subject=CHANGE, seen_at=at(1), branch="", commits=(HEAD,), closes=frozenset()),
    ]


@pytest.mark.parametrize("conclusion", ["success", "failure", "timed_out", "cancelled"])
def test_a_completed_workflow_run(conclusion: str) -> None:
    assert observe(workflow_run("A" * 40, at(3), conclusion)) == [
        RunFinished(subject=HEAD, workflow="tests", conclusion=conclusion, at=at(3))
    ]


def test_a_completed_workflow_run_without_a_conclusion() -> None:
    assert observe(workflow_run("a" * 40, at(3), None)) == [
        RunFinished(subject=HEAD, workflow="tests", conclusion="", at=at(3))
    ]


def test_a_workflow_run_without_a_name_can_be_read() -> None:
    run = {"head_sha": "a" * 40, "updated_at": "2026-03-03T09:00:00Z", "name": None, "conclusion": "success"}
    assert observe(github("workflow_run", {"action": "completed", "workflow_run": run})) == [
        RunFinished(subject=HEAD, workflow="", conclusion="success", at=at(3))
    ]


@pytest.mark.parametrize("action", ["requested", "in_progress"])
def test_a_workflow_run_that_goes_on_says_nothing_yet(action: str) -> None:
    assert observe(workflow_run("a" * 40, at(3), None, action)) == Nothing(
        f"a workflow run that is {action}, not completed, is no signal yet"
    )


def test_a_ping_says_that_the_webhook_is_connected() -> None:
    assert observe(github("ping", {"zen": "Design for failure.", "hook_id": 1})) == Nothing(
        "a ping: the webhook is connected"
    )


def test_an_event_that_we_do_not_use_says_nothing() -> None:
    assert observe(github("star", {"action": "created"})) == Nothing(
        "GitHub's `star` events say nothing about experiments"
    )


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"]
)
def test_a_form_says_what_its_json_says(content_type: str) -> None:
    plain = Issue(created_at=at(1), title="Büro & Küche = 100 %").opened()
    form = GitHubRequest("issues", urlencode({"payload": plain.body}).encode(), plain.delivery_id, content_type)
    assert observe(form) == observe(plain)


@pytest.mark.parametrize("body", [b"", b"{}", b"payload=", b"data=%7B%7D"])
def test_a_form_without_a_payload_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match="the form has no field `payload`"):
        observe(GitHubRequest("issues", body, "1", "application/x-www-form-urlencoded"))


def test_a_form_of_very_many_fields_is_unreadable() -> None:
    with pytest.raises(UnreadableDelivery, match="form"):
        observe(GitHubRequest("issues", b"payload=%7B%7D" + b"&a=1" * 1000, "1", "application/x-www-form-urlencoded"))


@pytest.mark.parametrize(
    "keyword", ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"]
)
@pytest.mark.parametrize("target", ["#45", "acme/app#45", "https://github.com/acme/app/issues/45"])
def test_a_closing_keyword_before_an_issue_closes_it(keyword: str, target: str) -> None:
    assert closed_by(f"{keyword} {target}") == {ITEM}


@pytest.mark.parametrize(
    "body",
    [
        "Closes #45",
        "CLOSES #45",
        "Closes: #45",
        "closes   #45",
        "closes\n#45",
        "Cache answers.\r\n\r\nCloses #45.",
        "(fixes #45)",
        "Fixes ACME/App#45",
        "fixes https://github.com/acme/app/issues/45#issuecomment-1",
        "see #46, fixes #45",
        "closes #45, which is like #46",
    ],
)
def test_a_closing_keyword_may_be_written_in_many_ways(body: str) -> None:
    assert closed_by(body) == {ITEM}


def test_a_body_may_close_several_issues_in_several_projects() -> None:
    body = "closes #45, fixes acme/web.site#1 and resolves https://github.com/other/lib_x/issues/2"
    assert closed_by(body) == {ITEM, Ref("github:acme/web.site#1"), Ref("github:other/lib_x#2")}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "see #4",
        "#4",
        "discloses #4",
        "prefix #4",
        "closest #4",
        "fixing #4",
        "resolution #4",
        "fix#4",
        "closes:#4",
        "closes the issue #4",
        "closes ##4",
        "closes #four",
        "closes #4th",
        "closes #٤",
        "closes 4",
        "closes acme#4",
        "closes acme/app/lib#4",
        "closes https://github.com/acme/app/pull/4",
        "closes https://gitlab.com/acme/app/issues/4",
        "closes #" + "9" * 19,
    ],
)
def test_a_body_that_only_looks_like_it_closes_nothing(body: str) -> None:
    assert closed_by(body) == set()


@pytest.mark.parametrize(
    ("event", "payload", "complaint"),
    [
        ("issues", {}, "missing required field `action`"),
        ("issues", {"action": "opened", "repository": {"full_name": "acme/app"}}, "missing required field `issue`"),
        (
            "issues",
            {**least_issue_event(), "repository": {}},
            r"missing required field `full_name` - at `\$\.repository`",
        ),
        (
            "issues",
            {**least_issue_event(), "issue": {"number": 45}},
            r"missing required field `created_at` - at `\$\.issue`",
        ),
        ("issues", least_issue_event(number="45"), r"Expected `int`, got `str` - at `\$\.issue\.number`"),
        ("issues", least_issue_event(created_at="yesterday"), r"\$\.issue\.created_at"),
        ("issues", least_issue_event(labels=[{}]), r"missing required field `name` - at `\$\.issue\.labels\[0\]`"),
        ("pull_request", least_pull_request_event(head={}), r"`sha` - at `\$\.pull_request\.head`"),
        ("workflow_run", {"action": "completed", "workflow_run": {}}, r"`head_sha` - at `\$\.workflow_run`"),
        ("ping", [], "Expected `object`, got `array`"),
    ],
)
def test_a_field_that_is_missing_or_malformed_is_named_with_its_path(event: str, payload: Any, complaint: str) -> None:
    with pytest.raises(UnreadableDelivery, match=f"a field is missing or malformed: .*{complaint}"):
        observe(github(event, json.dumps(payload).encode()))


@pytest.mark.parametrize("event", ["issues", "pull_request", "workflow_run", "ping", "star"])
@pytest.mark.parametrize("body", [b"", b"{", b'{"action": opened}', b"{,}", b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}'])
def test_a_body_that_is_not_json_is_unreadable_whatever_the_event(event: str, body: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match="the body is not JSON"):
        observe(github(event, body))


def test_a_body_that_is_not_utf_8_is_unreadable_and_the_place_is_named() -> None:
    with pytest.raises(UnreadableDelivery, match="not UTF-8: byte 6"):
        observe(github("issues", b'{"a": \xff}'))


@pytest.mark.parametrize("headers", [{}, {"x-github-event": ""}])
def test_a_delivery_without_an_event_is_unreadable(headers: dict[str, str]) -> None:
    with pytest.raises(UnreadableDelivery, match="header X-GitHub-Event is missing"):
        GITHUB.observe(headers, b"{}")


@pytest.mark.parametrize("event", ["issues", "star"])
@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_a_body_that_is_nested_too_deeply_is_unreadable(event: str, body: bytes) -> None:
    with pytest.raises(UnreadableDelivery):
        observe(github(event, body))


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_calendar_holds_in_utc_is_unreadable(when: str) -> None:
    with pytest.raises(UnreadableDelivery):
        observe(github("issues", least_issue_event(created_at=when)))


REQUESTS = [
    Issue(created_at=at(1)).opened(),
    Issue(created_at=at(1)).labeled("outcome:failed", at(2))[1],
    Issue(created_at=at(1)).closed(at(3))[1],
    PullRequest(created_at=at(1)).merged(at(3))[1],
    workflow_run("a" * 40, at(3)),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
TIMES = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)
EVENTS = st.sampled_from(["issues", "pull_request", "workflow_run", "ping", "star"])


@st.composite
def nearly_right(draw: st.DrawFn) -> tuple[str, Any]:
    """An event and its payload, with some fields missing and others replaced by anything."""
    request = draw(st.sampled_from(REQUESTS))
    payload = json.loads(request.body)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([payload, *(inner for inner in payload.values() if isinstance(inner, dict))]))
        name = draw(st.sampled_from(sorted(place) or ["action"]))
        if draw(st.booleans()):
            place[name] = draw(st.text() | st.integers() | TIMES | JSON)
        else:
            place.pop(name, None)
    return request.event, payload


def observed_or_unreadable(headers: dict[str, str], body: bytes) -> bool:
    """Whether the outcome is one of the two that are allowed; any other exception escapes and fails the test."""
    try:
        observed = GITHUB.observe(headers, body)
    except UnreadableDelivery as error:
        return bool(str(error))
    return isinstance(observed, list | Nothing)


@given(nearly_right() | st.tuples(EVENTS, JSON))
def test_any_json_is_either_understood_or_unreadable(delivery: tuple[str, Any]) -> None:
    event, payload = delivery
    assert observed_or_unreadable({"x-github-event": event}, json.dumps(payload).encode())


@given(
    EVENTS | st.text(),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", ""]),
    st.binary() | st.text(alphabet="payload=%&+{}[]\"':,0", max_size=80).map(str.encode),
)
def test_any_bytes_are_either_understood_or_unreadable(event: str, content_type: str, body: bytes) -> None:
    assert observed_or_unreadable({"x-github-event": event, "content-type": content_type}, body)

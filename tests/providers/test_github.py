"""GitHub: signatures, delivery ids, and what its payloads say."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.evidence import Alias, Ref
from service.observation import Commented, Kind, Linked, Mentioned, Nothing, Observation, Observed, Renamed, Trait
from service.providers import PROVIDERS
from service.webhook import SignatureRefused, UnreadableDelivery
from tests.builders import SECRET, GitHubRequest, Issue, PullRequest, at, github, stamp, workflow_run

GITHUB = PROVIDERS["github"]
ITEM = Ref("github:acme/app#45")
CHANGE = Ref("github:acme/app!7")
HEAD = Ref("commit:" + "a" * 40)
MERGE = Ref("commit:" + "b" * 40)
BRANCH = Ref("branch:acme/app@cache-answers")

PUBLISHED_BODY = b"Hello, World!"
PUBLISHED_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's "Validating webhook deliveries", made with the secret of the same page."""


def observe(request: GitHubRequest) -> Sequence[Observation] | Nothing:
    """What a delivery says; a trait without values is as good as left out."""
    observed = GITHUB.observe(request.headers(), request.body)
    return observed if isinstance(observed, Nothing) else [_without_empty_traits(one) for one in observed]


def _without_empty_traits(one: Observation) -> Observation:
    if not isinstance(one, Observed):
        return one
    return replace(one, traits={trait: values for trait, values in one.traits.items() if values})


def observed(request: GitHubRequest) -> Sequence[Observation]:
    """What a delivery says, of one that says something."""
    said = observe(request)
    assert not isinstance(said, Nothing), said.reason
    return said


def item(kind: Kind, when: datetime, **known: str) -> Observed:
    return Observed(kind, ITEM, when, traits(what="item", project="acme/app", **known))


def change(kind: Kind, when: datetime, **known: str) -> Observed:
    place = {"what": "change", "project": "acme/app", "branch": "cache-answers"}
    return Observed(kind, CHANGE, when, traits(**place, **known))


def traits(**known: Any) -> dict[Trait, tuple[str, ...]]:
    named: dict[Any, tuple[str, ...]] = {trait: (value,) for trait, value in known.items()}
    return named


def seen(when: datetime, *labels: str) -> Observed:
    looks = traits(
        what="item",
        project="acme/app",
        title="Answer from the cache",
        url="https://github.com/acme/app/issues/45",
    )
    return Observed("seen", ITEM, when, looks | ({"label": labels} if labels else {}))


def change_seen(when: datetime, *labels: str) -> Observed:
    looks = traits(
        what="change",
        project="acme/app",
        title="Cache answers",
        url="https://github.com/acme/app/pull/7",
        branch="cache-answers",
    )
    return Observed("seen", CHANGE, when, looks | ({"label": labels} if labels else {}))


def linked(evidence: Ref, channel: str, when: datetime, *targets: Ref) -> Linked:
    return Linked(evidence, channel, CHANGE, frozenset(targets), when)


def texts(when: datetime) -> list[Observation]:
    """What the body, the branch and the title of a pull request say."""
    return [
        linked(CHANGE, "body", when, ITEM),
        Mentioned(CHANGE, "branch", "cache-answers", when),
        Mentioned(CHANGE, "title", "Cache answers", when),
    ]


ACTIVE = Observed("active", ITEM, at(5))


def links(pull: PullRequest, channel: str) -> list[Linked]:
    """What a delivery of a pull request as it is now says on one channel."""
    said = observed(pull.event("edited", at(6)))
    return [one for one in said if isinstance(one, Linked) and one.channel == channel]


def label_changed(kind: Kind, subject: Ref, label: str, when: datetime) -> Observed:
    place = traits(what="item", project="acme/app")
    if subject == CHANGE:
        place = traits(what="change", project="acme/app", branch="cache-answers")
    return Observed(kind, subject, when, {**place, "label": (label,)})


def comment(
    action: str = "created", association: str = "MEMBER", *, on_pull_request: bool = False, body: str | None = "Nice."
) -> GitHubRequest:
    """A comment of the third of March on the issue or the pull request of that number, touched later."""
    issue = {"number": 7 if on_pull_request else 45, "created_at": stamp(at(1)), "updated_at": stamp(at(9))}
    return github(
        "issue_comment",
        {
            "action": action,
            "issue": issue | ({"pull_request": {"url": "https://api.github.com"}} if on_pull_request else {}),
            "comment": {"body": body, "created_at": stamp(at(3)), "author_association": association},
            "repository": {"full_name": "acme/app"},
        },
    )


def repository_event(action: str, changes: Any, **more: Any) -> GitHubRequest:
    repository = {"full_name": "Acme/Answers", **more}
    return github("repository", {"action": action, "changes": changes, "repository": repository})


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
    (body_link,) = links(PullRequest(created_at=at(1), body=body), "body")
    assert body_link.evidence == body_link.stated_by == CHANGE
    return body_link.targets


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
    assert observe(Issue(created_at=at(1)).opened()) == [seen(at(1), "experiment"), item("created", at(1))]


def test_a_labeled_issue() -> None:
    _, request = Issue(created_at=at(1)).labeled("outcome:failed", at(2))
    assert observe(request) == [
        seen(at(2), "experiment", "outcome:failed"),
        item("created", at(1)),
        label_changed("labelled", ITEM, "outcome:failed", at(2)),
    ]


def test_an_unlabeled_issue() -> None:
    _, request = Issue(created_at=at(1)).unlabeled("experiment", at(2))
    assert observe(request) == [
        seen(at(2)),
        item("created", at(1)),
        label_changed("unlabelled", ITEM, "experiment", at(2)),
    ]


def test_an_issue_from_which_a_label_went_that_was_deleted_itself() -> None:
    request = github("issues", {**least_issue_event(), "action": "unlabeled"})
    assert observe(request) == observe(github("issues", least_issue_event()))


def test_an_assigned_issue() -> None:
    assert observe(Issue(created_at=at(1)).assigned(at(2))) == [
        seen(at(2), "experiment"),
        item("created", at(1)),
        item("assigned", at(2)),
    ]


def test_a_deleted_issue() -> None:
    assert observe(Issue(created_at=at(1)).event("deleted", at(2))) == [
        seen(at(2), "experiment"),
        item("created", at(1)),
        item("deleted", at(2)),
    ]


@pytest.mark.parametrize("reason", ["completed", "not_planned", "duplicate"])
def test_a_closed_issue(reason: str) -> None:
    _, request = Issue(created_at=at(1)).closed(at(3), reason)
    assert observe(request) == [
        seen(at(3), "experiment"),
        item("created", at(1)),
        item("closed", at(3), reason=reason),
    ]


def test_an_issue_closed_without_a_reason_is_closed() -> None:
    assert observe(github("issues", least_issue_event(closed_at="2026-03-03T09:00:00Z"))) == [
        item("seen", at(1)),
        item("created", at(1)),
        item("closed", at(3)),
    ]


def test_a_later_payload_of_a_closed_issue_still_tells_when_it_was_closed() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    assert observe(closed.edited(at(5))) == [
        seen(at(5), "experiment"),
        item("created", at(1)),
        ACTIVE,
        item("closed", at(3), reason="completed"),
    ]


def test_a_reopened_issue() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    _, request = closed.reopened(at(4))
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1)), item("reopened", at(4))]


def test_a_later_payload_of_a_reopened_issue_does_not_reopen_it_again() -> None:
    reopened, _ = Issue(created_at=at(1)).reopened(at(4))
    assert observe(reopened.edited(at(5))) == [seen(at(5), "experiment"), item("created", at(1)), ACTIVE]


def test_an_issue_is_named_without_case_and_its_project_is_shown_as_written() -> None:
    looks = observed(Issue(created_at=at(1), repository="Acme/App", labels=()).opened())[0]
    assert isinstance(looks, Observed)
    assert looks.subject == ITEM
    assert looks.traits["project"] == ("Acme/App",)
    assert looks.traits["url"] == ("https://github.com/Acme/App/issues/45",)


def test_an_issue_with_the_required_fields_alone_can_be_read() -> None:
    assert observe(github("issues", least_issue_event(labels=None))) == [item("seen", at(1)), item("created", at(1))]


def test_times_are_told_in_utc() -> None:
    said = observed(github("issues", least_issue_event(created_at="2026-03-01T11:00:00+02:00")))
    (created,) = [one for one in said if isinstance(one, Observed) and one.kind == "created"]
    assert created.at == at(1)
    assert created.at.tzinfo is UTC


def test_an_issue_that_went_to_another_repository_has_a_new_name() -> None:
    moved = {"new_issue": {"number": 3}, "new_repository": {"full_name": "Acme/Web"}}
    request = Issue(created_at=at(1)).event("transferred", at(4), changes=moved)
    assert observe(request) == [
        seen(at(4), "experiment"),
        item("created", at(1)),
        Renamed(Alias(ITEM, Ref("github:acme/web#3"), at(4))),
    ]


@pytest.mark.parametrize(
    "changes",
    [None, {}, {"new_issue": {"number": 3}}, {"new_repository": {"full_name": "acme/web"}}, {"new_issue": None}],
)
def test_an_issue_that_went_where_nobody_tells_keeps_its_name(changes: Any) -> None:
    request = Issue(created_at=at(1)).event("transferred", at(4), changes=changes)
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1))]


def test_an_edited_issue_is_renamed_in_no_reference() -> None:
    request = Issue(created_at=at(1)).event("edited", at(4), changes={"title": {"from": "Answer"}})
    edited = Observed("active", ITEM, at(4))
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1)), edited]


def test_a_push_to_a_pull_request_is_a_sign_of_life() -> None:
    _, pushed = PullRequest(created_at=at(2)).pushed("c" * 40, at(3))
    assert Observed("active", CHANGE, at(3)) in observed(pushed)


def test_an_opened_pull_request() -> None:
    assert observe(PullRequest(created_at=at(2)).opened()) == [
        change_seen(at(2)),
        change("created", at(2)),
        *texts(at(2)),
        linked(HEAD, "head", at(2), CHANGE),
        linked(BRANCH, "branch", at(2), CHANGE),
    ]


def test_a_pull_request_that_is_pushed_to_has_another_head() -> None:
    _, request = PullRequest(created_at=at(2)).pushed("C" * 40, at(3))
    assert linked(Ref("commit:" + "c" * 40), "head", at(3), CHANGE) in observed(request)
    assert HEAD not in [one.evidence for one in observed(request) if isinstance(one, Linked)]


def test_a_merged_pull_request() -> None:
    _, request = PullRequest(created_at=at(2)).merged(at(4))
    assert observe(request) == [
        change_seen(at(4)),
        change("created", at(2)),
        *texts(at(4)),
        linked(HEAD, "head", at(4), CHANGE),
        linked(MERGE, "merge commit", at(4), CHANGE),
        linked(BRANCH, "branch", at(4)),
        change("merged", at(4)),
    ]


def test_a_pull_request_that_was_closed_unmerged_has_no_merge_commit() -> None:
    _, request = PullRequest(created_at=at(2), merge_commit="d" * 40).closed(at(4))
    assert observe(request) == [
        change_seen(at(4)),
        change("created", at(2)),
        *texts(at(4)),
        linked(HEAD, "head", at(4), CHANGE),
        linked(BRANCH, "branch", at(4)),
        change("closed", at(4)),
    ]


def test_the_trial_merge_of_an_open_pull_request_serves_nothing() -> None:
    assert links(PullRequest(created_at=at(2), merge_commit="d" * 40), "merge commit") == []


def test_a_reopened_pull_request_has_its_branch_again() -> None:
    said = observed(PullRequest(created_at=at(2)).event("reopened", at(5)))
    assert change("reopened", at(5)) in said
    assert linked(BRANCH, "branch", at(5), CHANGE) in said


def test_a_later_payload_of_a_merged_pull_request_still_tells_when_it_was_merged() -> None:
    merged, _ = PullRequest(created_at=at(2)).merged(at(4))
    said = observed(merged.event("labeled", at(6), label={"name": "bug"}))
    assert change("merged", at(4)) in said
    assert linked(MERGE, "merge commit", at(6), CHANGE) in said


def test_a_labeled_pull_request() -> None:
    _, request = PullRequest(created_at=at(2)).labeled("experiment", at(3))
    said = observed(request)
    assert said[0] == change_seen(at(3), "experiment")
    assert label_changed("labelled", CHANGE, "experiment", at(3)) in said


def test_an_assigned_pull_request() -> None:
    assert change("assigned", at(3)) in observed(PullRequest(created_at=at(2)).event("assigned", at(3)))


def test_a_pull_request_from_the_default_branch_says_nothing_of_that_branch() -> None:
    merged, _ = PullRequest(created_at=at(2), branch="main").merged(at(4))
    assert links(PullRequest(created_at=at(2), branch="main"), "branch") == []
    assert links(merged, "branch") == []


def test_the_default_branch_is_known_whatever_the_case_of_its_repository() -> None:
    pull = PullRequest(created_at=at(2), branch="main", repository="Acme/App", fork="acme/APP")
    assert links(pull, "branch") == []


def test_the_branch_of_a_fork_is_linked_under_the_name_of_the_fork() -> None:
    pull = PullRequest(created_at=at(2), fork="Mallory/App", branch="cache-answers")
    assert links(pull, "branch") == [linked(Ref("branch:mallory/app@cache-answers"), "branch", at(6), CHANGE)]


def test_a_branch_of_a_fork_that_is_called_as_our_default_one_is_linked_under_the_name_of_the_fork() -> None:
    pull = PullRequest(created_at=at(2), fork="mallory/app", branch="main")
    assert links(pull, "branch") == [linked(Ref("branch:mallory/app@main"), "branch", at(6), CHANGE)]


def test_the_case_of_a_branch_is_kept() -> None:
    pull = PullRequest(created_at=at(2), branch="Exp/Cache")
    assert links(pull, "branch") == [linked(Ref("branch:acme/app@Exp/Cache"), "branch", at(6), CHANGE)]


def test_of_a_fork_that_is_gone_no_branch_is_linked() -> None:
    gone = least_pull_request_event(head={"sha": "a" * 40, "ref": "main", "repo": None})
    said = observed(github("pull_request", gone))
    assert [one.channel for one in said if isinstance(one, Linked)] == ["body", "head"]


def test_the_branch_and_the_title_of_a_pull_request_may_hold_a_key() -> None:
    pull = PullRequest(created_at=at(2), branch="exp/ml-12", title="ML-12: cache answers")
    assert [one for one in observed(pull.opened()) if isinstance(one, Mentioned)] == [
        Mentioned(CHANGE, "branch", "exp/ml-12", at(2)),
        Mentioned(CHANGE, "title", "ML-12: cache answers", at(2)),
    ]


def test_a_pull_request_with_the_required_fields_alone_can_be_read() -> None:
    assert observe(github("pull_request", least_pull_request_event(body=None))) == [
        Observed("seen", CHANGE, at(1), traits(what="change", project="acme/app")),
        Observed("created", CHANGE, at(1), traits(what="change", project="acme/app")),
        linked(CHANGE, "body", at(1)),
        Mentioned(CHANGE, "branch", "", at(1)),
        Mentioned(CHANGE, "title", "", at(1)),
        linked(HEAD, "head", at(1), CHANGE),
    ]


@pytest.mark.parametrize("association", ["OWNER", "MEMBER", "COLLABORATOR"])
def test_a_comment_of_somebody_who_belongs_to_the_project_is_an_insiders(association: str) -> None:
    assert observe(comment("created", association, body="/experiment start")) == [
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "/experiment start", insider=True),
    ]


@pytest.mark.parametrize(
    "association", ["CONTRIBUTOR", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN", "NONE", "", "member"]
)
def test_a_comment_of_anybody_else_is_an_outsiders(association: str) -> None:
    assert observe(comment("created", association, body="/experiment start")) == [
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "/experiment start", insider=False),
    ]


def test_a_comment_that_does_not_tell_who_wrote_it_is_an_outsiders() -> None:
    payload = json.loads(comment().body)
    del payload["comment"]["author_association"]
    assert Commented(ITEM, at(3), "Nice.", insider=False) in observed(github("issue_comment", payload))


def test_a_comment_on_a_pull_request_is_about_the_change() -> None:
    assert observe(comment(on_pull_request=True)) == [
        Observed("active", CHANGE, at(3)),
        Commented(CHANGE, at(3), "Nice.", insider=True),
    ]


@pytest.mark.parametrize("action", ["edited", "deleted"])
@pytest.mark.parametrize("on_pull_request", [False, True])
@pytest.mark.parametrize("association", ["OWNER", "NONE"])
def test_a_comment_that_is_edited_or_deleted_is_a_sign_of_life_and_commands_nothing(
    action: str, on_pull_request: bool, association: str
) -> None:
    request = comment(action, association, on_pull_request=on_pull_request, body="/experiment start")
    (sign,) = observed(request)
    assert isinstance(sign, Observed)
    assert (sign.kind, sign.subject) == ("active", CHANGE if on_pull_request else ITEM)


def test_a_comment_without_a_text_can_be_read() -> None:
    assert Commented(ITEM, at(3), "", insider=True) in observed(comment(body=None))


def test_a_renamed_repository_has_a_new_name_and_so_have_its_branches() -> None:
    request = repository_event("renamed", {"repository": {"name": {"from": "App"}}}, updated_at=stamp(at(5)))
    assert observe(request) == [
        Renamed(Alias(Ref("github:acme/app"), Ref("github:acme/answers"), at(5))),
        Renamed(Alias(Ref("branch:acme/app"), Ref("branch:acme/answers"), at(5))),
    ]


def test_a_rename_whose_time_is_not_told_yields_to_every_other_one() -> None:
    said = observed(repository_event("renamed", {"repository": {"name": {"from": "app"}}}))
    assert {one.alias.renamed_at.year for one in said if isinstance(one, Renamed)} == {1970}


@pytest.mark.parametrize(
    ("action", "changes"),
    [("renamed", None), ("renamed", {}), ("renamed", {"repository": {}}), ("created", None), ("archived", None)],
)
def test_a_repository_without_an_old_name_says_nothing(action: str, changes: Any) -> None:
    assert observe(repository_event(action, changes)) == Nothing(
        f"a repository that is {action} says nothing about experiments"
    )


@pytest.mark.parametrize("conclusion", ["success", "failure", "timed_out", "cancelled"])
def test_a_completed_workflow_run(conclusion: str) -> None:
    assert observe(workflow_run("A" * 40, at(3), conclusion)) == [
        Observed("finished", HEAD, at(3), traits(workflow="tests", conclusion=conclusion))
    ]


def test_a_completed_workflow_run_without_a_conclusion() -> None:
    assert observe(workflow_run("a" * 40, at(3), None)) == [Observed("finished", HEAD, at(3), traits(workflow="tests"))]


def test_a_workflow_run_tells_its_branch_and_may_have_no_name() -> None:
    run = {"head_sha": "a" * 40, "updated_at": stamp(at(3)), "name": None, "conclusion": "success"}
    request = github("workflow_run", {"action": "completed", "workflow_run": {**run, "head_branch": "main"}})
    assert observe(request) == [Observed("finished", HEAD, at(3), traits(conclusion="success", branch="main"))]


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
        ("issue_comment", {**least_issue_event(), "comment": []}, r"Expected `object`, got `array` - at `\$\.comment`"),
        ("repository", {"action": "renamed"}, "missing required field `repository`"),
        ("ping", [], "Expected `object`, got `array`"),
    ],
)
def test_a_field_that_is_missing_or_malformed_is_named_with_its_path(event: str, payload: Any, complaint: str) -> None:
    with pytest.raises(UnreadableDelivery, match=f"a field is missing or malformed: .*{complaint}"):
        observe(github(event, json.dumps(payload).encode()))


@pytest.mark.parametrize(
    "event", ["issues", "issue_comment", "pull_request", "repository", "workflow_run", "ping", "star"]
)
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
    comment(),
    comment(on_pull_request=True),
    repository_event("renamed", {"repository": {"name": {"from": "app"}}}, updated_at=stamp(at(5))),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
TIMES = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)
EVENTS = st.sampled_from(["issues", "issue_comment", "pull_request", "repository", "workflow_run", "ping", "star"])


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
        said = GITHUB.observe(headers, body)
    except UnreadableDelivery as error:
        return bool(str(error))
    return isinstance(said, list | Nothing)


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

"""The GitHub provider verifies signatures, and turns payloads into observations."""

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.observation import (
    Commented,
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Outsider,
    Pushed,
    Renamed,
)
from service.deliveries.signatures import SignatureRefused
from service.demo.post import zulu
from service.lifecycle.aliases import Alias
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import SECRET, GitHubRequest, Issue, PullRequest, at, github
from tests.support.observations import Forge, traits, without_ids

GITHUB = PROVIDERS["github"]
FORGE = Forge("github")
ITEM, CHANGE = FORGE.item, FORGE.change
item, change, linked, texts = FORGE.of_item, FORGE.of_change, FORGE.linked, FORGE.texts
HEAD = Ref("commit:" + "a" * 40)
MERGE = Ref("commit:" + "b" * 40)
BRANCH = Ref("branch:acme/app@cache-answers")

PUBLISHED_BODY = b"Hello, World!"
PUBLISHED_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's "Validating webhook deliveries", which is signed with the secret on the same page."""


def observe(request: GitHubRequest) -> Sequence[Observation] | Nothing:
    """The observations of a delivery, without empty traits and without ids."""
    observed = without_ids(GITHUB.observe(request.delivery(at(2))))
    return observed if isinstance(observed, Nothing) else [_without_empty_traits(one) for one in observed]


def _without_empty_traits(one: Observation) -> Observation:
    if not isinstance(one, Observed):
        return one
    return replace(one, traits={trait: values for trait, values in one.traits.items() if values})


def observed(request: GitHubRequest) -> Sequence[Observation]:
    """The observations of a delivery that is not ignored."""
    said = observe(request)
    assert not isinstance(said, Nothing), said.reason
    return said


def seen(when: datetime, *labels: str, **known: str) -> Observed:
    url = "https://github.com/acme/app/issues/45"
    return item("seen", when, title="Answer from the cache", url=url, **_labelled(labels), **known)


def change_seen(when: datetime, *labels: str) -> Observed:
    url = "https://github.com/acme/app/pull/7"
    return change("seen", when, title="Cache answers", url=url, **_labelled(labels))


def _labelled(labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"label": labels} if labels else {}


def superseded(when: datetime, project: str = "acme/app", branch: str = "cache-answers") -> Observed:
    """The observation of kind `superseded`: a pull request replaces its branch as the experiment."""
    place = traits(what="branch", project=project, branch=branch)
    return Observed("superseded", Ref(f"branch:{project.lower()}@{branch}"), when, place)


ACTIVE = Observed("active", ITEM, at(5))


def links(pull: PullRequest, channel: str) -> list[Linked]:
    """The observed links of a pull request on one channel."""
    said = observed(pull.event("edited", at(6)))
    return [one for one in said if isinstance(one, Linked) and one.channel == channel]


def comment(
    action: str = "created", association: str = "MEMBER", *, on_pull_request: bool = False, body: str | None = "Nice."
) -> GitHubRequest:
    """A comment of the third of March. The payload shows a later update of the issue or the pull request."""
    issue = {"number": 7 if on_pull_request else 45, "created_at": zulu(at(1)), "updated_at": zulu(at(9))}
    return github(
        "issue_comment",
        {
            "action": action,
            "issue": issue | ({"pull_request": {"url": "https://api.github.com"}} if on_pull_request else {}),
            "comment": {"body": body, "created_at": zulu(at(3)), "author_association": association},
            "repository": {"full_name": "acme/app"},
        },
    )


def repository_event(action: str, changes: Any, **more: Any) -> GitHubRequest:
    repository = {"full_name": "Acme/Answers", **more}
    return github("repository", {"action": action, "changes": changes, "repository": repository})


def least_issue_event(**issue: Any) -> dict[str, Any]:
    """The payload of an issue event with only the required fields."""
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
    GITHUB.verify({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}"}, PUBLISHED_BODY, [SECRET.encode()], at(2))


def test_the_digits_of_a_signature_may_be_upper_case() -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST.upper()}"}
    GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()], at(2))


def test_a_valid_signature_is_accepted_beside_a_legacy_signature() -> None:
    headers = {"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}", "x-hub-signature": "sha1=nonsense"}
    GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()], at(2))


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({}, "X-Hub-Signature-256 is missing"),
        ({"x-hub-signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, "only a SHA-1 signature was sent"),
        ({"x-hub-signature-256": ""}, "does not begin with sha256="),
        ({"x-hub-signature-256": PUBLISHED_DIGEST}, "does not begin with sha256="),
        ({"x-hub-signature-256": f"sha1={PUBLISHED_DIGEST}"}, "does not begin with sha256="),
        ({"x-hub-signature-256": f" sha256={PUBLISHED_DIGEST}"}, "does not begin with sha256="),
        ({"x-hub-signature-256": "sha256="}, "not made of hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST[:-1]}"}, "not made of hexadecimal digits"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST[:-2]}"}, "does not match"),
        ({"x-hub-signature-256": f"sha256={PUBLISHED_DIGEST}00"}, "does not match"),
    ],
)
def test_a_malformed_signature_is_refused_with_the_reason(headers: dict[str, str], complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        GITHUB.verify(headers, PUBLISHED_BODY, [SECRET.encode()], at(2))


def test_an_opened_issue_is_observed() -> None:
    assert observe(Issue(created_at=at(1)).opened()) == [seen(at(1), "experiment"), item("created", at(1))]


def test_a_label_added_to_an_issue_is_observed() -> None:
    _, request = Issue(created_at=at(1)).labeled("outcome:failed", at(2))
    assert observe(request) == [
        seen(at(2), "experiment", "outcome:failed"),
        item("created", at(1)),
        item("labelled", at(2), label="outcome:failed"),
    ]


def test_a_label_removed_from_an_issue_is_observed() -> None:
    _, request = Issue(created_at=at(1)).unlabeled("experiment", at(2))
    assert observe(request) == [
        seen(at(2)),
        item("created", at(1)),
        item("unlabelled", at(2), label="experiment"),
    ]


def test_an_event_of_the_type_unlabeled_that_names_no_label_removes_no_label() -> None:
    request = github("issues", {**least_issue_event(), "action": "unlabeled"})
    assert observe(request) == observe(github("issues", least_issue_event()))


def test_the_assignment_of_an_issue_is_observed() -> None:
    assert observe(Issue(created_at=at(1)).assigned(at(2))) == [
        seen(at(2), "experiment"),
        item("created", at(1)),
        item("assigned", at(2)),
    ]


@pytest.mark.parametrize(("seconds", "starts"), [(0, False), (1, False), (10, False), (11, True), (3600, True)])
def test_an_assignment_at_the_creation_is_no_assignment_later(seconds: int, *, starts: bool) -> None:
    told = observed(Issue(created_at=at(1)).assigned(at(1) + timedelta(seconds=seconds)))
    assert ("assigned" in {each.kind for each in told if isinstance(each, Observed)}) == starts


def test_the_deletion_of_an_issue_is_observed() -> None:
    assert observe(Issue(created_at=at(1)).event("deleted", at(2))) == [
        seen(at(2), "experiment"),
        item("created", at(1)),
        item("deleted", at(2)),
    ]


@pytest.mark.parametrize("reason", ["completed", "not_planned", "duplicate"])
def test_the_closing_of_an_issue_is_observed_with_its_reason(reason: str) -> None:
    _, request = Issue(created_at=at(1)).closed(at(3), reason)
    assert observe(request) == [
        seen(at(3), "experiment", reason=reason),
        item("created", at(1)),
        item("closed", at(3), reason=reason),
    ]


def test_the_closing_of_an_issue_without_a_reason_is_observed() -> None:
    assert observe(github("issues", least_issue_event(closed_at="2026-03-03T09:00:00Z"))) == [
        item("seen", at(1)),
        item("created", at(1)),
        item("closed", at(3)),
    ]


def test_the_closing_of_an_issue_is_observed_in_later_payloads_too() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    assert observe(closed.edited(at(5))) == [
        seen(at(5), "experiment", reason="completed"),
        item("created", at(1)),
        ACTIVE,
        item("closed", at(3), reason="completed"),
    ]


@pytest.mark.parametrize("unknown", [None, "", {}, True])
def test_a_closed_issue_without_the_time_of_its_closing_was_closed_by_its_last_change(unknown: Any) -> None:
    payload = json.loads(Issue(created_at=at(1)).closed(at(3))[0].edited(at(5)).body)
    payload["issue"]["closed_at"] = unknown
    assert item("closed", at(5), reason="completed") in observed(github("issues", payload))
    payload["issue"]["state"] = "open"
    assert "closed" not in [one.kind for one in observed(github("issues", payload)) if isinstance(one, Observed)]


def test_the_reopening_of_an_issue_is_observed() -> None:
    closed, _ = Issue(created_at=at(1)).closed(at(3))
    _, request = closed.reopened(at(4))
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1)), item("reopened", at(4))]


def test_the_reopening_of_an_issue_is_not_observed_in_later_payloads() -> None:
    reopened, _ = Issue(created_at=at(1)).reopened(at(4))
    assert observe(reopened.edited(at(5))) == [seen(at(5), "experiment"), item("created", at(1)), ACTIVE]


def test_the_reference_of_an_issue_is_in_lower_case_and_its_project_is_shown_as_written() -> None:
    looks = observed(Issue(created_at=at(1), repository="Acme/App", labels=()).opened())[0]
    assert isinstance(looks, Observed)
    assert looks.subject == ITEM
    assert looks.traits["project"] == ("Acme/App",)
    assert looks.traits["url"] == ("https://github.com/Acme/App/issues/45",)


def test_an_issue_with_the_required_fields_alone_can_be_read() -> None:
    assert observe(github("issues", least_issue_event(labels=None))) == [item("seen", at(1)), item("created", at(1))]


def test_an_issue_that_is_transferred_is_renamed() -> None:
    moved = {"new_issue": {"number": 3}, "new_repository": {"full_name": "Acme/Web"}}
    request = Issue(created_at=at(1)).event("transferred", at(4), changes=moved)
    assert observe(request) == [
        seen(at(4), "experiment"),
        item("created", at(1)),
        Renamed(Alias(ITEM, Ref("github:acme/web#3"), at(4))),
    ]


def test_the_opening_of_a_transferred_issue_renames_the_old_issue() -> None:
    moved = {"old_issue": {"number": 3}, "old_repository": {"full_name": "Acme/Web"}}
    request = Issue(created_at=at(1)).event("opened", at(4), changes=moved)
    assert observe(request) == [
        seen(at(4), "experiment"),
        item("created", at(1)),
        Renamed(Alias(Ref("github:acme/web#3"), ITEM, at(4))),
    ]


@pytest.mark.parametrize(
    "changes",
    [None, {}, {"old_issue": {"number": 3}}, {"old_repository": {"full_name": "acme/web"}}, {"old_issue": None}],
)
def test_an_issue_opened_without_its_old_repository_and_number_is_not_renamed(changes: Any) -> None:
    request = Issue(created_at=at(1)).event("opened", at(4), changes=changes)
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1))]


@pytest.mark.parametrize("action", ["edited", "labeled", "closed"])
def test_only_a_transfer_renames_an_issue(action: str) -> None:
    moved = {
        "old_issue": {"number": 3},
        "old_repository": {"full_name": "acme/web"},
        "new_issue": {"number": 4},
        "new_repository": {"full_name": "acme/api"},
    }
    said = observed(Issue(created_at=at(1)).event(action, at(4), changes=moved))
    assert not [one for one in said if isinstance(one, Renamed)]


@pytest.mark.parametrize(
    "changes",
    [None, {}, {"new_issue": {"number": 3}}, {"new_repository": {"full_name": "acme/web"}}, {"new_issue": None}],
)
def test_an_issue_transferred_without_its_new_repository_and_number_is_not_renamed(changes: Any) -> None:
    request = Issue(created_at=at(1)).event("transferred", at(4), changes=changes)
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1))]


def test_an_edited_issue_keeps_its_reference() -> None:
    request = Issue(created_at=at(1)).event("edited", at(4), changes={"title": {"from": "Answer"}})
    edited = Observed("active", ITEM, at(4))
    assert observe(request) == [seen(at(4), "experiment"), item("created", at(1)), edited]


def test_a_push_to_a_pull_request_is_activity() -> None:
    _, pushed = PullRequest(created_at=at(2)).pushed("c" * 40, at(3))
    assert Observed("active", CHANGE, at(3)) in observed(pushed)


def test_an_opened_pull_request_is_observed() -> None:
    assert observe(PullRequest(created_at=at(2)).opened()) == [
        change_seen(at(2)),
        change("created", at(2)),
        *texts(at(2)),
        linked(HEAD, "head", at(2), CHANGE),
        linked(BRANCH, "branch", at(2), CHANGE),
        superseded(at(2)),
    ]


def test_a_push_to_a_pull_request_links_the_new_head() -> None:
    _, request = PullRequest(created_at=at(2)).pushed("C" * 40, at(3))
    assert linked(Ref("commit:" + "c" * 40), "head", at(3), CHANGE) in observed(request)
    assert HEAD not in [one.evidence for one in observed(request) if isinstance(one, Linked)]


def test_a_merged_pull_request_is_observed() -> None:
    _, request = PullRequest(created_at=at(2)).merged(at(4))
    assert observe(request) == [
        change_seen(at(4)),
        change("created", at(2)),
        *texts(at(4)),
        linked(HEAD, "head", at(4), CHANGE),
        linked(MERGE, "merge commit", at(4), CHANGE),
        linked(BRANCH, "branch", at(4)),
        superseded(at(2)),
        superseded(at(4)),
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
        superseded(at(2)),
        superseded(at(4)),
        change("closed", at(4)),
    ]


def test_the_test_merge_commit_of_an_open_pull_request_is_not_linked() -> None:
    assert links(PullRequest(created_at=at(2), merge_commit="d" * 40), "merge commit") == []


def test_a_reopened_pull_request_is_linked_to_its_branch_again() -> None:
    said = observed(PullRequest(created_at=at(2)).event("reopened", at(5)))
    assert change("reopened", at(5)) in said
    assert linked(BRANCH, "branch", at(5), CHANGE) in said


def test_the_merge_of_a_pull_request_is_observed_in_later_payloads_too() -> None:
    merged, _ = PullRequest(created_at=at(2)).merged(at(4))
    said = observed(merged.event("labeled", at(6), label={"name": "bug"}))
    assert change("merged", at(4)) in said
    assert linked(MERGE, "merge commit", at(6), CHANGE) in said


def test_a_label_added_to_a_pull_request_is_observed() -> None:
    _, request = PullRequest(created_at=at(2)).labeled("experiment", at(3))
    said = observed(request)
    assert said[0] == change_seen(at(3), "experiment")
    assert change("labelled", at(3), label="experiment") in said


def test_the_assignment_of_a_pull_request_is_observed() -> None:
    assert change("assigned", at(3)) in observed(PullRequest(created_at=at(2)).event("assigned", at(3)))


def superseded_by(pull: PullRequest) -> list[Observed]:
    """The observations of kind `superseded` in the delivery of a pull request that was opened."""
    return [one for one in observed(pull.opened()) if isinstance(one, Observed) and one.kind == "superseded"]


def test_a_pull_request_from_the_default_branch_does_not_link_the_branch() -> None:
    merged, _ = PullRequest(created_at=at(2), branch="main").merged(at(4))
    assert links(PullRequest(created_at=at(2), branch="main"), "branch") == []
    assert links(merged, "branch") == []
    assert superseded_by(merged) == []


def test_a_pull_request_from_a_fork_replaces_the_branch_of_the_fork() -> None:
    pull = PullRequest(created_at=at(2), fork="Mallory/App", branch="main")
    assert superseded_by(pull) == [superseded(at(2), "Mallory/App", "main")]


def test_a_pull_request_replaces_its_branch_when_it_is_opened_and_when_it_is_closed() -> None:
    closed, _ = PullRequest(created_at=at(2)).closed(at(3))
    assert superseded_by(closed) == [superseded(at(2)), superseded(at(3))]
    assert superseded_by(PullRequest(created_at=at(2))) == [superseded(at(2))]


@pytest.mark.parametrize("base", [{}, {"base": None}, {"base": {"repo": None}}])
def test_the_default_branch_of_the_repository_counts_if_the_payload_has_no_base_branch(base: dict[str, Any]) -> None:
    head = {"sha": "a" * 40, "ref": "trunk", "repo": {"full_name": "acme/app"}}
    payload = least_pull_request_event(head=head, **base)
    payload["repository"]["default_branch"] = "trunk"
    said = observed(github("pull_request", payload))
    assert [one.channel for one in said if isinstance(one, Linked)] == ["body", "head"]
    assert "superseded" not in [one.kind for one in said if isinstance(one, Observed)]


def test_the_default_branch_is_recognised_whatever_the_case_of_its_repository() -> None:
    pull = PullRequest(created_at=at(2), branch="main", repository="Acme/App", fork="acme/APP")
    assert links(pull, "branch") == []


def test_the_branch_of_a_fork_is_linked_under_the_name_of_the_fork() -> None:
    pull = PullRequest(created_at=at(2), fork="Mallory/App", branch="cache-answers")
    assert links(pull, "branch") == [linked(Ref("branch:mallory/app@cache-answers"), "branch", at(6), CHANGE)]


def test_the_branch_of_a_fork_with_the_name_of_the_default_branch_is_linked() -> None:
    pull = PullRequest(created_at=at(2), fork="mallory/app", branch="main")
    assert links(pull, "branch") == [linked(Ref("branch:mallory/app@main"), "branch", at(6), CHANGE)]


def test_the_case_of_a_branch_is_kept() -> None:
    pull = PullRequest(created_at=at(2), branch="Exp/Cache")
    assert links(pull, "branch") == [linked(Ref("branch:acme/app@Exp/Cache"), "branch", at(6), CHANGE)]


def test_the_branch_of_a_deleted_fork_is_not_linked() -> None:
    gone = least_pull_request_event(head={"sha": "a" * 40, "ref": "main", "repo": None})
    said = observed(github("pull_request", gone))
    assert [one.channel for one in said if isinstance(one, Linked)] == ["body", "head"]


def test_the_branch_and_the_title_of_a_pull_request_may_contain_a_key() -> None:
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


ITEM_LOOKS = [item("seen", at(9)), item("created", at(1))]
CHANGE_LOOKS = [
    Observed("seen", CHANGE, at(9), traits(what="change", project="acme/app")),
    Observed("created", CHANGE, at(1), traits(what="change", project="acme/app")),
]
"""`ITEM_LOOKS` and `CHANGE_LOOKS`: a comment's payload also gives observations of its issue or pull request."""


@pytest.mark.parametrize("association", ["OWNER", "MEMBER", "COLLABORATOR"])
def test_a_member_of_the_project_comments_as_an_insider(association: str) -> None:
    assert observe(comment("created", association, body="/experiment start")) == [
        *ITEM_LOOKS,
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "/experiment start", insider=True),
    ]


@pytest.mark.parametrize(
    ("association", "told"),
    [
        *((word, word) for word in ("CONTRIBUTOR", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN", "NONE")),
        *((word, "") for word in ("", "member", "jane")),
    ],
)
def test_a_person_who_is_not_a_member_of_the_project_comments_as_an_outsider(association: str, told: str) -> None:
    assert observe(comment("created", association, body="/experiment start")) == [
        *ITEM_LOOKS,
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "/experiment start", insider=False, association=told),
    ]


def test_a_comment_without_an_association_is_by_an_outsider() -> None:
    payload = json.loads(comment().body)
    del payload["comment"]["author_association"]
    assert Commented(ITEM, at(3), "Nice.", insider=False) in observed(github("issue_comment", payload))


def test_a_comment_on_a_pull_request_is_observed_on_the_change() -> None:
    assert observe(comment(on_pull_request=True)) == [
        *CHANGE_LOOKS,
        Observed("active", CHANGE, at(3)),
        Commented(CHANGE, at(3), "Nice.", insider=True),
    ]


@pytest.mark.parametrize("action", ["pinned", "reopened"])
@pytest.mark.parametrize("association", ["OWNER", "NONE"])
def test_any_other_action_on_a_comment_is_only_activity_of_its_issue(action: str, association: str) -> None:
    request = comment(action, association, body="/experiment start")
    assert observe(request) == [*ITEM_LOOKS, Observed("active", ITEM, at(3))]


@pytest.mark.parametrize(("association", "told"), [("OWNER", ""), ("NONE", "NONE")])
def test_a_deleted_comment_is_observed_as_deleted(association: str, told: str) -> None:
    on_issue = comment("deleted", association, body="/experiment start")
    on_change = comment("deleted", association, on_pull_request=True, body="/experiment start")
    for request, looks, subject in ((on_issue, ITEM_LOOKS, ITEM), (on_change, CHANGE_LOOKS, CHANGE)):
        *before, deleted = observed(request)
        assert before == [*looks, Observed("active", subject, at(3))]
        assert isinstance(deleted, Commented)
        assert (deleted.subject, deleted.insider, deleted.association) == (subject, not told, told)
        assert (deleted.text, deleted.deleted, deleted.edited) == ("/experiment start", True, False)


@pytest.mark.parametrize(
    ("changes", "earlier"),
    [({"body": {"from": "Nice."}}, "Nice."), ({"body": {}}, None), ({}, None), (None, None)],
)
def test_an_edited_comment_is_observed_as_an_edit_with_its_earlier_text(changes: Any, earlier: str | None) -> None:
    payload = json.loads(comment("edited", body="/experiment start").body)
    payload["changes"] = changes
    payload["comment"]["updated_at"] = zulu(at(4))
    assert observe(github("issue_comment", payload)) == [
        *ITEM_LOOKS,
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(4), "/experiment start", insider=True, edited=True, earlier=earlier),
    ]


def commented_issue(**issue: Any) -> GitHubRequest:
    """A comment of the third of March on an issue with the given fields."""
    said = {"body": "Nice.", "created_at": zulu(at(3)), "author_association": "NONE"}
    return github("issue_comment", {**least_issue_event(**issue), "action": "created", "comment": said})


def test_the_payload_of_a_comment_contains_the_state_and_the_closing_of_its_issue() -> None:
    request = commented_issue(
        title="Answer from the cache",
        html_url="https://github.com/acme/app/issues/45",
        labels=[{"name": "experiment"}, {"name": "outcome:failed"}],
        updated_at=zulu(at(4)),
        closed_at=zulu(at(2)),
        state_reason="not_planned",
    )
    assert observe(request) == [
        seen(at(4), "experiment", "outcome:failed", reason="not_planned"),
        item("created", at(1)),
        item("closed", at(2), reason="not_planned"),
        Observed("active", ITEM, at(3)),
        Commented(ITEM, at(3), "Nice.", insider=False, association="NONE"),
    ]


def test_a_comment_on_a_closed_pull_request_states_neither_a_merge_nor_a_closing() -> None:
    request = commented_issue(number=7, closed_at=zulu(at(2)), pull_request={"merged_at": zulu(at(2))})
    assert [one.kind for one in observed(request) if isinstance(one, Observed)] == ["seen", "created", "active"]


@pytest.mark.parametrize("payload", [{}, {"created_at": None}])
def test_a_comment_without_a_time_is_dated_by_its_issue(payload: dict[str, Any]) -> None:
    request = github("issue_comment", {**least_issue_event(updated_at=zulu(at(4))), "comment": payload})
    assert Observed("active", ITEM, at(4)) in observed(request)


def test_a_comment_without_a_text_can_be_read() -> None:
    assert Commented(ITEM, at(3), "", insider=True) in observed(comment(body=None))


def test_a_renamed_repository_renames_its_items_and_its_branches() -> None:
    request = repository_event("renamed", {"repository": {"name": {"from": "App"}}}, updated_at=zulu(at(5)))
    assert observe(request) == [
        Renamed(Alias(Ref("github:acme/app"), Ref("github:acme/answers"), at(5))),
        Renamed(Alias(Ref("branch:acme/app"), Ref("branch:acme/answers"), at(5))),
    ]


def test_a_rename_without_a_time_is_dated_before_every_other_rename() -> None:
    said = observed(repository_event("renamed", {"repository": {"name": {"from": "app"}}}))
    assert {one.alias.renamed_at.year for one in said if isinstance(one, Renamed)} == {1970}


@pytest.mark.parametrize(
    ("action", "changes"),
    [("renamed", None), ("renamed", {}), ("renamed", {"repository": {}}), ("edited", None), ("privatized", None)],
)
def test_a_repository_event_without_an_old_name_is_ignored(action: str, changes: Any) -> None:
    assert observe(repository_event(action, changes)) == Nothing(
        f"a repository that is {action} says nothing about experiments"
    )


def run(action: str = "completed", **known: Any) -> GitHubRequest:
    """A workflow run that ended on the third of March."""
    seen = {"head_sha": "A" * 40, "updated_at": zulu(at(3)), **known}
    return github("workflow_run", {"action": action, "workflow_run": seen})


def run_texts(branch: str = "", message: str = "") -> list[Observation]:
    """The observations of the branch and the message of a run. Either text may contain the key of a ticket."""
    texts = {"branch": branch, "message": message}
    return [Mentioned(HEAD, channel, text, at(3)) for channel, text in texts.items() if text]


@pytest.mark.parametrize("conclusion", ["success", "failure", "timed_out", "cancelled"])
def test_a_completed_workflow_run_is_observed(conclusion: str) -> None:
    assert observe(run(name="tests", conclusion=conclusion)) == [
        Observed("finished", HEAD, at(3), traits(workflow="tests", conclusion=conclusion))
    ]


def test_a_completed_workflow_run_without_a_conclusion_is_observed() -> None:
    assert observe(run(name="tests", conclusion=None)) == [Observed("finished", HEAD, at(3), traits(workflow="tests"))]


def test_a_workflow_run_without_a_name_is_observed_with_its_branch() -> None:
    assert observe(run(name=None, conclusion="success", head_branch="main")) == [
        Observed("finished", HEAD, at(3), traits(conclusion="success", branch="main")),
        *run_texts("main"),
    ]


@pytest.mark.parametrize(
    ("head_commit", "message"),
    [({"message": "ML-12: cache answers"}, "ML-12: cache answers"), ({"message": None}, ""), ({}, ""), (None, "")],
)
def test_the_branch_and_the_message_of_a_run_may_contain_a_key(head_commit: Any, message: str) -> None:
    assert observe(run(head_branch="exp/ml-12", head_commit=head_commit)) == [
        Observed("finished", HEAD, at(3), traits(branch="exp/ml-12")),
        *run_texts("exp/ml-12", message),
    ]


@pytest.mark.parametrize(
    ("known", "fork"),
    [
        ({"head_repository": {"full_name": "octo-dev/app"}}, True),
        ({"head_repository": None}, True),
        ({"head_repository": {"full_name": "ACME/app"}}, False),
        ({}, False),
    ],
)
def test_the_texts_of_a_run_of_a_fork_are_an_outsiders_also_if_the_fork_was_deleted(
    known: dict[str, Any], fork: bool
) -> None:
    seen = {"head_sha": "A" * 40, "updated_at": zulu(at(3)), **known}
    payload = {"action": "completed", "workflow_run": seen, "repository": {"full_name": "acme/app"}}
    said = [one for one in observed(github("workflow_run", payload)) if isinstance(one, Outsider)]
    assert said == ([Outsider(HEAD, at(3))] if fork else [])


@pytest.mark.parametrize("action", ["requested", "in_progress"])
def test_a_workflow_run_in_progress_is_ignored(action: str) -> None:
    assert observe(run(action, conclusion=None)) == Nothing(f"a workflow run that is {action} has no result yet")


ZEROS = "0" * 40
PUSHED = Ref("branch:acme/app@exp/Cache")
PUSHED_PLACE = traits(what="branch", project="Acme/App", branch="exp/Cache")
PUSHED_URL = "https://github.com/Acme/App/tree/exp/Cache"


def push(branch: str = "exp/Cache", *, pushed_at: Any = None, **more: Any) -> GitHubRequest:
    """A push to a branch on the third of March, without new commits."""
    repository = {
        "full_name": "Acme/App",
        "html_url": "https://github.com/Acme/App",
        "default_branch": "main",
        "pushed_at": int(at(3).timestamp()) if pushed_at is None else pushed_at,
    }
    payload = {"ref": f"refs/heads/{branch}", "before": "e" * 40, "after": "a" * 40, "commits": []}
    return github("push", {**payload, "repository": repository, "pusher": {"name": "octo-dev"}, **more})


def pushed_commit(sha: str, message: str | None) -> dict[str, Any]:
    return {"id": sha, "message": message, "timestamp": zulu(at(1)), "author": {"name": "Octo", "email": "o@acme.io"}}


PUSHED_SEEN = Observed("seen", PUSHED, at(3), PUSHED_PLACE | traits(title="exp/Cache", url=PUSHED_URL))
PUSHED_TO = [
    Observed("active", PUSHED, at(3)),
    Mentioned(PUSHED, "branch", "exp/Cache", at(3)),
    Linked(HEAD, "branch", PUSHED, frozenset({PUSHED}), at(3)),
]


def test_the_creation_of_a_branch_is_observed() -> None:
    assert observe(push(created=True, before=ZEROS)) == [
        PUSHED_SEEN,
        Observed("created", PUSHED, at(3), PUSHED_PLACE),
        *(one for one in PUSHED_TO if not isinstance(one, Linked)),
    ]


@pytest.mark.parametrize(
    ("more", "linked"),
    [
        ({"created": True, "before": ZEROS, "commits": []}, False),
        ({"created": True, "before": ZEROS, "commits": [pushed_commit("a" * 40, "x")]}, True),
        ({"commits": [{**pushed_commit("a" * 40, "x"), "distinct": False}]}, False),
        ({"commits": [{**pushed_commit("a" * 40, "x"), "distinct": True}]}, True),
        ({"commits": []}, True),
    ],
)
def test_a_commit_of_another_branch_is_no_evidence_for_the_branch_that_points_to_it(
    more: dict[str, Any], linked: bool
) -> None:
    heads = [one for one in observed(push(**more)) if isinstance(one, Linked)]
    assert [one.evidence for one in heads] == ([HEAD] if linked else [])


def test_a_push_to_a_branch_is_observed() -> None:
    assert observe(push()) == [PUSHED_SEEN, *PUSHED_TO]


def test_the_messages_of_pushed_commits_may_contain_a_key() -> None:
    commits = [pushed_commit("C" * 40, "ML-12: cache answers"), pushed_commit("a" * 40, None)]
    assert observe(push(commits=commits)) == [
        PUSHED_SEEN,
        *PUSHED_TO,
        Mentioned(Ref("commit:" + "c" * 40), "message", "ML-12: cache answers", at(3)),
        Mentioned(HEAD, "message", "", at(3)),
    ]


def test_the_deletion_of_a_branch_is_observed() -> None:
    assert observe(push(deleted=True, after=ZEROS)) == [Observed("deleted", PUSHED, at(3), PUSHED_PLACE)]


@pytest.mark.parametrize("after", [ZEROS, "0" * 64, "", "a" * 39, "HEAD", "g" * 40])
def test_a_head_without_a_full_commit_hash_is_not_linked(after: str) -> None:
    assert observe(push(after=after)) == [PUSHED_SEEN, *PUSHED_TO[:-1]]


def test_a_pushed_commit_without_a_hash_is_ignored() -> None:
    commits = [pushed_commit(ZEROS, "ML-12"), pushed_commit("abc", "ML-12")]
    assert observe(push(commits=commits)) == [PUSHED_SEEN, *PUSHED_TO]


def test_a_push_to_the_default_branch_is_observed_as_its_step_and_the_messages_of_its_commits() -> None:
    assert observe(push("main", commits=[pushed_commit("a" * 40, "ML-12: cache answers")])) == [
        Pushed(Push(Ref("github:acme/app"), Ref("commit:" + "e" * 40), (HEAD,), linear=True, pushed_at=at(3))),
        Observed("merged", HEAD, at(3), traits(what="commit", project="Acme/App", branch="main")),
        Mentioned(HEAD, "message", "ML-12: cache answers", at(3)),
    ]


def step(**more: Any) -> Push:
    """The step of the default branch in a push of two commits."""
    commits = [pushed_commit("b" * 40, "Warm it"), pushed_commit("a" * 40, "Cool it")]
    [pushed] = [one for one in observed(push("main", **{"commits": commits, **more})) if isinstance(one, Pushed)]
    return pushed.push


BASE, FIRST = Ref("commit:" + "e" * 40), Ref("commit:" + "b" * 40)


def test_the_commits_of_a_push_without_a_merge_stand_on_each_other() -> None:
    assert step() == Push(Ref("github:acme/app"), BASE, (FIRST, HEAD), linear=True, pushed_at=at(3))


@pytest.mark.parametrize(
    "commits",
    [
        [pushed_commit("b" * 40, "Warm it"), pushed_commit("a" * 40, "Merge pull request #7 from acme/warm")],
        [{**pushed_commit("b" * 40, "Warm it"), "distinct": False}, pushed_commit("a" * 40, "Warm it (#7)")],
        [pushed_commit("b" * 40, "Warm it")],
    ],
)
def test_a_push_with_a_merge_tells_only_what_its_last_commit_contains(commits: list[Any]) -> None:
    assert step(commits=commits) == Push(Ref("github:acme/app"), BASE, (FIRST, HEAD), linear=False, pushed_at=at(3))


def test_gitea_lists_the_newest_commit_first() -> None:
    commits = [pushed_commit("a" * 40, "Cool it"), pushed_commit("b" * 40, "Warm it")]
    assert step(commits=commits) == step()


def test_a_push_with_more_commits_than_are_listed_is_not_known_to_be_linear() -> None:
    assert step(total_commits=2).linear
    assert not step(total_commits=7).linear
    assert not step(commits=[pushed_commit(f"{one:040x}", "Warm it") for one in range(1, 2049)]).linear


@pytest.mark.parametrize("more", [{"forced": True}, {"before": ZEROS}, {"before": None}, {"before": 7}])
def test_a_push_that_does_not_stand_on_the_previous_commit_has_no_base(more: dict[str, Any]) -> None:
    assert step(**more).before is None


def closing(said: Sequence[Observation], stated_by: Ref) -> dict[Ref, frozenset[Ref]]:
    """The items that the message of a commit closes, by evidence."""
    links = [one for one in said if isinstance(one, Linked) and one.channel == "closing words"]
    return {one.evidence: one.targets for one in links if one.stated_by == stated_by}


@pytest.mark.parametrize(
    "message",
    [
        "Answer from the cache\n\nfixes #45",
        "Fixes GH-45",
        "closes acme/app#45",
        "Resolves: https://github.com/acme/app/issues/45",
        "```\nfixes #45\n```",
    ],
)
def test_a_commit_on_the_default_branch_that_closes_an_issue_is_evidence_for_it(message: str) -> None:
    """A message is no Markdown, so code makes no difference."""
    assert closing(observed(push("main", commits=[pushed_commit("a" * 40, message)])), HEAD) == {HEAD: {ITEM}}


def test_the_head_of_a_push_is_evidence_for_the_issues_that_the_commits_below_it_close() -> None:
    below = Ref("commit:" + "c" * 40)
    commits = [pushed_commit("c" * 40, "fixes #45"), pushed_commit("a" * 40, "fixes #46")]
    said = observed(push("main", commits=commits))
    assert closing(said, below) == {below: {ITEM}, HEAD: {ITEM}}
    assert closing(said, HEAD) == {HEAD: {Ref("github:acme/app#46")}}


def test_a_commit_on_another_branch_closes_nothing_yet() -> None:
    said = observed(push("work", commits=[pushed_commit("a" * 40, "fixes #45")]))
    assert closing(said, HEAD) == {}


def test_a_commit_closes_nothing_if_the_default_branch_is_not_known() -> None:
    repository = {"full_name": "Acme/App", "pushed_at": int(at(3).timestamp())}
    assert (
        closing(observed(push("main", repository=repository, commits=[pushed_commit("a" * 40, "fixes #45")])), HEAD)
        == {}
    )


def test_a_commit_closes_issues_of_its_own_host_only() -> None:
    message = "fixes https://ghe.corp.example/acme/app/issues/45"
    assert closing(observed(push("main", commits=[pushed_commit("a" * 40, message)])), HEAD) == {}


@pytest.mark.parametrize("more", [{}, {"created": True}, {"deleted": True, "after": ZEROS}, {"commits": None}])
def test_a_push_to_the_default_branch_without_a_commit_is_ignored(more: dict[str, Any]) -> None:
    assert observe(push("main", **more)) == Nothing("a push to the default branch without a commit")


@pytest.mark.parametrize("more", [{"created": True}, {"deleted": True, "after": ZEROS}])
def test_a_push_of_a_tag_is_ignored(more: dict[str, Any]) -> None:
    assert observe(push(ref="refs/tags/exp/Cache", **more)) == Nothing(
        "a push that is not to a branch says nothing about experiments"
    )


def test_a_push_to_a_fork_is_observed_on_the_branch_of_the_fork() -> None:
    repository = {"full_name": "Mallory/App", "default_branch": "main", "pushed_at": int(at(3).timestamp())}
    said = observed(push("exp/Cache", repository={**repository, "fork": True}))
    assert {one.subject for one in said if isinstance(one, Observed)} == {Ref("branch:mallory/app@exp/Cache")}


def test_every_branch_is_observed_if_the_payload_names_no_default_branch() -> None:
    repository = {"full_name": "Acme/App", "pushed_at": int(at(3).timestamp())}
    place = traits(what="branch", project="Acme/App", branch="main")
    looks = Observed("seen", Ref("branch:acme/app@main"), at(3), place | traits(title="main"))
    assert observed(push("main", repository=repository))[0] == looks


@pytest.mark.parametrize("commits", [50, 51, 2048])
def test_only_the_last_of_many_pushed_commits_are_read(commits: int) -> None:
    pushed = [pushed_commit(f"{number:040x}", f"ML-{number}") for number in range(1, commits + 1)]
    texts = [one.text for one in observed(push(commits=pushed)) if isinstance(one, Mentioned)]
    assert texts == ["exp/Cache", *(f"ML-{number}" for number in range(commits - 49, commits + 1))]


@pytest.mark.parametrize(
    "pushed_at", ["2026-03-03T09:00:00Z", "2026-03-03T10:00:00+01:00", "2026-03-03 09:00:00 UTC", 1772528400]
)
def test_the_time_of_a_push_is_a_number_or_a_text(pushed_at: int | str) -> None:
    assert observe(push(pushed_at=pushed_at)) == [PUSHED_SEEN, *PUSHED_TO]


def without_pushed_at(empty: str | None = None, **more: Any) -> GitHubRequest:
    payload = json.loads(push(**more).body)
    payload["repository"]["pushed_at"] = empty
    return github("push", payload)


def test_a_push_without_a_time_is_dated_by_its_last_commit() -> None:
    head = {"id": "a" * 40, "message": "Cache answers", "timestamp": "2026-03-03T10:00:00+01:00"}
    assert observe(without_pushed_at(head_commit=head)) == [PUSHED_SEEN, *PUSHED_TO]


@pytest.mark.parametrize("head", [None, {"id": "a" * 40}, {"id": "a" * 40, "timestamp": None}])
def test_a_push_without_any_time_is_ignored(head: Any) -> None:
    assert observe(without_pushed_at(head_commit=head)) == Nothing("the push names no time")
    assert observe(without_pushed_at("", head_commit=head)) == Nothing("the push names no time")


@pytest.mark.parametrize(
    "pushed_at",
    ["yesterday", 10**15, -(10**15), 10**400, 10**4298],
    ids=["a word", "far off", "long ago", "beyond a float", "too long to be written"],
)
def test_a_push_with_a_malformed_time_is_unreadable_and_the_error_names_the_field(pushed_at: int | str) -> None:
    with pytest.raises(UnreadableDelivery, match=r"repository\.pushed_at"):
        observe(push(pushed_at=pushed_at))


def test_a_push_with_the_required_fields_alone_can_be_read() -> None:
    payload = {
        "ref": "refs/heads/exp/Cache",
        "after": "a" * 40,
        "repository": {"full_name": "Acme/App", "pushed_at": 1772528400},
    }
    looks = Observed("seen", PUSHED, at(3), PUSHED_PLACE | traits(title="exp/Cache"))
    assert observe(github("push", payload)) == [looks, *PUSHED_TO]


def deployment_status(state: str = "success", **more: Any) -> GitHubRequest:
    """A deployment status of the third of March."""
    status = {"state": state, "created_at": zulu(at(3)), **more}
    deployment = {"sha": "A" * 40, "ref": "main", "environment": "production", "created_at": zulu(at(2))}
    return github("deployment_status", {"deployment": deployment, "deployment_status": status})


@pytest.mark.parametrize("state", ["success", "failure", "error", "pending", "in_progress", "inactive"])
def test_the_status_of_a_deployment_is_observed_as_its_conclusion(state: str) -> None:
    assert observe(deployment_status(state, environment="staging")) == [
        Observed("deployed", HEAD, at(3), traits(environment="staging", conclusion=state))
    ]


@pytest.mark.parametrize("more", [{}, {"environment": None}, {"environment": ""}])
def test_a_deployment_status_without_an_environment_has_the_environment_of_its_deployment(more: dict[str, Any]) -> None:
    assert observe(deployment_status(**more)) == [
        Observed("deployed", HEAD, at(3), traits(environment="production", conclusion="success"))
    ]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [("eu-1", ("eu-1", "production")), ("production", ("production",)), (None, ("production",))],
)
def test_an_environment_that_github_calls_production_is_production_whatever_its_name(
    environment: str | None, expected: tuple[str, ...]
) -> None:
    request = deployment_status("success", environment=environment)
    body = json.loads(request.body)
    body["deployment"] |= {"environment": environment, "production_environment": True}
    [seen] = observed(replace(request, body=json.dumps(body).encode()))
    assert isinstance(seen, Observed)
    assert seen.traits["environment"] == expected


@pytest.mark.parametrize("flag", [False, None, "true", 1, {}])
def test_any_other_value_of_the_production_flag_says_nothing(flag: object) -> None:
    request = deployment_status("success", environment="eu-1")
    body = json.loads(request.body)
    body["deployment"]["production_environment"] = flag
    [seen] = observed(replace(request, body=json.dumps(body).encode()))
    assert isinstance(seen, Observed)
    assert seen.traits["environment"] == ("eu-1",)


@pytest.mark.parametrize("more", [{}, {"environment": None}])
def test_a_deployment_may_have_no_environment(more: dict[str, Any]) -> None:
    status = {"state": "success", "created_at": zulu(at(3))}
    payload = {"deployment": {"sha": "a" * 40, **more}, "deployment_status": status}
    assert observe(github("deployment_status", payload)) == [
        Observed("deployed", HEAD, at(3), traits(conclusion="success"))
    ]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"]
)
def test_the_json_in_the_payload_field_of_a_form_is_read(content_type: str) -> None:
    plain = Issue(created_at=at(1), title="Büro & Küche = 100 %").opened()
    form = GitHubRequest("issues", urlencode({"payload": plain.body}).encode(), plain.delivery_id, content_type)
    assert observe(form) == observe(plain)


@pytest.mark.parametrize("body", [b"", b"{}", b"data=%7B%7D", b"%70ayload=%7B%7D"])
def test_a_form_without_a_payload_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match="the form does not consist of one field `payload`"):
        observe(GitHubRequest("issues", body, "1", "application/x-www-form-urlencoded"))


@pytest.mark.parametrize("around", ["{}&payload={}", "payload={}&a=1", "a=1&payload={}", "payload={}&payload={}"])
def test_a_form_with_another_field_beside_the_payload_is_unreadable(around: str) -> None:
    issue = quote(Issue(created_at=at(1)).opened().body)
    body = around.replace("{}", issue).encode()
    with pytest.raises(UnreadableDelivery, match="the form does not consist of one field `payload`"):
        observe(GitHubRequest("issues", body, "1", "application/x-www-form-urlencoded"))


def test_a_json_body_whose_text_contains_a_form_is_not_read_as_this_form() -> None:
    forged = quote(Issue(created_at=at(1), labels=("experiment",)).opened().body)
    comment = Issue(created_at=at(1), title=f"&payload={forged}&").opened()
    with pytest.raises(UnreadableDelivery, match="the form does not consist of one field `payload`"):
        observe(GitHubRequest("issues", comment.body, "1", "application/x-www-form-urlencoded"))


@given(st.text(st.characters(codec="utf-8")))
def test_a_form_is_decoded_as_it_is_encoded(document: str) -> None:
    form = _form(urlencode({"payload": document}).encode())
    assert PROVIDERS["github"].document(form) == document.encode()


def _form(body: bytes) -> Delivery:
    return GitHubRequest("issues", body, "1", "application/x-www-form-urlencoded").delivery(at(2))


def test_a_form_is_decoded_without_many_times_its_size_in_memory() -> None:
    form = _form(b"payload=" + b"a%41" * 250_000)
    tracemalloc.start()
    try:
        assert PROVIDERS["github"].document(form) == b"aA" * 250_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # `urllib.parse` takes 60 times the size of the form.
    assert peak < 8 * len(form.body)


@pytest.mark.parametrize("body", [b"payload=%7", b"payload=%7B%GG", b"payload=100%", b"payload=%\n7B"])
def test_a_form_with_a_malformed_escape_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match="the form cannot be read: a % is not followed by two"):
        observe(GitHubRequest("issues", body, "1", "application/x-www-form-urlencoded"))


def test_a_form_with_too_many_fields_is_unreadable() -> None:
    with pytest.raises(UnreadableDelivery, match="form"):
        observe(GitHubRequest("issues", b"payload=%7B%7D" + b"&a=1" * 1000, "1", "application/x-www-form-urlencoded"))


@pytest.mark.parametrize(
    "keyword", ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"]
)
@pytest.mark.parametrize("target", ["#45", "acme/app#45", "https://github.com/acme/app/issues/45"])
def test_a_closing_keyword_before_an_issue_closes_the_issue(keyword: str, target: str) -> None:
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
        "fixes GH-45",
        "Closes: GH-45",
        "- [x] Fixes #45",
        "Fixes <!-- the number of the issue --> #45",
        "<details>\n<summary>Fixes #45</summary>\n</details>",
        "> Fixes #46\n\nFixes #45",
        "```\nfixes #46\n```\nfixes #45 `fixes #46`",
        "<!-- fixes #46 -->\nfixes #45",
        "closes #45, which is like #46",
    ],
)
def test_a_closing_keyword_may_be_written_in_many_forms(body: str) -> None:
    assert closed_by(body) == {ITEM}


def test_a_body_may_close_several_issues_one_after_another() -> None:
    assert closed_by("closes #45, closes #46, fixes: #47, and #48") == {
        Ref(f"github:acme/app#{number}") for number in (45, 46, 47)
    }


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
        "closes GH4",
        "closes GH-",
        "`closes #4`",
        "closes `#4`",
        "closes `this` #4",
        "```\ncloses #4\n```",
        "~~~\ncloses #4",
        "Example:\n\n    closes #4",
        "<!-- closes #4 -->",
        "<!--\nIf it closes an issue:\n\ncloses #4\n-->\nNo.",
        "<code>closes #4</code>",
        "<pre>\ncloses #4\n</pre>",
        "> closes #4",
        "[//]: # (closes #4)",
        "[comment]: <> (closes #4)",
    ],
)
def test_a_body_that_only_resembles_a_closing_keyword_closes_nothing(body: str) -> None:
    assert closed_by(body) == set()


@pytest.mark.parametrize(
    ("page", "address", "closes"),
    [
        ("https://ghe.corp.example/acme/app/pull/7", "https://ghe.corp.example/acme/app/issues/45", True),
        ("https://ghe.corp.example/acme/app/pull/7", "http://GHE.corp.example/acme/app/issues/45", True),
        ("https://ghe.corp.example/acme/app/pull/7", "https://github.com/acme/app/issues/45", False),
        ("https://github.com/acme/app/pull/7", "https://ghe.corp.example/acme/app/issues/45", False),
        ("https://acme.ghe.com/acme/app/pull/7", "https://acme.ghe.com/acme/app/issues/45", True),
        ("https://ghe.corp.example:8443/acme/app/pull/7", "https://ghe.corp.example:8443/acme/app/issues/45", True),
    ],
)
def test_the_address_of_an_issue_counts_on_the_host_of_the_pull_request_only(
    page: str, address: str, *, closes: bool
) -> None:
    event = least_pull_request_event(body=f"Closes {address}", html_url=page)
    told = observed(github("pull_request", event))
    [link] = [each for each in told if isinstance(each, Linked) and each.channel == "body"]
    assert link.targets == ({ITEM} if closes else set())


@pytest.mark.parametrize("headers", [{}, {"x-github-event": ""}])
def test_a_delivery_without_an_event_header_is_unreadable(headers: dict[str, str]) -> None:
    with pytest.raises(UnreadableDelivery, match="header X-GitHub-Event is missing"):
        GITHUB.observe(delivery_of(headers, b"{}"))


def delivery_of(headers: dict[str, str], body: bytes) -> Delivery:
    return Delivery("github", "github", "1", headers, body, at(2))


def test_a_push_forward_without_a_list_of_commits_is_a_step() -> None:
    assert step(commits=[], forced=False) == Push(Ref("github:acme/app"), BASE, (HEAD,), linear=False, pushed_at=at(3))


@pytest.mark.parametrize("forced", [True, None])
def test_a_push_without_a_list_of_commits_may_set_the_branch_back(forced: bool | None) -> None:
    assert observe(push("main", commits=[], forced=forced)) == Nothing("a push to the default branch without a commit")


def test_a_branch_of_gitea_without_a_commit_and_a_time_has_the_time_of_its_repository() -> None:
    repository = {"full_name": "acme/app", "default_branch": "main", "updated_at": "2026-03-05T09:00:00Z"}
    created = push("exp/cache", before=ZEROS, commits=[], head_commit=None, repository=repository)
    assert {one.at for one in observed(created) if isinstance(one, Observed)} == {at(5)}

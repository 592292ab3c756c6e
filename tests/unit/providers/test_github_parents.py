"""GitHub's issue types, and the links from sub-issues to their parents."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.deliveries.observation import Identified, Linked, Nothing, Observation, Observed
from service.demo.post import zulu
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import at, github
from tests.support.observations import traits

CHILD, PARENT = Ref("github:acme/app#46"), Ref("github:acme/app#45")
ELSEWHERE = Ref("github:acme/roadmap#45")
API = "https://api.github.com/repos"


def issue(number: int, day: int = 3, **more: Any) -> dict[str, Any]:
    return {"number": number, "created_at": zulu(at(1)), "updated_at": zulu(at(day)), **more}


def read(event: str, payload: dict[str, Any]) -> Sequence[Observation] | Nothing:
    return PROVIDERS["github"].observe(
        github(event, {"repository": {"full_name": "Acme/App"}, **payload}).delivery(at(9))
    )


def issues(action: str, shown: dict[str, Any], **more: Any) -> Sequence[Observation]:
    observed = read("issues", {"action": action, "issue": shown, **more})
    assert not isinstance(observed, Nothing)
    return observed


def types(observed: Sequence[Observation]) -> list[tuple[str, tuple[str, ...]]]:
    """The kind and the type of each observation that shows a type."""
    return [
        (one.kind, one.traits["item_type"])
        for one in observed
        if isinstance(one, Observed) and "item_type" in one.traits
    ]


def parents(observed: Sequence[Observation] | Nothing) -> list[frozenset[Ref]]:
    """The targets of each link to a parent."""
    assert not isinstance(observed, Nothing), observed.reason
    links = [one for one in observed if isinstance(one, Linked) and one.channel == "parent"]
    assert all(one.evidence == one.stated_by == CHILD for one in links)
    return [one.targets for one in links]


def sub_issues(action: str, **more: Any) -> Sequence[Observation] | Nothing:
    return read("sub_issues", {"action": action, "sub_issue": issue(46), "parent_issue": issue(45), **more})


SPIKE = {"id": 1, "name": "Spike", "description": None, "color": "blue"}


@pytest.mark.parametrize("action", ["opened", "edited", "closed", "labeled"])
def test_the_type_of_an_issue_is_part_of_its_state(action: str) -> None:
    assert types(issues(action, issue(46, type=SPIKE))) == [("seen", ("Spike",))]


def test_a_comment_shows_the_type_of_its_issue() -> None:
    comment = {"body": "Nice.", "created_at": zulu(at(3)), "author_association": "MEMBER"}
    observed = read("issue_comment", {"action": "created", "issue": issue(46, type=SPIKE), "comment": comment})
    assert not isinstance(observed, Nothing)
    assert types(observed) == [("seen", ("Spike",))]


@pytest.mark.parametrize("shown", [None, {}, {"name": None}, {"name": ""}, {"name": 7}, "Spike", 7, [SPIKE]])
def test_an_issue_without_a_readable_type_has_no_type(shown: object) -> None:
    assert types(issues("opened", issue(46, type=shown))) == []


def test_an_issue_that_gets_a_type_is_typed() -> None:
    observed = issues("typed", issue(46, type=SPIKE), type=SPIKE)
    assert types(observed) == [("seen", ("Spike",)), ("typed", ("Spike",))]
    assert Observed("typed", CHILD, at(3), traits(what="item", project="Acme/App", item_type="Spike")) in observed


def test_an_issue_that_gets_a_type_is_typed_also_if_only_the_issue_shows_the_type() -> None:
    assert types(issues("typed", issue(46, type=SPIKE))) == [("seen", ("Spike",)), ("typed", ("Spike",))]


@pytest.mark.parametrize("shown", [None, SPIKE])
def test_an_issue_that_loses_its_type_is_untyped_whether_or_not_the_issue_still_shows_the_type(shown: object) -> None:
    assert types(issues("untyped", issue(46, type=shown), type=SPIKE)) == [("untyped", ("Spike",))]


def test_an_issue_whose_type_was_replaced_shows_its_new_type_and_loses_the_old_one() -> None:
    observed = issues("untyped", issue(46, type={"name": "Bug"}), type=SPIKE)
    assert types(observed) == [("seen", ("Bug",)), ("untyped", ("Spike",))]


def test_an_issue_that_loses_an_unknown_type_says_nothing_of_a_type() -> None:
    assert types(issues("untyped", issue(46, type=None))) == []


@pytest.mark.parametrize(
    ("address", "parent"),
    [
        (f"{API}/Acme/App/issues/45", PARENT),
        (f"{API}/acme/roadmap/issues/45", ELSEWHERE),
        ("https://ghe.acme.example/api/v3/repos/acme/app/issues/45", PARENT),
    ],
)
def test_an_issue_is_evidence_for_the_parent_that_it_shows(address: str, parent: Ref) -> None:
    assert parents(issues("opened", issue(46, parent_issue_url=address))) == [{parent}]


@pytest.mark.parametrize(
    "address", ["", "nonsense", f"{API}/acme/app", f"{API}/acme/app/issues/", f"{API}/acme/app/issues/45/comments"]
)
def test_an_address_of_another_form_says_nothing_of_a_parent(address: str) -> None:
    assert parents(issues("opened", issue(46, parent_issue_url=address))) == []


def test_an_issue_that_shows_that_it_has_no_parent_withdraws_the_link() -> None:
    assert parents(issues("edited", issue(46, parent_issue_url=None))) == [frozenset()]


def test_the_absence_of_a_parent_counts_only_beside_a_newer_field() -> None:
    """An old GitHub Enterprise Server never shows the parent of an issue."""
    assert parents(issues("edited", issue(46))) == []
    assert parents(issues("edited", issue(46, sub_issues_summary={"total": 0}))) == []
    assert parents(issues("edited", issue(46, issue_dependencies_summary={"blocked_by": 0}))) == [frozenset()]


def test_no_issue_is_its_own_parent() -> None:
    assert parents(issues("opened", issue(46, parent_issue_url=f"{API}/acme/app/issues/46"))) == [frozenset()]


@pytest.mark.parametrize("action", ["parent_issue_added", "sub_issue_added"])
def test_a_sub_issue_is_evidence_for_its_parent_whichever_repository_reports_it(action: str) -> None:
    observed = sub_issues(action)
    assert parents(observed) == [{PARENT}]
    assert observed == [
        Linked(CHILD, "parent", CHILD, frozenset({PARENT}), at(3)),
        Observed("active", CHILD, at(3)),
    ]


@pytest.mark.parametrize("action", ["parent_issue_removed", "sub_issue_removed"])
def test_a_sub_issue_that_was_removed_is_no_evidence(action: str) -> None:
    assert parents(sub_issues(action)) == [frozenset()]


@pytest.mark.parametrize("how", ["repository", "address"])
def test_a_parent_may_be_in_another_repository(how: str) -> None:
    parent = issue(45, repository_url=f"{API}/acme/roadmap") if how == "address" else issue(45)
    named = {"parent_issue_repo": {"full_name": "acme/roadmap"}} if how == "repository" else {}
    assert parents(sub_issues("parent_issue_added", parent_issue=parent, **named)) == [{ELSEWHERE}]


@pytest.mark.parametrize("how", ["repository", "address"])
def test_a_sub_issue_may_be_in_another_repository_than_its_parent_which_reports_it(how: str) -> None:
    child = issue(46, repository_url=f"{API}/acme/app") if how == "address" else issue(46)
    named = {"sub_issue_repo": {"full_name": "acme/app"}} if how == "repository" else {}
    roadmap = {"repository": {"full_name": "acme/roadmap"}}
    assert parents(sub_issues("sub_issue_added", sub_issue=child, **named, **roadmap)) == [{ELSEWHERE}]


def test_a_change_of_parent_has_the_time_of_the_issue_that_changed_last() -> None:
    observed = sub_issues("sub_issue_removed", parent_issue=issue(45, day=5))
    assert isinstance(observed, list)
    assert observed[0] == Linked(CHILD, "parent", CHILD, frozenset(), at(5))


@pytest.mark.parametrize("missing", ["sub_issue", "parent_issue", "repository"])
def test_an_event_that_names_no_sub_issue_or_no_parent_is_ignored(missing: str) -> None:
    assert sub_issues("sub_issue_removed", **{missing: None}) == Nothing("the event names no sub-issue or no parent")


def test_a_change_of_parent_tells_the_ids_of_the_repositories() -> None:
    repositories = {
        "repository": {"full_name": "acme/app", "id": 1, "html_url": "https://ghe.acme.example/acme/app"},
        "parent_issue_repo": {
            "full_name": "acme/roadmap",
            "id": 2,
            "html_url": "https://ghe.acme.example/acme/roadmap",
        },
    }
    observed = sub_issues("parent_issue_added", **repositories)
    assert isinstance(observed, list)
    assert [one for one in observed if isinstance(one, Identified)] == [
        Identified(Ref("github:acme/app"), "ghe.acme.example", "1", at(3)),
        Identified(Ref("github:acme/roadmap"), "ghe.acme.example", "2", at(3)),
    ]


def test_another_action_of_a_sub_issue_is_ignored() -> None:
    assert sub_issues("reprioritized") == Nothing("the event neither adds nor removes a sub-issue")

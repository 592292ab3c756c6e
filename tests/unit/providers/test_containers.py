"""Payloads tell that a whole repository, project or group was deleted, restored, archived or unarchived."""

import json
from datetime import datetime
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Identified, Nothing, Observation, Observed, Renamed
from service.lifecycle.aliases import Alias
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import at
from tests.support.observations import ids_in, traits

FIFTH = at(5)
TIME = "2026-03-05T09:00:00Z"
PAST = "2026-03-01T09:00:00Z"


def observe(provider: str, payload: Any, **headers: str) -> list[Observation] | Nothing:
    delivery = Delivery(provider, provider, "1", headers, json.dumps(payload).encode(), at(20))
    observed = PROVIDERS[provider].observe(delivery)
    return observed if isinstance(observed, Nothing) else list(observed)


def whole(kind: Any, what: str, name: str, *subjects: str, when: datetime = FIFTH) -> list[Observed]:
    """The observations about a whole project or group."""
    return [Observed(kind, Ref(subject), when, traits(what=what, project=name)) for subject in subjects]


def repository(action: str, **known: Any) -> list[Observation] | Nothing:
    payload = {"action": action, "repository": {"full_name": "Acme/Gone", **known}}
    return observe("github", payload, **{"x-github-event": "repository"})


@pytest.mark.parametrize(
    ("action", "kind"),
    [("deleted", "deleted"), ("created", "restored"), ("archived", "archived"), ("unarchived", "unarchived")],
)
def test_the_end_of_a_github_repository_is_the_end_of_its_items_and_branches(action: str, kind: str) -> None:
    ended = whole(kind, "project", "Acme/Gone", "github:acme/gone", "branch:acme/gone")
    assert repository(action, updated_at=TIME) == ended
    assert repository(action, created_at=PAST, updated_at=PAST, pushed_at=TIME) == ended
    assert repository(action, created_at=1, updated_at=TIME) == ended


def test_a_github_repository_that_is_deleted_tells_its_id() -> None:
    observed = repository("deleted", id=3, html_url="https://github.com/Acme/Gone", updated_at=TIME)
    assert ids_in(observed) == [Identified(Ref("github:acme/gone"), "github.com", "3", FIFTH)]


def test_the_end_of_a_repository_without_a_time_is_ignored() -> None:
    assert repository("deleted") == Nothing("the repository is deleted, and the payload names no time")


@pytest.mark.parametrize(("event", "kind"), [("project_destroy", "deleted"), ("project_create", "restored")])
def test_the_end_of_a_gitlab_project_is_the_end_of_its_items_and_branches(event: str, kind: str) -> None:
    payload = {"event_name": event, "path_with_namespace": "Acme/Tools/Gone", "project_id": 5}
    ended = whole(kind, "project", "Acme/Tools/Gone", "gitlab:acme/tools/gone", "branch:acme/tools/gone")
    assert observe("gitlab", {**payload, "created_at": PAST, "updated_at": TIME}) == ended
    assert observe("gitlab", {**payload, "created_at": TIME}) == ended


@pytest.mark.parametrize("event", ["group_destroy", "subgroup_destroy"])
def test_the_end_of_a_gitlab_group_is_the_end_of_its_projects(event: str) -> None:
    payload = {"event_name": event, "path": "tools", "full_path": "acme/tools", "group_id": 7, "updated_at": TIME}
    ended = whole("deleted", "group", "acme/tools", "gitlab:acme/tools", "branch:acme/tools")
    assert observe("gitlab", payload) == ended
    created = observe("gitlab", {**payload, "event_name": event.replace("destroy", "create")})
    assert created == whole("restored", "group", "acme/tools", "gitlab:acme/tools", "branch:acme/tools")


def test_an_old_gitlab_without_subgroups_tells_the_path_of_a_group_alone() -> None:
    payload = {"event_name": "group_destroy", "path": "acme", "updated_at": TIME}
    assert observe("gitlab", payload) == whole("deleted", "group", "acme", "gitlab:acme", "branch:acme")


@pytest.mark.parametrize("lost", ["path_with_namespace", "updated_at"])
def test_a_gitlab_project_that_ends_without_a_path_or_a_time_is_ignored(lost: str) -> None:
    payload = {"event_name": "project_destroy", "path_with_namespace": "acme/gone", "updated_at": TIME}
    observed = observe("gitlab", {name: value for name, value in payload.items() if name != lost})
    assert observed == Nothing("the project that was deleted has no path or no time in the payload")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("project_deleted", "deleted"),
        ("project_soft_deleted", "deleted"),
        ("project_restored_deleted", "restored"),
        ("project_created", "restored"),
        ("project_archived", "archived"),
        ("project_restored_archived", "unarchived"),
    ],
)
def test_the_end_of_a_jira_project_is_the_end_of_its_tickets(event: str, kind: str) -> None:
    project = {"key": "GONE", "id": 10001, "self": "https://acme.atlassian.net/rest/api/2/project/10001"}
    stamp = int(FIFTH.timestamp()) * 1000
    assert observe("jira", {"webhookEvent": event, "timestamp": stamp, "project": project}) == [
        *whole(kind, "project", "GONE", "jira:GONE"),
        Identified(Ref("jira:GONE"), "acme.atlassian.net", "10001", FIFTH),
    ]


def test_a_jira_project_that_changes_tells_its_id_with_its_new_key() -> None:
    project = {"key": "NEW", "id": "10001", "self": "https://acme.atlassian.net/rest/api/2/project/10001"}
    stamp = int(FIFTH.timestamp()) * 1000
    observed = observe("jira", {"webhookEvent": "project_updated", "timestamp": stamp, "project": project})
    assert isinstance(observed, Nothing)
    assert ids_in(observed) == [Identified(Ref("jira:NEW"), "acme.atlassian.net", "10001", FIFTH)]


@pytest.mark.parametrize("broken", [{"key": None}, {"key": "a/b"}, {"key": ""}, {"key": "A" * 300}])
def test_a_jira_project_without_a_key_ends_nothing(broken: dict[str, Any]) -> None:
    payload = {"webhookEvent": "project_deleted", "timestamp": 1, "project": broken}
    assert observe("jira", payload) == Nothing("the event of a project has no key of a project or no time")


def test_a_renamed_gitlab_group_renames_the_prefix_of_its_projects_and_branches() -> None:
    payload = {"event_name": "group_rename", "full_path": "acme/new", "old_full_path": "acme/Old", "updated_at": TIME}
    assert observe("gitlab", payload) == [
        Renamed(Alias(Ref("gitlab:acme/old"), Ref("gitlab:acme/new"), FIFTH)),
        Renamed(Alias(Ref("branch:acme/old"), Ref("branch:acme/new"), FIFTH)),
    ]


def test_the_owner_of_personal_projects_who_is_renamed_renames_their_prefix() -> None:
    payload = {"event_name": "user_rename", "username": "new-name", "old_username": "old-name", "updated_at": TIME}
    assert observe("gitlab", payload) == [
        Renamed(Alias(Ref("gitlab:old-name"), Ref("gitlab:new-name"), FIFTH)),
        Renamed(Alias(Ref("branch:old-name"), Ref("branch:new-name"), FIFTH)),
    ]


@pytest.mark.parametrize("known", [{}, {"full_path": "acme", "old_full_path": "acme"}, {"full_path": "acme"}])
def test_a_group_that_got_another_title_alone_is_not_renamed(known: dict[str, str]) -> None:
    observed = observe("gitlab", {"event_name": "group_rename", "name": "New", "updated_at": TIME, **known})
    assert observed == Nothing("the group or owner got no new path")

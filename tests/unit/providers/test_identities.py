"""Payloads tell the ids of projects and tickets, and the sites on which these ids hold."""

import json
from datetime import datetime
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.deliveries.identities import read_id, site_of
from service.deliveries.observation import Identified
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import at
from tests.support.observations import ids_in

FIFTH = at(5)
APP = Ref("github:acme/app")
SHA = "2a" * 20
REPOSITORY = {"id": 4242, "full_name": "Acme/App", "html_url": "https://github.com/Acme/App"}
ISSUE = {"number": 45, "created_at": "2026-03-01T09:00:00Z", "updated_at": "2026-03-05T09:00:00Z"}
PULL = {**ISSUE, "number": 7, "head": {"sha": SHA, "ref": "exp/cache"}}
RUN = {"head_sha": SHA, "updated_at": "2026-03-05T09:00:00Z", "conclusion": "success"}
COMMENT = {"body": "Nice.", "created_at": "2026-03-02T09:00:00Z"}


def told(provider: str, payload: Any, **headers: str) -> list[Identified]:
    """The ids that a payload tells."""
    delivery = Delivery(provider, provider, "1", headers, json.dumps(payload).encode(), at(20))
    return ids_in(PROVIDERS[provider].observe(delivery))


def github(event: str, action: str = "opened", **members: Any) -> list[Identified]:
    payload = {"action": action, "repository": REPOSITORY, **members}
    return told("github", payload, **{"x-github-event": event})


def app(site: str = "github.com", id_: str = "4242", when: datetime = FIFTH) -> Identified:
    return Identified(APP, site, id_, when)


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://github.com/acme/app", "github.com"),
        ("https://GHE.Acme.com/acme/app", "ghe.acme.com"),
        ("https://ghe.acme.com:443/acme/app", "ghe.acme.com"),
        ("http://gitea:80/acme/app", "gitea"),
        ("https://gitlab.acme.example:8443/tools/acme/app", "gitlab.acme.example:8443"),
        ("http://jira.acme.example:443/rest/api/2/issue/1", "jira.acme.example:443"),
        ("https://jira.acme.example/jira/rest/api/2/issue/1", "jira.acme.example"),
        ("http://[2001:DB8::1]:8080/acme/app", "[2001:db8::1]:8080"),
        ("https://github.com", "github.com"),
        ("https://user:password@github.com/acme/app", ""),
        ("https://github.com\\@evil.example/", ""),
        ("https://github.com{evil}/", ""),
        ("ftp://github.com/acme/app", ""),
        ("/acme/app", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_site_is_the_host_of_an_address_in_lower_case_without_a_default_port(address: object, site: str) -> None:
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("value", "id_"),
    [(4242, "4242"), ("4242", "4242"), ("a-1_b", "a-1_b"), (0, ""), (-1, ""), (True, ""), ("", ""), ("1/2", "")],
)
def test_an_id_is_a_text_or_a_number(value: object, id_: str) -> None:
    assert read_id(value) == id_
    assert read_id([value]) == read_id({"id": value}) == read_id(1.5) == ""


@pytest.mark.parametrize(
    ("event", "members", "when"),
    [
        ("issues", {"issue": ISSUE}, at(5)),
        ("issue_comment", {"action": "created", "issue": ISSUE, "comment": COMMENT}, at(5)),
        ("pull_request", {"pull_request": PULL}, at(5)),
        ("workflow_run", {"action": "completed", "workflow_run": RUN}, at(5)),
        ("workflow_run", {"action": "requested", "workflow_run": RUN}, at(5)),
        (
            "deployment_status",
            {
                "deployment": {"sha": SHA},
                "deployment_status": {"state": "success", "created_at": "2026-03-05T09:00:00Z"},
            },
            at(5),
        ),
        (
            "push",
            {
                "ref": "refs/heads/exp/a",
                "after": SHA,
                "repository": {**REPOSITORY, "pushed_at": "2026-03-05T09:00:00Z"},
            },
            at(5),
        ),
        ("repository", {"repository": {**REPOSITORY, "updated_at": "2026-03-05T09:00:00Z"}}, at(5)),
    ],
)
def test_each_event_of_a_github_repository_tells_its_id(event: str, members: dict[str, Any], when: datetime) -> None:
    assert github(event, **members) == [app(when=when)]


@pytest.mark.parametrize("action", ["renamed", "transferred"])
def test_a_github_repository_tells_its_id_when_its_name_changes(action: str) -> None:
    changes = {"repository": {"name": {"from": "old"}}, "owner": {"from": {"user": {"login": "old"}}}}
    repository = {**REPOSITORY, "updated_at": "2026-03-05T09:00:00Z"}
    assert github("repository", action, changes=changes, repository=repository) == [app()]


def test_a_repository_without_an_address_is_on_the_site_of_its_issue() -> None:
    repository = {"id": "4242", "full_name": "acme/app"}
    issue = {**ISSUE, "html_url": "https://ghe.acme.com/acme/app/issues/45"}
    assert github("issues", issue=issue, repository=repository) == [app("ghe.acme.com")]


@pytest.mark.parametrize("lost", ["id", "html_url"])
def test_a_github_repository_without_an_id_or_an_address_tells_none(lost: str) -> None:
    repository = {name: value for name, value in REPOSITORY.items() if name != lost}
    assert github("issues", issue=ISSUE, repository=repository) == []


@pytest.mark.parametrize("odd", [{"id": ["4242"]}, {"id": {"value": 4242}}, {"html_url": 7}, {"html_url": ["a"]}])
def test_an_id_or_an_address_of_another_type_fails_no_delivery(odd: dict[str, Any]) -> None:
    assert github("issues", issue=ISSUE, repository={**REPOSITORY, **odd}) == []


def test_a_pull_request_tells_no_id_of_its_fork_whose_name_may_be_a_persons() -> None:
    fork = {"id": 5, "full_name": "mallory/app", "html_url": "https://github.com/mallory/app"}
    pull = {**PULL, "head": {**PULL["head"], "repo": fork}}  # type: ignore[dict-item] # a dict of unlike values
    assert github("pull_request", pull_request=pull) == [app()]


def test_the_transfer_of_an_issue_tells_the_ids_of_both_repositories() -> None:
    other = {"id": 7, "full_name": "acme/new", "html_url": "https://github.com/acme/new"}
    changes = {"new_issue": {"number": 3}, "new_repository": other}
    ids = github("issues", "transferred", issue=ISSUE, changes=changes)
    assert set(ids) == {app(), Identified(Ref("github:acme/new"), "github.com", "7", at(5))}


GITLAB = {"id": 15, "path_with_namespace": "Acme/App", "web_url": "https://gitlab.acme.example/Acme/App"}
HOOK = {"iid": 45, "created_at": "2026-03-01 09:00:00 UTC", "updated_at": "2026-03-05 09:00:00 UTC"}
NOTE = {"created_at": "2026-03-04 09:00:00 UTC", "noteable_type": "Issue", "note": "Nice."}
PIPELINE = {"sha": SHA, "status": "success", "finished_at": "2026-03-05 09:00:00 UTC"}
PUSHED = [{"id": SHA, "timestamp": "2026-03-05T09:00:00+00:00"}]


def gitlab(**members: Any) -> list[Identified]:
    return told("gitlab", {"project": GITLAB, **members})


def on_gitlab(when: datetime = FIFTH, name: str = "acme/app", id_: str = "15") -> Identified:
    return Identified(Ref(f"gitlab:{name}"), "gitlab.acme.example", id_, when)


@pytest.mark.parametrize(
    "members",
    [
        {"object_kind": "issue", "object_attributes": HOOK},
        {"object_kind": "work_item", "object_attributes": HOOK},
        {"object_kind": "note", "object_attributes": NOTE, "issue": HOOK},
        {"object_kind": "note", "object_attributes": {**NOTE, "noteable_type": "MergeRequest"}, "merge_request": HOOK},
        {"object_kind": "merge_request", "object_attributes": HOOK},
        {"object_kind": "pipeline", "object_attributes": PIPELINE},
        {"object_kind": "push", "ref": "refs/heads/exp/a", "before": SHA, "after": SHA, "commits": PUSHED},
        {
            "object_kind": "deployment",
            "status": "success",
            "status_changed_at": "2026-03-05 09:00:00 +0000",
            "commit_url": f"https://gitlab.acme.example/acme/app/-/commit/{SHA}",
        },
    ],
)
def test_each_event_of_a_gitlab_project_tells_its_id(members: dict[str, Any]) -> None:
    assert gitlab(**members) == [on_gitlab()]


def test_the_commits_of_a_new_branch_do_not_date_the_name_of_a_project() -> None:
    assert gitlab(object_kind="push", ref="refs/heads/a", before="0" * 40, after=SHA, commits=PUSHED) == []


def test_a_merge_request_tells_the_id_of_its_project_and_not_of_its_fork() -> None:
    fork = {"path_with_namespace": "mallory/app", "web_url": "https://gitlab.acme.example/mallory/app"}
    target = {name: value for name, value in GITLAB.items() if name != "id"}
    merge = {**HOOK, "source": fork, "target": target, "source_project_id": "16", "target_project_id": 15}
    ids = gitlab(object_kind="merge_request", object_attributes=merge)
    assert ids == [on_gitlab()]


def test_a_project_of_gitlab_whose_payload_tells_no_address_has_no_id() -> None:
    project = {"id": 15, "path_with_namespace": "acme/app"}
    assert gitlab(object_kind="issue", object_attributes=HOOK, project=project) == []


TICKET = "https://acme.atlassian.net/rest/api/2/issue/10012"


def jira(
    event: str = "jira:issue_updated", id_: object = "10012", address: object = TICKET, **project: Any
) -> set[Identified]:
    fields = {"created": "2026-03-01T09:00:00.000+0000", **({"project": project} if project else {})}
    issue = {"key": "ML-12", "id": id_, "self": address, "fields": fields}
    stamp = int(FIFTH.timestamp()) * 1000
    return set(told("jira", {"webhookEvent": event, "timestamp": stamp, "issue": issue, "comment": {"body": "Nice."}}))


def on_jira(site: str = "acme.atlassian.net", **ids: str) -> set[Identified]:
    return {Identified(Ref(f"jira:{name}".replace("_", "-")), site, id_, at(5)) for name, id_ in ids.items()}


@pytest.mark.parametrize("event", ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created"])
def test_each_event_of_a_ticket_tells_the_ids_of_the_ticket_and_of_its_project(event: str) -> None:
    assert (
        jira(event, id=10000, key="ML")
        == jira(event, 10012, id="10000", key="ML")
        == on_jira(ML="10000", ML_12="10012")
    )


def test_a_jira_under_a_path_is_on_the_site_of_its_host() -> None:
    address = "https://Tools.Acme.example:8443/jira/rest/api/2/issue/10012"
    assert jira(address=address) == on_jira("tools.acme.example:8443", ML_12="10012")


def test_a_ticket_without_its_own_address_is_on_the_site_of_its_project() -> None:
    address = "https://jira.acme.example/rest/api/2/project/10000"
    assert jira(address=None, id="10000", key="ML", self=address) == on_jira(
        "jira.acme.example", ML="10000", ML_12="10012"
    )


def test_the_gateway_of_atlassian_is_the_site_of_no_ticket() -> None:
    assert jira(address="https://api.atlassian.com/ex/jira/1/rest/api/3/issue/10012", id="10000", key="ML") == set()


def test_a_project_that_the_ticket_has_left_does_not_get_the_key_of_the_new_one() -> None:
    assert jira(id="10000", key="OLD") == jira(id="10000") == on_jira(ML_12="10012")


def test_a_transition_tells_the_ids_too() -> None:
    issue = {"key": "ML-12", "id": "10012", "self": TICKET, "fields": {"project": {"key": "ML", "id": "10000"}}}
    stamp = int(FIFTH.timestamp()) * 1000
    transition = {"from_status": "To Do", "to_status": "Done"}
    assert set(told("jira", {"transition": transition, "issue": issue, "timestamp": stamp})) == on_jira(
        ML="10000", ML_12="10012"
    )

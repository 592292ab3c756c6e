"""A repository, project or group that is deleted or archived excludes what was in it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select

from service.demo.post import zulu
from service.lifecycle.exclusions import Exclusion
from service.pipeline.retention import delete_unattached
from service.providers import PROVIDERS
from service.queries.replay import Replay
from service.rules.document import RulesFile
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage.database import Database
from service.storage.tables import touched
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed, github, push, renamed
from tests.support.road import RULES, TERMS, all_exclusions, all_experiments, api, deliver, is_problem
from tests.support.signing import Request, request

GONE = "github:acme/app#45"
JIRA_FIELDS = {"summary": "Ask twice", "issuetype": {"name": "Experiment"}, "created": "2026-03-02T09:00:00.000+0000"}


async def replay(database: Database, rules: Rules = RULES) -> None:
    await Replay(rules, TERMS, lambda: at(20), lambda done, total: None).run(database, None)


def issue(**known: Any) -> Issue:
    return Issue(created_at=at(2), labels=("experiment",), **known)


def repository(action: str, when: datetime, full_name: str = "acme/app") -> GitHubRequest:
    return github("repository", {"action": action, "repository": {"full_name": full_name, "updated_at": zulu(when)}})


def gitlab_issue(path: str, number: int | None = None) -> Request:
    project = {"id": number, "path_with_namespace": path, "web_url": f"https://gitlab.acme.example/{path}"}
    issue = {"iid": 9, "title": "Warm it", "action": "open", "created_at": "2026-03-02 09:00:00 UTC"}
    labels = [{"title": "experiment"}]
    return request(
        "gitlab",
        {"object_kind": "issue", "project": project, "object_attributes": issue, "labels": labels},
        x_gitlab_event="Issue Hook",
    )


def gitlab_hook(event: str, when: datetime, **known: Any) -> Request:
    body = {"event_name": event, "created_at": zulu(at(1)), "updated_at": zulu(when), **known}
    return request("gitlab", body, x_gitlab_event="System Hook")


def jira(event: str, when: datetime, **known: Any) -> Request:
    return request("jira", {"webhookEvent": event, "timestamp": int(when.timestamp()) * 1000, **known})


def ticket() -> Request:
    return jira("jira:issue_created", at(2), issue={"key": "GONE-9", "fields": JIRA_FIELDS})


def jira_project(event: str, when: datetime) -> Request:
    return jira(event, when, project={"key": "GONE", "id": 10001})


ORDERS = list(permutations(range(3)))
FOUR = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1), (3, 1, 0, 2)]
DELETED: Mapping[str, tuple[GitHubRequest | Request, ...]] = {
    GONE: (issue().opened(), repository("deleted", at(5))),
    "branch:acme/app@exp/cache": (push("exp/cache", "c" * 40, at(3)), repository("deleted", at(5))),
    "github:acme/app!7": (
        PullRequest(created_at=at(2), labels=("experiment",)).opened(),
        repository("deleted", at(5)),
    ),
    "gitlab:acme/gone#9": (
        gitlab_issue("acme/gone"),
        gitlab_hook("project_destroy", at(5), path_with_namespace="acme/gone"),
    ),
    "gitlab:acme/tools/gone#9": (
        gitlab_issue("acme/tools/gone"),
        gitlab_hook("group_destroy", at(5), path="acme", full_path="acme"),
    ),
    "gitlab:acme/a/b/gone#9": (
        gitlab_issue("acme/a/b/gone"),
        gitlab_hook("subgroup_destroy", at(5), path="a", full_path="acme/a"),
    ),
    "jira:GONE-9": (ticket(), jira_project("project_deleted", at(5))),
}


@pytest.mark.oldest_postgresql_too
@pytest.mark.parametrize("backwards", [False, True], ids=["the item first", "the deletion first"])
@pytest.mark.parametrize("subject", DELETED)
async def test_a_deleted_container_excludes_what_was_in_it(
    database: Database, subject: str, *, backwards: bool
) -> None:
    for one in DELETED[subject][:: -1 if backwards else 1]:
        await deliver(database, one)
    assert await all_experiments(database) == {}
    assert await all_exclusions(database) == {subject: Exclusion("deleted", at(5))}


async def test_the_items_of_other_projects_stay(database: Database) -> None:
    others = [issue(repository=name) for name in ("acme/app-two", "acme/apps", "acme", "other/app")]
    gone = repository("deleted", at(5))
    group = gitlab_hook("group_destroy", at(5), path="acme", full_path="acme")
    await deliver(database, *(one.opened() for one in others), gitlab_issue("acme-two/app"), gone, group)
    assert set(await all_experiments(database)) == {
        *(f"github:{one.repository}#45" for one in others),
        "gitlab:acme-two/app#9",
    }


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("ended", "taken_back", "item", "root"),
    [
        (repository("archived", at(5)), repository("unarchived", at(6)), issue().opened(), GONE),
        (repository("deleted", at(5)), repository("created", at(6)), issue().opened(), GONE),
        (
            jira_project("project_soft_deleted", at(5)),
            jira_project("project_restored_deleted", at(6)),
            ticket(),
            "jira:GONE-9",
        ),
        (
            jira_project("project_archived", at(5)),
            jira_project("project_restored_archived", at(6)),
            ticket(),
            "jira:GONE-9",
        ),
        (
            gitlab_hook("project_destroy", at(5), path_with_namespace="acme/gone"),
            gitlab_hook("project_create", at(6), path_with_namespace="acme/gone"),
            gitlab_issue("acme/gone"),
            "gitlab:acme/gone#9",
        ),
    ],
)
async def test_a_container_that_comes_back_brings_back_what_is_in_it_in_any_order(
    database: Database, ended: Any, taken_back: Any, item: Any, root: str, order: Sequence[int]
) -> None:
    for place in order:
        await deliver(database, (item, ended, taken_back)[place])
    assert set(await all_experiments(database)) == {root}
    assert await all_exclusions(database) == {}


async def test_an_archived_repository_excludes_the_open_and_quiet_experiments_alone(database: Database) -> None:
    quiet, busy, answered = issue(number=1), issue(number=2), issue(number=3)
    answered, labelled = answered.labeled("outcome:worked", at(3))
    await deliver(database, quiet.opened(), busy.opened(), answered.opened(), labelled, answered.closed(at(4))[1])
    await deliver(database, repository("archived", at(5)))
    await deliver(database, busy.commented("It runs on.", at(7)))
    assert await all_exclusions(database) == {"github:acme/app#1": Exclusion("archived", at(5))}
    assert set(await all_experiments(database)) == {"github:acme/app#2", "github:acme/app#3"}


async def test_explain_says_that_the_repository_is_deleted_or_archived(database: Database) -> None:
    await deliver(database, issue().opened(), repository("archived", at(5)))
    for reason, when in (("archived", at(5)), ("deleted", at(6))):
        if reason == "deleted":
            await deliver(database, repository("deleted", when))
        async with api(database, at(9)) as client:
            shown = (await client.get("/experiments/acme/app%2345/explain")).json()
            found = await client.get("/experiments/acme/app%2345")
        assert shown["why_not"] == f"it is excluded: {reason}"
        assert (shown["excluded"]["reason"], shown["excluded"]["since"]) == (reason, zulu(when))
        assert is_problem(found, 404, "unknown-subject")


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_a_deleted_repository_excludes_its_items_under_their_newest_name(
    database: Database, order: Sequence[int]
) -> None:
    told = (issue().opened(), renamed("app", "acme/web", at(4)), repository("deleted", at(5), "acme/web"))
    for place in order:
        await deliver(database, told[place])
    assert await all_exclusions(database) == {"github:acme/web#45": Exclusion("deleted", at(5))}


async def test_an_issue_that_left_a_repository_before_its_deletion_stays(database: Database) -> None:
    changes = {"new_issue": {"number": 3}, "new_repository": {"full_name": "acme/new"}}
    moved = issue().event("transferred", at(4), changes=changes)
    await deliver(database, issue().opened(), moved, repository("deleted", at(5)))
    assert set(await all_experiments(database)) == {"github:acme/new#3"}


async def test_a_subject_in_a_deleted_repository_is_still_evidence_for_an_experiment_elsewhere(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(3), title="ML-12: cache", labels=("experiment",))
    ml = jira("jira:issue_created", at(2), issue={"key": "ML-12", "fields": JIRA_FIELDS})
    await deliver(database, ml, pull.opened(), repository("deleted", at(5)))
    told = (await all_experiments(database))["jira:ML-12"]
    assert told.started_at == at(3)
    assert told.restarts == ()
    assert await all_exclusions(database) == {}


async def test_a_deletion_is_kept_when_old_evidence_is_deleted(database: Database) -> None:
    await deliver(database, issue().opened(), repository("deleted", at(5)))
    await delete_unattached(database, at(30) + timedelta(days=36500))
    await deliver(database, issue().labeled("risk:bold", at(3))[1])
    assert await all_exclusions(database) == {GONE: Exclusion("deleted", at(5))}


def identified(told: GitHubRequest, number: int) -> GitHubRequest:
    """The delivery with the id of the repository."""
    page = {"id": number, "html_url": "https://github.com/acme/app"}
    return changed(told, repository={**json.loads(told.body)["repository"], **page})


@pytest.mark.parametrize("order", FOUR, ids=str)
async def test_a_repository_created_anew_does_not_inherit_the_deletion_of_the_former_one(
    database: Database, order: Sequence[int]
) -> None:
    former, anew = issue().opened(), Issue(created_at=at(7), labels=("experiment",)).opened()
    ended, created = repository("deleted", at(5)), repository("created", at(6))
    told = [identified(former, 1), identified(ended, 1), identified(created, 2), identified(anew, 2)]
    for place in order:
        await deliver(database, told[place])
    assert {root: one.idea_at for root, one in (await all_experiments(database)).items()} == {GONE: at(7)}
    assert await all_exclusions(database) == {"github:acme/app~1#45": Exclusion("deleted", at(5))}


@pytest.mark.parametrize(
    "told",
    [
        (identified(issue().opened(), 1), identified(repository("deleted", at(5)), 1)),
        (gitlab_issue("acme/tools/app", 15), gitlab_hook("group_destroy", at(5), full_path="acme")),
    ],
    ids=["repository", "group"],
)
async def test_the_projection_of_a_container_ends(database: Database, told: Sequence[GitHubRequest | Request]) -> None:
    await deliver(database, *told)
    async with database.transaction() as connection:
        assert list(await connection.scalars(select(touched.c.subject))) == []


@pytest.mark.parametrize("backwards", [False, True], ids=["the item first", "the deletion first"])
async def test_a_deleted_group_excludes_what_is_in_its_identified_projects(
    database: Database, *, backwards: bool
) -> None:
    told = [gitlab_issue("acme/tools/app", 15), gitlab_hook("group_destroy", at(5), full_path="acme")]
    await deliver(database, gitlab_issue("acme/other", 16), gitlab_issue("acme-two/app", 17))
    for one in told[:: -1 if backwards else 1]:
        await deliver(database, one)
    assert set(await all_exclusions(database)) == {"gitlab:acme/tools/app#9", "gitlab:acme/other#9"}
    assert set(await all_experiments(database)) == {"gitlab:acme-two/app#9"}


@pytest.mark.parametrize("verdict", ["deleted", "archived"])
async def test_the_deletion_of_a_repository_counts(database: Database, verdict: str) -> None:
    await deliver(database, repository(verdict, at(5)))
    async with api(database, at(9)) as client:
        [shown] = (await client.get("/deliveries")).json()["deliveries"]
    assert (shown["verdict"], shown["reason"]) == ("counted", verdict)


async def test_a_replay_without_the_rule_of_deletions_brings_back_what_was_deleted(database: Database) -> None:
    await deliver(database, issue().opened(), repository("deleted", at(5)))
    file = RulesFile("kept.yaml", "extends: defaults\nrules: [{name: keep, when: {kind: deleted}, then: ignore}]")
    await replay(database, read_rules(file, packaged_rules(), PROVIDERS))
    assert set(await all_experiments(database)) == {GONE}
    assert await all_exclusions(database) == {}
    await replay(database)
    assert await all_exclusions(database) == {GONE: Exclusion("deleted", at(5))}

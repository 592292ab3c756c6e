"""A key in small letters names a ticket if Jira's own deliveries name its project, in whatever order all arrive."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from service.storage.database import Database
from tests.support.builders import GitHubRequest, PullRequest, at, push, workflow_run
from tests.support.road import all_experiments, deliver
from tests.support.signing import Request, event, request

LC = "jira:LC-12"
SHA = "c" * 40
PROJECTS = {"LC": "10000", "AI": "10001", "UTF": "10002", "V": "10003"}
ORDERS = list(permutations(range(3)))


def ticket(key: str = "LC-12", kind: str = "Experiment", number: int = 10012) -> Request:
    fields = {
        "summary": "Ask twice",
        "issuetype": {"name": kind},
        "project": {"key": key.partition("-")[0], "id": PROJECTS[key.partition("-")[0]]},
        "created": "2026-03-02T09:00:00.000+0000",
    }
    address = f"https://acme.atlassian.net/rest/api/2/issue/{number}"
    issue = {"id": str(number), "self": address, "key": key, "fields": fields}
    stamp = int(at(2).timestamp()) * 1000
    return request("jira", {"webhookEvent": "jira:issue_created", "timestamp": stamp, "issue": issue})


def pull(branch: str = "exp/lc-12-cache", title: str = "Answer from the cache") -> GitHubRequest:
    return PullRequest(created_at=at(3), branch=branch, title=title, head=SHA).opened()


@pytest.mark.oldest_postgresql_too
@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_a_branch_and_its_run_are_evidence_for_the_ticket_of_a_known_project(
    database: Database, order: Sequence[int]
) -> None:
    told = (ticket(), pull(), workflow_run(SHA, at(4)))
    for place in order:
        await deliver(database, told[place])
    experiments = await all_experiments(database)
    assert set(experiments) == {LC}
    assert (experiments[LC].started_at, experiments[LC].first_signal_at) == (at(3), at(4))


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_any_ticket_of_the_project_makes_it_known(database: Database, order: Sequence[int]) -> None:
    told = (event("proposed", LC, at(2)), pull("cache", "lc-12: answer from the cache"), ticket("LC-1", "Task", 10001))
    for place in order:
        await deliver(database, told[place])
    assert (await all_experiments(database))[LC].started_at == at(3)


@pytest.mark.parametrize(
    "pushed",
    [push("lc-12", SHA, at(3)), push("main", SHA, at(3), "lc-12 Warm it"), push("main", SHA, at(3), "Warm it (lc-12)")],
)
async def test_a_branch_or_a_message_names_the_ticket_too(database: Database, pushed: GitHubRequest) -> None:
    await deliver(database, pushed, workflow_run(SHA, at(4)), ticket())
    assert (await all_experiments(database))[LC].first_signal_at == at(4)


async def test_a_key_that_only_events_and_texts_name_links_nothing(database: Database) -> None:
    await deliver(database, event("proposed", LC, at(2)), pull(), ticket("AI-1", "Task"))
    experiments = await all_experiments(database)
    assert experiments[LC].started_at is None
    assert "github:acme/app!7" in experiments


async def test_words_that_look_like_keys_link_nothing(database: Database) -> None:
    known = [ticket(f"{key}-{number}", number=place) for place, (key, number) in enumerate([("UTF", 8), ("V", 2)], 1)]
    await deliver(database, *known, pull("exp/utf-8-v-2", "Bump sha-256 and covid-19"))
    experiments = await all_experiments(database)
    assert set(experiments) == {"jira:UTF-8", "jira:V-2", "github:acme/app!7"}
    assert experiments["jira:UTF-8"].started_at is None

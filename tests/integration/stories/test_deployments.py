"""A deployment ships all that came to the default branch since the last one: stories of pushes and deployments."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from service.deliveries.delivery import Delivery
from service.demo.post import zulu
from service.lifecycle.events import EARLIEST, LATEST
from service.lifecycle.references import Ref
from service.pipeline.interpret import revise_interpretations
from service.pipeline.retention import delete_pushes, delete_unattached
from service.providers import PROVIDERS
from service.queries.explain import explain
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage import inbox
from service.storage.database import Database
from tests.support.builders import (
    GitHubRequest,
    Issue,
    PullRequest,
    at,
    changed,
    deployment_status,
    of_repository,
    push,
    renamed,
    terms,
)
from tests.support.payloads import GitLabIssue, MergeRequest, gitlab_deployment, gitlab_push
from tests.support.road import RULES, all_experiments, deliver, project
from tests.support.signing import POSTED, Request

PUSHED, DEPLOYED = at(4), at(6)


def sha(number: int) -> str:
    return f"{number:040x}"


def moved(before: int, *commits: int, when: datetime = PUSHED, **more: Any) -> GitHubRequest:
    """A push that moves the default branch from one commit to others."""
    head = sha(commits[-1]) if commits else sha(before)
    listed = [{"id": sha(one), "message": "Warm it", "timestamp": when.isoformat()} for one in commits]
    return push("main", head, when, before=sha(before), after=head, commits=listed, **more)


def merged(number: int, commit: int, when: datetime = PUSHED, repository: str = "acme/app") -> list[GitHubRequest]:
    """A marked issue, and its pull request with this merge commit."""
    issue = Issue(number=number, repository=repository, created_at=at(2), labels=("experiment",))
    pull = PullRequest(
        number=number + 100,
        repository=repository,
        created_at=at(3),
        body=f"Closes #{number}",
        head=sha(commit + 1000),
        branch=f"idea-{number}",
    )
    return [issue.opened(), pull.merged(when, sha(commit))[1]]


def deployed(commit: int, when: datetime = DEPLOYED, **more: Any) -> GitHubRequest:
    return changed(deployment_status(sha(commit), when), **more)


async def shipped(database: Database) -> dict[str, datetime | None]:
    return {root: experiment.shipped_at for root, experiment in (await all_experiments(database)).items()}


async def stored(database: Database) -> list[Delivery]:
    async with database.transaction() as connection:
        return await inbox.replayable(connection, (EARLIEST, UUID(int=0)), LATEST, 100)


ONE, TWO, THREE = "github:acme/app#1", "github:acme/app#2", "github:acme/app#3"
TWO_MERGES = [*merged(1, 11), *merged(2, 12), moved(10, 11), moved(11, 12), deployed(12)]


async def test_a_deployment_ships_every_change_below_its_commit(database: Database) -> None:
    await deliver(database, *TWO_MERGES)
    assert await shipped(database) == {ONE: at(6), TWO: at(6)}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_order_of_pushes_and_deployment_makes_no_difference(database: Database, order: Sequence[int]) -> None:
    changes, last = TWO_MERGES[:4], TWO_MERGES[4:]
    for delivery in [last[place] for place in order]:
        await deliver(database, delivery)
    for delivery in changes:
        await deliver(database, delivery)
    assert await shipped(database) == {ONE: at(6), TWO: at(6)}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_late_push_or_deployment_changes_the_experiments_that_are_known(
    database: Database, order: Sequence[int]
) -> None:
    changes, last = TWO_MERGES[:4], TWO_MERGES[4:]
    await deliver(database, *changes)
    for delivery in [last[place] for place in order]:
        await deliver(database, delivery)
    assert await shipped(database) == {ONE: at(6), TWO: at(6)}


async def test_a_push_that_was_lost_ends_the_chain(database: Database) -> None:
    await deliver(database, *merged(1, 11), *merged(2, 13), moved(10, 11), moved(12, 13), deployed(13))
    assert await shipped(database) == {ONE: None, TWO: at(6)}


async def test_a_rollback_ships_nothing_new(database: Database) -> None:
    story = [*merged(1, 11), *merged(2, 12), *merged(3, 13), moved(10, 11), moved(11, 12), moved(12, 13)]
    await deliver(database, *story, deployed(13, at(5)), deployed(12, at(7)))
    assert await shipped(database) == {ONE: at(5), TWO: at(5), THREE: at(5)}


async def test_an_older_deployment_that_arrives_late_ships_what_it_contains(database: Database) -> None:
    story = [*merged(1, 11), *merged(2, 12), moved(10, 11), moved(11, 12), deployed(12, at(8))]
    await deliver(database, *story)
    await deliver(database, deployed(11, at(6)))
    assert await shipped(database) == {ONE: at(6), TWO: at(8)}


async def test_an_older_commit_that_is_deployed_does_not_ship_the_newer_one(database: Database) -> None:
    await deliver(database, *merged(1, 11), *merged(2, 12), moved(10, 11), moved(11, 12), deployed(11))
    assert await shipped(database) == {ONE: at(6), TWO: None}


async def test_a_deployment_that_failed_or_is_none_of_production_ships_nothing(database: Database) -> None:
    status = json.loads(deployed(12).body)["deployment_status"]
    failed = deployed(12, deployment_status={**status, "state": "failure"})
    staged = deployment_status(sha(12), at(6), "staging")
    await deliver(database, *TWO_MERGES[:-1], failed, staged)
    assert await shipped(database) == {ONE: None, TWO: None}


async def test_one_push_of_several_merges_ships_them_all(database: Database) -> None:
    await deliver(database, *merged(1, 11), *merged(2, 12), moved(10, 11, 12, 13), deployed(13))
    assert await shipped(database) == {ONE: at(6), TWO: at(6)}


async def test_a_commit_in_the_middle_of_a_push_ships_those_before_it(database: Database) -> None:
    story = [*merged(1, 11), *merged(2, 12), *merged(3, 13)]
    await deliver(database, *story, moved(10, 11, 12, 13), deployed(12))
    assert await shipped(database) == {ONE: at(6), TWO: at(6), THREE: None}


async def test_a_branch_that_is_deployed_before_its_merge_ships_only_itself(database: Database) -> None:
    merge = {"id": sha(13), "message": "Merge pull request #102 from acme/idea-2", "timestamp": zulu(at(4))}
    listed = [{"id": sha(1012), "message": "x", "timestamp": zulu(at(3))}, merge]
    merge_push = push("main", sha(13), at(4), before=sha(11), after=sha(13), commits=listed)
    await deliver(database, *merged(1, 11), *merged(2, 12), moved(10, 11), merge_push, deployed(1012))
    assert await shipped(database) == {ONE: None, TWO: at(6)}


async def test_a_forced_push_does_not_contain_what_it_replaced(database: Database) -> None:
    forced = moved(11, 12, forced=True)
    await deliver(database, *merged(1, 11), *merged(2, 12), moved(10, 11), forced, deployed(12))
    assert await shipped(database) == {ONE: None, TWO: at(6)}


async def test_a_branch_that_is_set_back_loses_its_commits(database: Database) -> None:
    back = push("main", sha(10), at(4), before=sha(11), after=sha(10), commits=[], forced=True)
    story = [*merged(1, 11), *merged(2, 12), moved(10, 11), back, moved(10, 12), deployed(12)]
    await deliver(database, *story)
    assert await shipped(database) == {ONE: None, TWO: at(6)}


async def test_a_push_to_another_branch_is_no_push_to_the_default_branch(database: Database) -> None:
    other = push("release", sha(12), at(4), before=sha(11), after=sha(12))
    await deliver(database, *merged(1, 11), *merged(2, 12), moved(10, 11), other, deployed(12))
    assert await shipped(database) == {ONE: None, TWO: at(6)}


async def test_a_push_to_the_default_branch_of_a_fork_ships_no_change_of_the_project(database: Database) -> None:
    fork = push("main", sha(12), at(4), repository="other/app", before=sha(11), after=sha(12))
    await deliver(database, *merged(1, 11), moved(10, 11), fork, deployed(12))
    assert await shipped(database) == {ONE: None}


@pytest.mark.parametrize(("repository", "ships"), [("other/app", False), ("acme/lib", True)])
async def test_a_commit_that_closes_an_issue_is_shipped_by_the_pushes_of_its_owner_only(
    database: Database, repository: str, ships: bool
) -> None:
    closing = [{"id": sha(11), "message": "Closes acme/app#1", "timestamp": zulu(PUSHED)}]
    came = push("main", sha(11), at(4), repository="acme/lib", before=sha(10), after=sha(11), commits=closing)
    then = push("main", sha(12), at(4), repository=repository, before=sha(11), after=sha(12))
    issue = Issue(number=1, created_at=at(2), labels=("experiment",)).opened()
    await deliver(database, issue, came, then, deployed(12))
    assert await shipped(database) == {ONE: at(6) if ships else None}


async def test_the_unmerged_change_of_an_outsider_ships_nothing(database: Database) -> None:
    issue = Issue(number=1, created_at=at(2), labels=("experiment",))
    pull = PullRequest(created_at=at(3), body="Closes #1", fork="other/app", head=sha(11)).opened()
    outsiders = {**json.loads(pull.body)["pull_request"], "author_association": "NONE"}
    story = [issue.opened(), changed(pull, pull_request=outsiders), moved(11, 12), deployed(12)]
    await deliver(database, *story)
    assert await shipped(database) == {ONE: None}


async def test_only_the_shipment_goes_down(database: Database) -> None:
    await deliver(database, *TWO_MERGES)
    before = (await all_experiments(database))[ONE]
    assert (before.first_signal_at, before.last_activity_at) == (None, at(6))


async def test_a_renamed_repository_keeps_its_chain(database: Database) -> None:
    after = push("main", sha(12), at(5), repository="acme/web", before=sha(11), after=sha(12))
    repository = json.loads(after.body)["repository"]
    later = [of_repository("acme/app", one) for one in (after, deployed(12, repository=repository))]
    await deliver(database, *merged(1, 11), moved(10, 11), renamed("app", "acme/web", at(4)), *later)
    assert await shipped(database) == {"github:acme/web#1": at(6)}


async def test_explain_shows_the_deployment_that_shipped(database: Database) -> None:
    await deliver(database, *TWO_MERGES)
    explained = await explain(database, Ref(ONE), terms("90d"), at(20))
    [shipment] = [one for one in explained.events if one.event.subject == f"commit:{sha(12)}"]
    assert (shipment.counts, shipment.event.occurred_at, len(shipment.origins)) == (True, at(6), 1)
    assert explained.experiment is not None
    assert explained.origins[shipment.event].rule == "shipped by a deployment"


async def test_a_gitlab_deployment_ships_every_change_below_its_commit(database: Database) -> None:
    story: list[GitHubRequest | Request] = []
    for number, commit in ((1, 11), (2, 12)):
        story.append(GitLabIssue(number=number, created_at=at(2), labels=("experiment",)).opened())
        merge = MergeRequest(
            number=number + 100, description=f"Closes #{number}", head=sha(commit + 1000), created_at=at(3)
        )
        story.append(merge.merged(at(4), sha(commit))[1])
    for before, commit in ((10, 11), (11, 12)):
        pushed = gitlab_push("main", sha(commit), at(4))
        payload = {**json.loads(pushed.body), "before": sha(before), "after": sha(commit)}
        story.append(Request(pushed.source, json.dumps(payload).encode(), pushed.named))
    await deliver(database, *story, gitlab_deployment(sha(12), at(6)))
    assert await shipped(database) == {"gitlab:acme/app#1": at(6), "gitlab:acme/app#2": at(6)}


async def test_the_deployment_of_an_experiment_outlives_the_retention_of_evidence(database: Database) -> None:
    await deliver(database, *TWO_MERGES)
    late = POSTED + timedelta(days=1)
    for _ in range(2):
        await delete_unattached(database, late)
        await delete_pushes(database, late)
        await deliver(database, Issue(number=1, created_at=at(2), labels=("experiment",)).edited(at(8)))
        assert await shipped(database) == {ONE: at(6), TWO: at(6)}


async def test_a_deployment_does_not_ship_what_came_to_the_default_branch_before_the_retention(
    database: Database,
) -> None:
    await deliver(database, *TWO_MERGES[:-1])
    assert await delete_pushes(database, POSTED + timedelta(days=1)) == 2
    await deliver(database, TWO_MERGES[-1])
    assert await shipped(database) == {ONE: None, TWO: at(6)}


@pytest.mark.parametrize("retained", [False, True])
async def test_a_replay_gives_the_same_shipments(database: Database, retained: bool) -> None:
    await deliver(database, *TWO_MERGES)
    if retained:
        await delete_pushes(database, POSTED + timedelta(days=1))
    for one in await stored(database):
        async with database.transaction() as connection:
            await revise_interpretations(connection, RULES, [one], at(20))
        await project(database)
        assert await shipped(database) == {ONE: at(6), TWO: at(6)}


async def test_a_replay_with_other_rules_withdraws_the_shipments(database: Database) -> None:
    await deliver(database, *TWO_MERGES)
    text = "rules: [{name: no production, when: {environment: production}, then: ignore}]"
    rules = read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)
    deliveries = await stored(database)
    async with database.transaction() as connection:
        await revise_interpretations(connection, rules, deliveries, at(20))
    await project(database)
    assert await shipped(database) == {ONE: None, TWO: None}

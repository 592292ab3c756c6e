"""Branches without a change: how they are proposed, and how a push merges them."""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from service.demo.post import zulu
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.queries.explain import explain
from service.storage.database import Database
from tests.support.builders import GitHubRequest, PullRequest, at, branch_deleted, deployment_status, push, terms
from tests.support.payloads import gitlab_branch_deleted, gitlab_push
from tests.support.road import all_exclusions, all_experiments, deliver
from tests.support.signing import POSTED, Request

BRANCH = Ref("branch:acme/app@exp/cache")
ZEROS, BASE, FIRST, HEAD, MERGE = "0" * 40, "a" * 40, "b" * 40, "c" * 40, "d" * 40


def commits(*shas: str, message: str = "x") -> list[dict[str, Any]]:
    return [{"id": sha, "message": message, "timestamp": zulu(at(4))} for sha in shas]


CREATED = push("exp/cache", FIRST, at(3), before=BASE, created=True, commits=commits(FIRST))
WORK = push("exp/cache", HEAD, at(4), before=FIRST, after=HEAD, commits=commits(HEAD))
MERGED = push("main", MERGE, at(6), before=BASE, after=MERGE, commits=commits(FIRST, HEAD, MERGE))
FORWARDED = push("main", HEAD, at(6), before=BASE, after=HEAD, commits=commits(FIRST, HEAD))


async def the_branch(database: Database) -> Experiment | None:
    return (await all_experiments(database)).get(BRANCH)


@pytest.mark.parametrize("merge", [MERGED, FORWARDED])
async def test_a_push_that_brings_the_head_of_a_branch_to_the_default_branch_concludes_it(
    database: Database, merge: GitHubRequest
) -> None:
    await deliver(database, CREATED, WORK, merge)
    merged = await the_branch(database)
    assert merged is not None
    assert (merged.idea_at, merged.concluded_at, merged.outcome) == (at(3), at(6), Outcome.WORKED)


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_order_of_the_pushes_makes_no_difference(database: Database, order: Sequence[int]) -> None:
    pushes = [CREATED, WORK, MERGED, branch_deleted("exp/cache", at(7))]
    for place in order:
        await deliver(database, pushes[place])
    merged = await the_branch(database)
    assert merged is not None
    assert (merged.idea_at, merged.concluded_at, merged.outcome) == (at(3), at(6), Outcome.WORKED)


async def test_a_branch_of_which_only_an_older_commit_was_merged_stays_open(database: Database) -> None:
    merge = push("main", FIRST, at(5), before=BASE, after=FIRST, commits=commits(FIRST))
    await deliver(database, CREATED, WORK, merge)
    open_branch = await the_branch(database)
    assert open_branch is not None
    assert open_branch.concluded_at is None


async def test_a_branch_that_follows_the_default_branch_stays_open(database: Database) -> None:
    moved = push("main", HEAD, at(3), before=BASE, after=HEAD, commits=commits(HEAD))
    await deliver(database, CREATED, moved, WORK)
    open_branch = await the_branch(database)
    assert open_branch is not None
    assert open_branch.concluded_at is None


async def test_a_deployment_of_the_default_branch_does_not_ship_a_branch_that_was_created_there(
    database: Database,
) -> None:
    created = push("exp/cache", BASE, at(3), before=ZEROS, after=BASE, created=True, commits=[])
    moved = push("main", MERGE, at(5), before=BASE, after=MERGE, commits=commits(MERGE))
    await deliver(database, created, moved, deployment_status(MERGE, at(6)))
    open_branch = await the_branch(database)
    assert open_branch is not None
    assert (open_branch.shipped_at, open_branch.concluded_at) == (None, None)


async def test_a_deployment_ships_a_branch_that_a_push_merged(database: Database) -> None:
    await deliver(database, CREATED, WORK, MERGED, deployment_status(MERGE, at(7)))
    merged = await the_branch(database)
    assert merged is not None
    assert merged.shipped_at == at(7)


async def test_a_branch_that_is_deleted_without_a_merge_is_excluded(database: Database) -> None:
    await deliver(database, CREATED, WORK, branch_deleted("exp/cache", at(5)), MERGED)
    assert await the_branch(database) is None
    assert (await all_exclusions(database))[BRANCH].reason == "deleted"


async def test_a_label_of_the_outcome_is_not_needed_but_a_pull_request_decides_for_its_branch(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(4), branch="exp/cache", head=HEAD, body="").opened()
    await deliver(database, CREATED, WORK, pull, MERGED)
    assert await the_branch(database) is None
    assert (await all_experiments(database))["github:acme/app!7"].concluded_at is None


async def test_explain_shows_the_push_that_merged_the_branch(database: Database) -> None:
    await deliver(database, CREATED, WORK, MERGED)
    explained = await explain(database, BRANCH, terms("90d"), at(20))
    [merge] = [one for one in explained.events if one.event.occurred_at == at(6)]
    assert (merge.event.subject, merge.counts, [origin.rule for origin in merge.origins]) == (
        f"commit:{HEAD}",
        True,
        ["merged by a push"],
    )


def gitlab(name: str, head: str, **more: Any) -> Request:
    pushed = gitlab_push(name, head, at(4))
    return Request(pushed.source, json.dumps({**json.loads(pushed.body), **more}).encode(), pushed.named)


BUTTON = gitlab("exp/cache", BASE, before=ZEROS, after=BASE, commits=[], total_commits_count=0)
GITLAB_WORK = gitlab("exp/cache", HEAD, before=BASE, after=HEAD)


@pytest.mark.parametrize("order", list(permutations([BUTTON, GITLAB_WORK])))
async def test_a_branch_that_was_created_without_a_commit_is_proposed_when_received(
    database: Database, order: Sequence[Request]
) -> None:
    for request in order:
        await deliver(database, request)
    created = await the_branch(database)
    assert created is not None
    assert (created.idea_at, created.idea_inferred, created.title) == (POSTED, False, "exp/cache")


async def test_a_branch_of_gitlab_is_merged_by_a_push_and_then_deleted(database: Database) -> None:
    created = gitlab("exp/cache", FIRST, before=ZEROS, after=FIRST)
    merge = gitlab("main", MERGE, before=BASE, after=MERGE, commits=[*commits(FIRST), *commits(MERGE)])
    await deliver(database, created, merge, gitlab_branch_deleted("exp/cache"))
    merged = await the_branch(database)
    assert merged is not None
    assert (merged.concluded_at, merged.outcome) == (at(4), Outcome.WORKED)


async def test_a_branch_that_gitea_reports_without_the_field_created_is_proposed(database: Database) -> None:
    body = json.loads(push("exp/cache", FIRST, at(3), before=ZEROS).body)
    del body["created"]
    request = GitHubRequest("push", json.dumps(body).encode(), "gitea")
    await deliver(database, request)
    created = await the_branch(database)
    assert created is not None
    assert not created.idea_inferred

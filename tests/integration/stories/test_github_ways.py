"""The ways of working that GitHub offers: issue types, sub-issues, closing commits, checks, bots and merge queues."""

import json
from typing import Any

import pytest

from service.demo.post import zulu
from service.lifecycle.experiment import Experiment
from service.storage.database import Database
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed, github, push, workflow_run
from tests.support.payloads import GitLabIssue, gitlab_pipeline, gitlab_push
from tests.support.road import all_exclusions, all_experiments, deliver
from tests.support.signing import Request

ISSUE = "github:acme/app#45"
HEAD = "a" * 40
API = "https://api.github.com/repos/acme/app/issues"
in_both_orders = pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])


async def told(database: Database, order: int, *requests: GitHubRequest | Request) -> dict[str, Experiment]:
    """The experiments after these deliveries, by root."""
    await deliver(database, *requests[::order])
    return await all_experiments(database)


def with_issue(request: GitHubRequest, **fields: Any) -> GitHubRequest:
    """The delivery with other values for some fields of its issue."""
    return changed(request, issue={**json.loads(request.body)["issue"], **fields})


def typed(issue: Issue, name: str | None, action: str, day: int) -> GitHubRequest:
    """The delivery that an issue got a type, or lost the type Spike and has another type now, or none."""
    kind = {"name": name} if name else None
    changed_type = kind if action == "typed" else {"name": "Spike"}
    return with_issue(issue.event(action, at(day), type=changed_type), type=kind)


def sub_issue(action: str, child: int, day: int) -> GitHubRequest:
    """The delivery that a sub-issue got the parent 45, or lost it."""
    issues = {
        name: {"number": number, "created_at": zulu(at(2)), "updated_at": zulu(at(day))}
        for name, number in (("sub_issue", child), ("parent_issue", 45))
    }
    return github("sub_issues", {"action": action, **issues, "repository": {"full_name": "acme/app"}})


@in_both_orders
async def test_an_issue_that_gets_an_experiment_type_is_an_experiment(database: Database, order: int) -> None:
    issue = Issue(created_at=at(2), labels=())
    experiments = await told(database, order, issue.opened(), typed(issue, "Spike", "typed", 3))
    assert experiments[ISSUE].idea_at == at(2)


@in_both_orders
@pytest.mark.parametrize("now", [None, "Bug"])
async def test_an_issue_that_loses_its_experiment_type_is_no_longer_an_experiment(
    database: Database, order: int, now: str | None
) -> None:
    issue = Issue(created_at=at(2), labels=())
    opened = with_issue(issue.opened(), type={"name": "Spike"})
    assert await told(database, order, opened, typed(issue, now, "untyped", 4)) == {}
    assert {exclusion.reason for exclusion in (await all_exclusions(database)).values()} == {"unmarked"}


@in_both_orders
async def test_an_issue_that_changes_from_one_experiment_type_to_another_stays_an_experiment(
    database: Database, order: int
) -> None:
    issue = Issue(created_at=at(2), labels=())
    opened = with_issue(issue.opened(), type={"name": "Spike"})
    now = typed(issue, "Hypothesis", "typed", 4), typed(issue, "Hypothesis", "untyped", 4)
    assert set(await told(database, order, opened, *now)) == {ISSUE}


@in_both_orders
@pytest.mark.parametrize("how", ["the sub-issue shows it", "the sub-issue's repository says so", "the parent's does"])
async def test_the_first_result_of_a_sub_issue_is_a_result_of_its_parent(
    database: Database, order: int, how: str
) -> None:
    parent, child = Issue(created_at=at(2)), Issue(number=46, created_at=at(3), labels=())
    ways = {
        "the sub-issue shows it": with_issue(child.opened(), parent_issue_url=f"{API}/45"),
        "the sub-issue's repository says so": sub_issue("parent_issue_added", 46, 3),
        "the parent's does": sub_issue("sub_issue_added", 46, 3),
    }
    pull = PullRequest(created_at=at(4), body="Closes #46")
    requests = parent.opened(), child.opened(), ways[how], pull.opened(), workflow_run(HEAD, at(5))
    experiments = await told(database, order, *requests)
    assert set(experiments) == {ISSUE}
    assert (experiments[ISSUE].started_at, experiments[ISSUE].first_signal_at) == (at(4), at(5))


@in_both_orders
@pytest.mark.parametrize("how", ["parent_issue_removed", "sub_issue_removed", "the sub-issue shows none"])
async def test_a_sub_issue_that_left_its_parent_serves_it_no_longer(database: Database, order: int, how: str) -> None:
    parent, child = Issue(created_at=at(2)), Issue(number=46, created_at=at(3), labels=())
    added = sub_issue("parent_issue_added", 46, 3)
    gone = (
        with_issue(child.event("edited", at(6)), parent_issue_url=None)
        if how.startswith("the")
        else sub_issue(how, 46, 6)
    )
    pull = PullRequest(created_at=at(4), body="Closes #46")
    requests = parent.opened(), child.opened(), added, pull.opened(), workflow_run(HEAD, at(5)), gone
    experiments = await told(database, order, *requests)
    assert (experiments[ISSUE].started_at, experiments[ISSUE].first_signal_at) == (None, None)


@in_both_orders
async def test_the_first_result_of_a_commit_that_closes_an_issue_is_a_result_of_the_issue(
    database: Database, order: int
) -> None:
    issue = Issue(created_at=at(2))
    pushed = push("main", HEAD, at(4), "Answer from the cache\n\nfixes #45")
    _, closing = issue.closed(at(5))
    experiments = await told(database, order, issue.opened(), pushed, workflow_run(HEAD, at(5)), closing)
    assert set(experiments) == {ISSUE}
    experiment = experiments[ISSUE]
    assert (experiment.started_at, experiment.first_signal_at, experiment.concluded_at) == (at(5), at(5), at(5))


@in_both_orders
async def test_the_result_of_the_head_of_a_push_is_a_result_of_the_commits_below_it(
    database: Database, order: int
) -> None:
    commits = [{"id": "c" * 40, "message": "fixes #45"}, {"id": HEAD, "message": "Format"}]
    pushed = push("main", HEAD, at(4), commits=commits)
    experiments = await told(database, order, Issue(created_at=at(2)).opened(), pushed, workflow_run(HEAD, at(5)))
    assert experiments[ISSUE].first_signal_at == at(5)


@in_both_orders
async def test_a_commit_on_another_branch_is_no_evidence_for_the_issue_that_it_will_close(
    database: Database, order: int
) -> None:
    pushed = push("work", HEAD, at(4), "fixes #45")
    experiments = await told(database, order, Issue(created_at=at(2)).opened(), pushed, workflow_run(HEAD, at(5)))
    assert experiments[ISSUE].first_signal_at is None


@in_both_orders
async def test_on_gitlab_a_commit_on_the_default_branch_that_closes_an_issue_is_evidence_too(
    database: Database, order: int
) -> None:
    issue = GitLabIssue(created_at=at(2))
    pushed = gitlab_push("main", HEAD, at(4), "Answer from the cache\n\nImplements #45")
    experiments = await told(database, order, issue.opened(), pushed, gitlab_pipeline(HEAD, at(5)))
    assert experiments["gitlab:acme/app#45"].first_signal_at == at(5)


@in_both_orders
@pytest.mark.parametrize(
    "body",
    [
        "<!-- If this closes an issue, write e.g. Fixes #45 -->\nBump a dependency\n\n```\nfixes #45\n```",
        "Write `fixes #45` to close an issue.",
        "> Fixes #45\n\nNo, it does not.",
    ],
)
async def test_a_keyword_that_readers_do_not_see_as_prose_is_no_evidence(
    database: Database, order: int, body: str
) -> None:
    pull = PullRequest(created_at=at(4), body=body)
    requests = Issue(created_at=at(2)).opened(), pull.opened(), workflow_run(HEAD, at(5))
    experiments = await told(database, order, *requests)
    assert (experiments[ISSUE].started_at, experiments[ISSUE].first_signal_at) == (None, None)

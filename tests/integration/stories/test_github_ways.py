"""The ways of working that GitHub offers: issue types, sub-issues, closing commits, checks, bots and merge queues."""

import json
from datetime import datetime
from typing import Any

import pytest

from service.demo.post import zulu
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.trust import OUTSPOKEN
from service.providers import PROVIDERS
from service.queries.explain import explain
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage.database import Database
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed, github, push, terms, workflow_run
from tests.support.documents import example
from tests.support.payloads import GitLabIssue, gitlab_pipeline, gitlab_push
from tests.support.road import all_exclusions, all_experiments, deliver, read_deliveries
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


def run(name: str, day: int, sha: str = HEAD, *, conclusion: str = "success", **more: Any) -> GitHubRequest:
    """A completed workflow run. `more` adds fields of the run."""
    request = workflow_run(sha, at(day), conclusion)
    return changed(request, workflow_run={**json.loads(request.body)["workflow_run"], "name": name, **more})


def status(state: str, day: int, context: str = "ci/jenkins") -> GitHubRequest:
    repository = {"full_name": "acme/app"}
    shown = {"sha": HEAD, "context": context, "state": state, "updated_at": zulu(at(day)), "repository": repository}
    return github("status", shown)


def suite(conclusion: str | None, day: int, slug: str = "azure-pipelines", action: str = "completed") -> GitHubRequest:
    shown = {"head_sha": HEAD, "conclusion": conclusion, "updated_at": zulu(at(day)), "app": {"slug": slug}}
    return github("check_suite", {"action": action, "check_suite": shown, "repository": {"full_name": "acme/app"}})


def check(conclusion: str, day: int, name: str = "build") -> GitHubRequest:
    shown = {"head_sha": HEAD, "name": name, "conclusion": conclusion, "completed_at": zulu(at(day))}
    return github("check_run", {"action": "completed", "check_run": shown, "repository": {"full_name": "acme/app"}})


async def first_signal(database: Database, order: int, *results: GitHubRequest) -> datetime | None:
    """The first result of an issue that a pull request closes, with these results of the pull request's commits."""
    issue, pull = Issue(created_at=at(2)), PullRequest(created_at=at(3))
    return (await told(database, order, issue.opened(), pull.opened(), *results))[ISSUE].first_signal_at


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
@pytest.mark.parametrize("shown", [{"type": None}, {"type": {"name": "Bug"}}, {}], ids=["null", "another", "absent"])
async def test_an_issue_whose_later_payload_shows_no_experiment_type_is_no_longer_an_experiment(
    database: Database, order: int, shown: dict[str, Any]
) -> None:
    """The event about the loss of the type was lost."""
    issue = Issue(created_at=at(2), labels=())
    opened = with_issue(issue.opened(), type={"name": "Spike"})
    assert await told(database, order, opened, with_issue(issue.event("edited", at(4)), **shown)) == {}


@in_both_orders
async def test_an_issue_with_a_label_too_stays_an_experiment_without_its_type(database: Database, order: int) -> None:
    issue = Issue(created_at=at(2))
    opened = with_issue(issue.opened(), type={"name": "Spike"})
    assert set(await told(database, order, opened, with_issue(issue.event("edited", at(4)), type=None))) == {ISSUE}


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
async def test_a_sub_issue_with_a_new_parent_serves_the_new_one_only(database: Database, order: int) -> None:
    old, new = Issue(created_at=at(2)), Issue(number=44, created_at=at(2))
    child = Issue(number=46, created_at=at(3), labels=())
    moved = with_issue(child.event("edited", at(4)), parent_issue_url=f"{API}/44")
    removed, added = (
        sub_issue("parent_issue_removed", 46, 4),
        changed(sub_issue("parent_issue_added", 46, 4), parent_issue={"number": 44, "created_at": zulu(at(2))}),
    )
    pull = PullRequest(created_at=at(5), body="Closes #46")
    first = with_issue(child.opened(), parent_issue_url=f"{API}/45")
    requests = old.opened(), new.opened(), first, removed, added, moved, pull.opened(), workflow_run(HEAD, at(6))
    experiments = await told(database, order, *requests)
    assert experiments[ISSUE].first_signal_at is None
    assert experiments["github:acme/app#44"].first_signal_at == at(6)


@in_both_orders
async def test_a_sub_issue_of_a_sub_issue_serves_the_experiment_and_a_command_on_it_too(
    database: Database, order: int
) -> None:
    child, grandchild = (Issue(number=number, created_at=at(3), labels=()) for number in (46, 47))
    requests = (
        Issue(created_at=at(2)).opened(),
        with_issue(child.opened(), parent_issue_url=f"{API}/45"),
        with_issue(grandchild.opened(), parent_issue_url=f"{API}/46"),
        grandchild.commented("/experiment start", at(4)),
    )
    experiments = await told(database, order, *requests)
    assert set(experiments) == {ISSUE}
    assert experiments[ISSUE].started_at == at(4)


@in_both_orders
async def test_a_parent_in_another_repository_counts_the_results_but_not_the_commands_of_its_sub_issue(
    database: Database, order: int
) -> None:
    """A command counts in its own project: who may comment there need not have any right in the parent's repository."""
    parent = Issue(created_at=at(2), repository="acme/roadmap")
    child = Issue(number=46, created_at=at(3), labels=())
    address = "https://api.github.com/repos/acme/roadmap/issues/45"
    requests = (
        parent.opened(),
        with_issue(child.opened(), parent_issue_url=address),
        child.commented("/experiment conclude worked", at(4)),
        PullRequest(created_at=at(5), body="Closes #46").opened(),
        workflow_run(HEAD, at(6)),
    )
    experiments = await told(database, order, *requests)
    experiment = experiments["github:acme/roadmap#45"]
    assert (experiment.first_signal_at, experiment.concluded_at) == (at(6), None)


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
async def test_a_keyword_that_readers_do_not_see_as_prose_is_no_evidence_and_the_reason_says_so(
    database: Database, order: int, body: str
) -> None:
    pull = PullRequest(created_at=at(4), body=body)
    requests = Issue(created_at=at(2)).opened(), pull.opened(), workflow_run(HEAD, at(5))
    experiments = await told(database, order, *requests)
    assert (experiments[ISSUE].started_at, experiments[ISSUE].first_signal_at) == (None, None)
    reasons = [row.reason for row in await read_deliveries(database)]
    why = "its body closes no item: its closing keywords are in code, a comment or a quotation"
    assert len([reason for reason in reasons if why in (reason or "")]) == 1


@in_both_orders
@pytest.mark.parametrize(
    "result",
    [status("failure", 5), status("error", 5), suite("failure", 5), suite("timed_out", 5), check("success", 5)],
)
async def test_the_first_check_or_status_of_a_commit_is_its_first_result(
    database: Database, order: int, result: GitHubRequest
) -> None:
    later = status("success", 7, "ci/travis"), suite("success", 6)
    assert await first_signal(database, order, result, *later) == at(5)


@in_both_orders
async def test_a_check_or_status_counts_only_for_a_commit_without_the_result_of_a_run(
    database: Database, order: int
) -> None:
    early = status("success", 4, "netlify/preview"), suite("success", 4), check("success", 4)
    assert await first_signal(database, order, *early, run("CI", 6)) == at(6)
    explained = await explain(database, Ref(ISSUE), terms("90d"), at(20))
    assert [event.objection for event in explained.events if event.objection] == [OUTSPOKEN]


@in_both_orders
async def test_a_run_without_a_result_does_not_take_the_place_of_a_status(database: Database, order: int) -> None:
    assert await first_signal(database, order, run("CI", 4, conclusion="cancelled"), status("success", 5)) == at(5)


@in_both_orders
async def test_a_run_of_a_bot_does_not_take_the_place_of_a_status(database: Database, order: int) -> None:
    labeler = run("Labeler", 4, event="pull_request_target")
    assert await first_signal(database, order, labeler, status("failure", 5)) == at(5)


@in_both_orders
async def test_a_run_speaks_only_for_its_own_commit(database: Database, order: int) -> None:
    """The earlier head of the pull request has a status, and the later one a run."""
    issue, pull = Issue(created_at=at(2)), PullRequest(created_at=at(3))
    pushed, synchronised = pull.pushed("e" * 40, at(5))
    requests = issue.opened(), pull.opened(), status("failure", 4), synchronised, run("CI", 6, "e" * 40)
    assert (await told(database, order, *requests))[ISSUE].first_signal_at == at(4)
    assert pushed.head == "e" * 40


@in_both_orders
async def test_a_check_that_has_no_result_or_is_of_github_actions_is_no_signal(database: Database, order: int) -> None:
    silent = (
        status("pending", 4),
        suite(None, 4, action="requested"),
        suite("neutral", 4),
        check("skipped", 4),
        suite("success", 4, slug="github-actions"),
        status("success", 4, "license/cla"),
        status("success", 4, "renovate/stability-days"),
        check("success", 4, "WIP"),
    )
    assert await first_signal(database, order, *silent) is None


@in_both_orders
@pytest.mark.parametrize(
    "bot",
    [
        run("Tests", 4, event="pull_request_target"),
        run("Tests", 4, event="issues"),
        run("Tests", 4, event="issue_comment"),
        run("Tests", 4, event="schedule"),
        run("Labeler", 4, event="pull_request"),
        run("Pull Request Labeler", 4, event="pull_request"),
        run("Greetings", 4, event="pull_request"),
        run("Close stale issues and PRs", 4, event="workflow_dispatch"),
        run("Triage", 4, event="pull_request"),
        run("Lint PR title", 4, event="pull_request"),
    ],
)
async def test_a_workflow_that_tests_no_change_is_no_signal(database: Database, order: int, bot: GitHubRequest) -> None:
    assert await first_signal(database, order, bot, run("CI", 5, conclusion="failure", event="pull_request")) == at(5)


@pytest.mark.parametrize(
    "ci",
    [
        *(run("CI", 4, event=event) for event in ("push", "pull_request", "merge_group", "workflow_dispatch")),
        run("Label quality benchmark", 4, event="push"),
        run("Stale data tests", 4, event="push"),
        run("CI", 4),
    ],
)
async def test_any_other_workflow_is_a_signal(database: Database, ci: GitHubRequest) -> None:
    assert await first_signal(database, 1, ci) == at(4)


async def test_a_rule_of_an_organisation_counts_a_workflow_that_the_default_rules_leave_out(database: Database) -> None:
    rules = read_rules(RulesFile("rules.yaml", example("a nightly benchmark")), packaged_rules(), PROVIDERS)
    issue, pull = Issue(created_at=at(2)), PullRequest(created_at=at(3))
    await deliver(database, issue.opened(), pull.opened(), run("Nightly benchmark", 4, event="schedule"), rules=rules)
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(4)


@in_both_orders
@pytest.mark.parametrize("known_by", ["run", "push", "merge_group"])
async def test_the_result_of_a_merge_queue_is_a_result_of_the_pull_request(
    database: Database, order: int, known_by: str
) -> None:
    queued, branch = "c" * 40, "gh-readonly-queue/main/pr-7-" + "d" * 40
    ways = {
        "run": run("CI", 5, queued, head_branch=branch, event="merge_group"),
        "push": push(branch, queued, at(4), "Cache answers", created=True),
        "merge_group": github("merge_group", {
            "action": "checks_requested",
            "merge_group": {"head_sha": queued, "head_ref": branch, "head_commit": {"timestamp": zulu(at(4))}},
            "repository": {"full_name": "acme/app"},
        }),
    }  # fmt: skip
    result = ways["run"] if known_by == "run" else run("CI", 5, queued, head_branch=None)
    assert await first_signal(database, order, *{ways[known_by], result}) == at(5)


async def test_the_branch_of_a_merge_queue_is_no_experiment_of_its_own(database: Database) -> None:
    text = "rules: [{name: every branch, when: {what: branch, branch: '*'}, then: {declare: {experiment: true}}}]"
    rules = read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)
    await deliver(database, push("gh-readonly-queue/main/pr-7-" + "d" * 40, HEAD, at(4), created=True), rules=rules)
    assert await all_experiments(database) == {}

"""One story from idea to answer for each provider, in its own payloads, and one story across several tools."""

import random
from dataclasses import replace
from datetime import datetime

import pytest

from service.demo.payloads.jira import DONE, IN_PROGRESS, TO_DO
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage.database import Database
from tests.support.builders import (
    GitHubRequest,
    Issue,
    PullRequest,
    at,
    branch_deleted,
    deployment_status,
    push,
    workflow_run,
)
from tests.support.payloads import (
    IN_REVIEW,
    GitLabIssue,
    MergeRequest,
    Ticket,
    buildkite_build,
    circleci_workflow,
    gitlab_branch_deleted,
    gitlab_deployment,
    gitlab_pipeline,
    gitlab_push,
    jenkins_build,
)
from tests.support.road import all_experiments, api, deliver
from tests.support.signing import Request, event

HEAD, MERGED = "a" * 40, "b" * 40

Instants = tuple[datetime | None, ...]


TRUSTING = read_rules(RulesFile("rules.yaml", "trust_projects: {acme/app: ML}"), packaged_rules(), PROVIDERS)
"""Rules that let commands in the repository `acme/app` apply to tickets of the project `ML`."""


def instants(told: Experiment) -> Instants:
    """The instants of an experiment: idea, start, first result, conclusion, sharing and shipping."""
    return (told.idea_at, told.started_at, told.first_signal_at, told.concluded_at, told.shared_at, told.shipped_at)


async def the_only(database: Database, root: str) -> Experiment:
    """Return the only experiment, and check its root."""
    told = await all_experiments(database)
    assert set(told) == {root}
    return next(iter(told.values()))


async def test_on_github_a_story_goes_from_an_issue_to_a_deployment(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    pull = PullRequest(created_at=at(3))
    merged, merging = pull.merged(at(5), MERGED)
    closed, closing = issue.closed(at(5, "09:00:01"))
    await deliver(
        database,
        issue.opened(),
        pull.opened(),
        workflow_run(HEAD, at(3, "09:12:00")),
        merging,
        closing,
        closed.labeled("outcome:worked", at(5, "10:00:00"))[1],
        deployment_status(MERGED, at(6), environment="production"),
        deployment_status(HEAD, at(4), environment="staging"),
    )
    told = await the_only(database, "github:acme/app#45")
    assert instants(told) == (at(2), at(3), at(3, "09:12:00"), at(5, "09:00:01"), None, at(6))
    assert (told.outcome, told.team) == (Outcome.WORKED, "search")
    assert merged.merge_commit == MERGED


async def test_on_github_a_branch_is_the_experiment_until_it_has_a_change(database: Database) -> None:
    pushed = push("exp/warm-cache", HEAD, at(2), created=True)
    await deliver(database, pushed, circleci_workflow(HEAD, at(2, "09:10:00")))
    told = await the_only(database, "branch:acme/app@exp/warm-cache")
    assert instants(told) == (at(2), at(2, "09:10:00"), at(2, "09:10:00"), None, None, None)
    assert (told.title, told.state) == ("exp/warm-cache", State.RUNNING)

    pull = PullRequest(created_at=at(3), branch="exp/warm-cache", body="")
    await deliver(database, pull.opened())
    told = await the_only(database, "github:acme/app!7")
    assert (told.idea_at, told.first_signal_at) == (at(3), None)

    _, closing = pull.closed(at(4))
    await deliver(database, closing, branch_deleted("exp/warm-cache", at(4, "10:00:00")))
    told = await the_only(database, "github:acme/app!7")
    assert (told.concluded_at, told.outcome) == (at(4), Outcome.UNDECLARED)


async def test_on_jira_a_story_goes_from_a_ticket_to_a_shared_failure(database: Database) -> None:
    ticket = Ticket(created_at=at(2), component="Ranking")
    created = ticket.created()
    ticket, started = ticket.moved(IN_PROGRESS, at(3, "11:30:00"))
    ticket, reviewed = ticket.moved(IN_REVIEW, at(4))
    ticket, failed = ticket.labelled("outcome:failed", at(5))
    ticket, classified = ticket.labelled("failure:complex", at(5, "09:01:00"))
    ticket, done = ticket.moved(DONE, at(5, "17:45:10"), "Done")
    ticket, shared = ticket.labelled("learning:shared", at(6))
    story = [created, started, reviewed, failed, classified, done, shared]
    random.Random(7).shuffle(story)
    await deliver(database, *story)
    told = await the_only(database, "jira:ML-12")
    assert instants(told) == (at(2), at(3, "11:30:00"), None, at(5, "17:45:10"), at(6), None)
    assert (told.outcome, told.failure_category) == (Outcome.FAILED, FailureCategory.COMPLEX)
    assert (told.title, told.url) == ("Rank by freshness", "https://acme.atlassian.net/browse/ML-12")
    assert told.team == "ranking"


async def test_on_jira_a_ticket_that_leaves_its_final_status_is_open(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    created = ticket.created()
    ticket, done = ticket.moved(DONE, at(3), "Done")
    ticket, again = ticket.moved(IN_PROGRESS, at(4))
    await deliver(database, again, done, created)
    told = await the_only(database, "jira:ML-12")
    assert (told.state, told.concluded_at) == (State.RUNNING, None)
    _, over = ticket.moved(DONE, at(6), "Won't Do")
    await deliver(database, over)
    told = await the_only(database, "jira:ML-12")
    assert (told.concluded_at, told.outcome) == (at(6), Outcome.ABANDONED)


async def test_on_jira_moves_between_open_statuses_do_not_undo_a_conclusion_by_comment(database: Database) -> None:
    pull = PullRequest(created_at=at(3), branch="ML-12-freshness", body="")
    ticket = Ticket(created_at=at(2))
    created = ticket.created()
    ticket, started = ticket.moved(IN_PROGRESS, at(3))
    said = pull.commented("/experiment conclude failed basic", at(4))
    ticket, reviewed = ticket.moved(IN_REVIEW, at(5))
    ticket, back = ticket.moved(TO_DO, at(6))
    await deliver(database, created, started, pull.opened(), said, reviewed, back, rules=TRUSTING)
    told = await the_only(database, "jira:ML-12")
    assert (told.concluded_at, told.outcome, told.failure_category) == (at(4), Outcome.FAILED, FailureCategory.BASIC)


@pytest.mark.parametrize("first", ["resolution", "status"])
async def test_on_jira_a_resolution_counts_whether_it_is_set_before_or_after_the_status(
    database: Database, first: str
) -> None:
    ticket = Ticket(created_at=at(2))
    refused = {"field": "resolution", "fromString": "", "toString": "Won't Do"}
    entered = {"field": "status", "from": "10000", "fromString": "To Do", "to": "10002", "toString": "Done"}
    resolved = Ticket(created_at=at(2), status=DONE, resolution="Won't Do")
    if first == "status":
        halfway = Ticket(created_at=at(2), status=DONE).event("jira:issue_updated", at(4), [entered])
        last = resolved.event("jira:issue_updated", at(5), [refused])
    else:
        halfway = Ticket(created_at=at(2), resolution="Won't Do").event("jira:issue_updated", at(4), [refused])
        last = resolved.event("jira:issue_updated", at(5), [entered])
    await deliver(database, ticket.created(), halfway, last)
    told = await the_only(database, "jira:ML-12")
    assert told.outcome is Outcome.ABANDONED
    assert told.concluded_at == (at(4) if first == "status" else at(5))


async def test_on_jira_a_comment_with_few_fields_of_the_ticket_does_not_change_its_team(database: Database) -> None:
    ticket = Ticket(created_at=at(2), component="Search")
    await deliver(database, ticket.created(), ticket.commented("Any news?", at(5)))
    assert (await the_only(database, "jira:ML-12")).team == "search"


async def test_on_jira_the_conclusion_is_dated_when_the_ticket_was_done_and_not_when_it_was_resolved(
    database: Database,
) -> None:
    ticket = Ticket(created_at=at(2))
    resolved = {"field": "resolution", "fromString": "", "toString": "Fixed"}
    halfway = replace(ticket, resolution="Fixed", resolved_at=at(4))
    done = replace(halfway, status=DONE)
    entered = {"field": "status", "from": "10000", "fromString": "To Do", "to": "10002", "toString": "Done"}
    await deliver(
        database,
        ticket.created(),
        halfway.event("jira:issue_updated", at(4), [resolved]),
        done.event("jira:issue_updated", at(6), [entered]),
    )
    assert (await the_only(database, "jira:ML-12")).concluded_at == at(6)


async def test_on_jira_removing_the_resolution_reopens_a_ticket_whose_last_move_was_lost(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    created = ticket.created()
    ticket, done = ticket.moved(DONE, at(3), "Done")
    ticket, _lost = ticket.moved(("6", "Closed", "done"), at(4), "Done")
    _, again = ticket.moved(IN_PROGRESS, at(5))
    await deliver(database, created, done, again)
    assert (await the_only(database, "jira:ML-12")).state is State.RUNNING


async def test_on_github_an_issue_closed_as_a_duplicate_is_an_experiment_when_the_reason_is_corrected(
    database: Database,
) -> None:
    issue = Issue(created_at=at(2))
    duplicate, closed = issue.closed(at(3), "duplicate")
    await deliver(database, issue.opened(), closed)
    assert await all_experiments(database) == {}
    corrected = replace(duplicate, state_reason="completed")
    await deliver(database, corrected.event("closed", at(4)), closed)
    assert (await the_only(database, "github:acme/app#45")).concluded_at == at(3)


async def test_on_gitlab_an_issue_that_moved_to_another_project_leaves_the_metrics(database: Database) -> None:
    issue = GitLabIssue(created_at=at(2))
    closed, closing = issue.closed(at(3))
    moved = replace(closed, moved_to=9).event("update", at(3, "09:00:02"))
    await deliver(database, moved, issue.opened(), closing)
    assert await all_experiments(database) == {}


async def test_on_gitlab_a_branch_removed_without_a_change_leaves_the_metrics(database: Database) -> None:
    await deliver(database, gitlab_push("exp/warm-cache", HEAD, at(2)))
    assert (await the_only(database, "branch:acme/app@exp/warm-cache")).idea_at == at(2)
    await deliver(database, gitlab_branch_deleted("exp/warm-cache"))
    assert await all_experiments(database) == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_a_branch_pushed_in_the_same_second_as_its_merge_is_not_an_experiment(
    database: Database, order: tuple[int, ...]
) -> None:
    pull = PullRequest(created_at=at(3), branch="exp/warm-cache", body="")
    _, merged = pull.merged(at(4))
    story = [pull.opened(), push("exp/warm-cache", MERGED, at(4)), merged]
    await deliver(database, *(story[place] for place in order))
    assert (await the_only(database, "github:acme/app!7")).outcome is Outcome.WORKED


async def test_an_explanation_does_not_show_the_account_of_a_fork(database: Database) -> None:
    pull = PullRequest(created_at=at(3), branch="exp/warm-cache", fork="jane-doe/app", body="")
    trusting = read_rules(RulesFile("rules.yaml", "trust_forks: github"), packaged_rules(), PROVIDERS)
    pushed = push("exp/warm-cache", HEAD, at(3), repository="jane-doe/app")
    await deliver(database, pull.opened(), pushed, rules=trusting)
    async with api(database) as client:
        told = (await client.get("/experiments/github:acme%2Fapp!7/explain")).text
    assert "branch:fork@exp/warm-cache" in told
    assert "jane-doe" not in told


async def test_on_jira_rules_can_use_the_type_of_a_ticket_and_a_deleted_ticket_leaves_the_metrics(
    database: Database,
) -> None:
    text = """
    trust_comments: [jira]
    rules:
      - when: {provider: jira, item_type: Bet}
        then: {declare: {experiment: true}}
    """
    rules = read_rules(RulesFile("bets.yaml", text), packaged_rules(), PROVIDERS)
    bet = Ticket(created_at=at(2), type="Bet")
    code = bet.commented("{code}\n/experiment conclude worked\n{code}", at(3))
    said = bet.commented("We know now.\n/experiment conclude inconclusive", at(4))
    await deliver(database, bet.created(), code, said, rules=rules)
    told = await the_only(database, "jira:ML-12")
    assert (told.concluded_at, told.outcome) == (at(4), Outcome.INCONCLUSIVE)
    await deliver(database, bet.deleted(at(5)), rules=rules)
    assert await all_experiments(database) == {}


async def test_on_gitlab_a_story_goes_from_an_issue_to_a_deployment(database: Database) -> None:
    issue = GitLabIssue(created_at=at(2), labels=("experiment", "risk:bold"))
    opened = issue.opened()
    assigned = issue.assigned(at(2, "15:00:00"))
    change = MergeRequest(created_at=at(3))
    change, merged = change.merged(at(4), MERGED)
    issue, closed = issue.closed(at(4, "09:00:02"))
    issue, worked = issue.labelled("outcome:worked", at(4, "09:05:00"))
    issue, shared = issue.labelled("learning:shared", at(5))
    story = [
        opened,
        assigned,
        MergeRequest(created_at=at(3)).opened(),
        gitlab_pipeline(HEAD, at(3, "09:20:00"), "failed"),
        gitlab_pipeline(HEAD, at(3, "10:20:00"), "canceled"),
        merged,
        closed,
        worked,
        shared,
        gitlab_deployment(MERGED, at(4, "12:00:00")),
    ]
    random.Random(3).shuffle(story)
    await deliver(database, *story)
    told = await the_only(database, "gitlab:acme/app#45")
    assert instants(told) == (
        at(2),
        at(2, "15:00:00"),
        at(3, "09:20:00"),
        at(4, "09:00:02"),
        at(5),
        at(4, "12:00:00"),
    )
    assert (told.outcome, told.risk, told.team) == (Outcome.WORKED, "bold", "acme/app")


@pytest.mark.parametrize(
    ("build", "failed"),
    [(circleci_workflow, "failed"), (buildkite_build, "failed"), (jenkins_build, "UNSTABLE")],
    ids=["CircleCI", "Buildkite", "Jenkins"],
)
async def test_runs_of_another_tool_are_signals_of_the_change_that_their_commit_belongs_to(
    database: Database, build: type, failed: str
) -> None:
    issue = Issue(created_at=at(2))
    _, closing = issue.closed(at(4))
    runs = [build(HEAD, at(3, "09:30:00"), failed), build(HEAD, at(3, "09:50:00"))]
    # The runs arrive before the pull request that links their commit to the issue, and one run arrives twice.
    await deliver(database, *runs, runs[0], issue.opened(), PullRequest(created_at=at(3)).opened(), closing)
    told = await the_only(database, "github:acme/app#45")
    assert instants(told) == (at(2), at(3), at(3, "09:30:00"), at(4), None, None)


@pytest.mark.parametrize(
    "build", [circleci_workflow, buildkite_build, jenkins_build], ids=["CircleCI", "Buildkite", "Jenkins"]
)
async def test_a_run_of_another_tool_is_a_signal_of_the_ticket_that_its_branch_names(
    database: Database, build: type
) -> None:
    ticket = Ticket(created_at=at(2))
    created = ticket.created()
    _, done = ticket.moved(DONE, at(4), "Done")
    await deliver(database, created, build(HEAD, at(3), branch="feature/ML-12-freshness"), done)
    told = await the_only(database, "jira:ML-12")
    assert instants(told) == (at(2), at(3), at(3), at(4), None, None)


async def test_with_cloudevents_a_story_goes_from_an_idea_to_a_shared_answer(database: Database) -> None:
    subject = "key:warm-cache"
    await deliver(
        database,
        event("concluded", subject, at(5), outcome="failed"),
        event(
            "proposed",
            subject,
            at(2),
            title="Warm the cache",
            team="Search",
            risk="safe",
            url="https://wiki.example.com/1",
        ),
        event("started", subject, at(3)),
        event("signalled", f"commit:{HEAD}", at(4), result="failure", links=[subject]),
        event("classified", subject, at(6), failure_category="intelligent"),
        event("shared", subject, at(7), learning_url="https://wiki.example.com/2"),
        event("shipped", subject, at(8)),
    )
    told = await the_only(database, subject)
    assert instants(told) == (at(2), at(3), at(4), at(5), at(7), at(8))
    assert (told.title, told.team, told.risk, told.url) == (
        "Warm the cache",
        "search",
        "safe",
        "https://wiki.example.com/1",
    )
    assert (told.outcome, told.failure_category) == (Outcome.FAILED, FailureCategory.INTELLIGENT)


async def test_a_ticket_its_pull_request_and_its_runs_in_different_tools_are_one_experiment(database: Database) -> None:
    """The idea is in Jira, the work and its classification in GitHub, and the runs in CircleCI."""
    ticket = Ticket(created_at=at(2, "08:15:00"), component="Search")
    created = ticket.created()
    ticket, started = ticket.moved(IN_PROGRESS, at(3, "10:00:00"))
    pull = PullRequest(
        created_at=at(4, "14:00:00"), branch="ML-12-rank-by-freshness", title="Rank by freshness", body=""
    )
    opened = pull.opened()
    red = circleci_workflow(pull.head, at(4, "14:09:30"), "failed", pull.branch)
    pull, pushed = pull.pushed("c" * 40, at(5, "09:00:00"))
    green = circleci_workflow(pull.head, at(5, "09:11:00"), "success", pull.branch)
    pull, pull_closed = pull.closed(at(9, "16:00:00"))
    ticket, failed = ticket.labelled("outcome:failed", at(9, "16:30:00"))
    ticket, done = ticket.moved(DONE, at(9, "16:30:45"), "Done")
    classified = pull.commented("/experiment conclude failed intelligent", at(9, "17:00:00"))
    ticket, shared = ticket.labelled("learning:shared", at(11, "09:00:00"))
    story: list[GitHubRequest | Request] = [created, started, opened, red, pushed, green, pull_closed]
    story += [failed, done, classified, shared]
    for seed in range(3):
        shuffled = random.Random(seed).sample(story, len(story))
        await deliver(database, *shuffled, rules=TRUSTING)
        told = await the_only(database, "jira:ML-12")
        assert instants(told) == (
            at(2, "08:15:00"),
            at(3, "10:00:00"),
            at(4, "14:09:30"),
            at(9, "16:30:45"),
            at(11, "09:00:00"),
            None,
        )
        assert (told.outcome, told.failure_category) == (Outcome.FAILED, FailureCategory.INTELLIGENT)
        assert told.team == "search"

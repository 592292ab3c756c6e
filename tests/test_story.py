"""Stories of experiments, from the first webhook to the figures."""

from datetime import timedelta
from itertools import permutations

import pytest

from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.storage.database import Database
from tests.builders import GitHubRequest, Issue, PullRequest, at, workflow_run
from tests.road import all_experiments, deliver, figures

ISSUE = "github:acme/app#45"
SECONDS = timedelta(seconds=1)


def _a_failed_experiment() -> list[GitHubRequest]:
    """An issue, its pull request and its runs, from opened to closed as failed and intelligent."""
    issue = Issue(created_at=at(2, "09:00:00"), labels=("experiment", "team:Search", "risk:bold"))
    opened = issue.opened()
    assigned = issue.assigned(at(2, "10:30:00"))
    pull = PullRequest(created_at=at(3, "14:00:00"), body="Closes #45")
    pull_opened = pull.opened()
    red = workflow_run(pull.head, at(3, "14:07:31"), "failure")
    pull, pushed = pull.pushed("c" * 40, at(4, "08:00:00"))
    green = workflow_run(pull.head, at(4, "08:09:12"), "success")
    pull, pull_closed = pull.closed(at(6, "11:00:00"))
    issue, failed = issue.labeled("outcome:failed", at(6, "11:05:00"))
    issue, closed = issue.closed(at(6, "11:05:17"))
    issue, classified = issue.labeled("failure:intelligent", at(6, "11:06:00"))
    issue, shared = issue.labeled("learning:shared", at(9, "09:00:00"))
    return [opened, assigned, pull_opened, red, pushed, green, pull_closed, failed, closed, classified, shared]


async def test_an_issue_its_pull_request_and_its_runs_become_one_failed_intelligent_experiment(
    database: Database,
) -> None:
    await deliver(database, *_a_failed_experiment())
    experiments = await all_experiments(database)
    assert set(experiments) == {ISSUE}
    told = experiments[ISSUE]
    assert told.title == "Answer from the cache"
    assert told.url == "https://github.com/acme/app/issues/45"
    assert (told.team, told.risk, told.state) == ("search", "bold", State.CONCLUDED)
    assert told.idea_at == at(2, "09:00:00")
    assert told.started_at == at(2, "10:30:00")
    assert told.first_signal_at == at(3, "14:07:31")
    assert told.concluded_at == at(6, "11:05:17")
    assert told.shared_at == at(9, "09:00:00")
    assert (told.outcome, told.failure_category) == (Outcome.FAILED, FailureCategory.INTELLIGENT)


async def test_the_figures_of_a_failed_experiment_are_right_to_the_second(database: Database) -> None:
    await deliver(database, *_a_failed_experiment())
    shown = await figures(database, at(9, "10:00:00"))
    taken = (at(6, "11:05:17") - at(2, "09:00:00")) / SECONDS
    assert taken == 353_117
    assert shown["experiments_in_flight", "proposed", "search"] == 0
    assert shown["experiments_in_flight", "running", "search"] == 0
    assert shown["experiments_concluded", "failed", "search", "7d"] == 1
    assert shown["failures", "intelligent", "search", "7d"] == 1
    assert shown["idea_to_answer_seconds_gsum", "search", "7d"] == taken
    assert shown["idea_to_answer_seconds_gcount", "search", "7d"] == 1
    assert shown["idea_to_answer_seconds_bucket", f"{3 * 86400.0}", "search", "7d"] == 0
    assert shown["idea_to_answer_seconds_bucket", f"{7 * 86400.0}", "search", "7d"] == 1
    assert sum(value for name, value in shown.items() if name[0] == "experiments_concluded" and "7d" in name) == 1
    assert sum(value for name, value in shown.items() if name[0] == "failures" and "7d" in name) == 1


async def test_the_figures_leave_a_window_to_the_second(database: Database) -> None:
    await deliver(database, *_a_failed_experiment())
    concluded = at(6, "11:05:17")
    key = ("experiments_concluded", "failed", "search", "7d")
    assert (await figures(database, concluded + timedelta(days=7)))[key] == 1
    assert (await figures(database, concluded + timedelta(days=7, seconds=1)))[key] == 0


async def test_the_figures_follow_the_story_as_it_unfolds(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    stages = ("experiments_in_flight", "proposed", "search"), ("experiments_in_flight", "running", "search")
    await deliver(database, issue.opened())
    shown = await figures(database, at(2, "09:00:01"))
    assert [shown[stage] for stage in stages] == [1, 0]
    await deliver(database, issue.assigned(at(3)))
    shown = await figures(database, at(4))
    assert [shown[stage] for stage in stages] == [0, 1]
    issue, closed = issue.closed(at(5))
    await deliver(database, closed)
    shown = await figures(database, at(6))
    assert [shown[stage] for stage in stages] == [0, 0]
    assert shown["experiments_concluded", "undeclared", "search", "7d"] == 1
    issue, reopened = issue.reopened(at(7))
    await deliver(database, reopened)
    shown = await figures(database, at(8))
    assert [shown[stage] for stage in stages] == [0, 1]
    assert shown["experiments_concluded", "undeclared", "search", "7d"] == 0


@pytest.mark.parametrize("order", range(0, 720, 90))
async def test_the_order_of_arrival_makes_no_difference(database: Database, order: int) -> None:
    told = _a_failed_experiment()
    six = [told[place] for place in (0, 2, 3, 7, 8, 9)]
    await deliver(database, *list(permutations(six))[order], *six[:2])
    experiments = await all_experiments(database)
    assert set(experiments) == {ISSUE}
    seen = experiments[ISSUE]
    assert (seen.idea_at, seen.started_at, seen.first_signal_at) == (at(2), at(3, "14:00:00"), at(3, "14:07:31"))
    assert (seen.concluded_at, seen.outcome) == (at(6, "11:05:17"), Outcome.FAILED)
    assert seen.failure_category is FailureCategory.INTELLIGENT


async def test_a_run_that_arrives_before_its_pull_request_is_counted(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, workflow_run(pull.head, at(4)))
    await deliver(database, Issue(created_at=at(2)).opened())
    assert (await all_experiments(database))[ISSUE].first_signal_at is None
    await deliver(database, pull.opened())
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(4)


async def test_a_merged_pull_request_does_not_conclude_its_issue(database: Database) -> None:
    _, merged = PullRequest(created_at=at(3)).merged(at(4))
    await deliver(database, Issue(created_at=at(2)).opened(), merged)
    assert (await all_experiments(database))[ISSUE].state is State.RUNNING


async def test_a_pull_request_from_an_experiment_branch_is_an_experiment_and_worked_once_merged(
    database: Database,
) -> None:
    _, merged = PullRequest(created_at=at(3), branch="exp/cache", body="").merged(at(4))
    await deliver(database, merged)
    told = (await all_experiments(database))["github:acme/app!7"]
    assert (told.state, told.outcome, told.started_at) == (State.CONCLUDED, Outcome.WORKED, None)


async def test_a_pull_request_of_a_marked_issue_is_no_experiment_of_its_own(database: Database) -> None:
    pull = PullRequest(created_at=at(3), branch="exp/cache")
    await deliver(database, pull.opened())
    assert set(await all_experiments(database)) == {"github:acme/app!7"}
    await deliver(database, Issue(created_at=at(2)).opened())
    assert set(await all_experiments(database)) == {ISSUE}


async def test_an_issue_that_is_marked_after_it_was_closed_counts_from_its_beginning(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=())
    issue, closed = issue.closed(at(4))
    await deliver(database, Issue(created_at=at(2), labels=()).opened(), closed)
    assert await all_experiments(database) == {}
    _, labeled = issue.labeled("experiment", at(5))
    await deliver(database, labeled)
    told = (await all_experiments(database))[ISSUE]
    assert (told.idea_at, told.concluded_at) == (at(2), at(4))


async def test_an_issue_that_is_un_marked_leaves_the_figures(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    await deliver(database, issue.opened())
    issue, unlabeled = issue.unlabeled("experiment", at(3))
    await deliver(database, unlabeled)
    assert await all_experiments(database) == {}
    assert ("experiments_in_flight", "proposed", "search") not in await figures(database, at(4))


async def test_a_duplicate_leaves_the_figures_until_it_is_reopened(database: Database) -> None:
    issue, closed = Issue(created_at=at(2)).closed(at(3), reason="duplicate")
    await deliver(database, closed)
    assert await all_experiments(database) == {}
    _, reopened = issue.reopened(at(4))
    await deliver(database, reopened)
    assert (await all_experiments(database))[ISSUE].state is State.PROPOSED


async def test_an_abandoned_loop_is_concluded_but_not_answered(database: Database) -> None:
    _, closed = Issue(created_at=at(2), labels=("experiment", "team:search")).closed(at(3), reason="not_planned")
    await deliver(database, closed)
    shown = await figures(database, at(4))
    assert shown["experiments_concluded", "abandoned", "search", "7d"] == 1
    assert shown["idea_to_answer_seconds_gcount", "search", "7d"] == 0


async def test_an_edit_moves_a_pull_request_from_one_experiment_to_another(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="Closes #45")
    _, edited = pull.edited("Closes #46", at(5))
    await deliver(database, Issue(created_at=at(2)).opened(), Issue(number=46, created_at=at(2)).opened())
    await deliver(database, pull.opened())
    before = await all_experiments(database)
    assert before[ISSUE].started_at == at(3)
    await deliver(database, edited)
    after = await all_experiments(database)
    assert (after[ISSUE].started_at, after["github:acme/app#46"].started_at) == (None, at(3))


async def test_a_change_can_be_evidence_for_two_experiments(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="Closes #45, fixes #46")
    await deliver(database, Issue(created_at=at(2)).opened(), Issue(number=46, created_at=at(2)).opened())
    await deliver(database, workflow_run(pull.head, at(4)), pull.opened())
    told = await all_experiments(database)
    assert [told[root].first_signal_at for root in (ISSUE, "github:acme/app#46")] == [at(4), at(4)]


async def test_a_failure_that_is_classified_two_weeks_later_moves_to_its_category(database: Database) -> None:
    issue, closed = Issue(created_at=at(2), labels=("experiment", "team:search", "outcome:failed")).closed(at(3))
    await deliver(database, closed)
    assert (await figures(database, at(4)))["failures", "unclassified", "search", "90d"] == 1
    _, classified = issue.labeled("failure:complex", at(17))
    await deliver(database, classified)
    shown = await figures(database, at(18))
    assert shown["failures", "unclassified", "search", "90d"] == 0
    assert shown["failures", "complex", "search", "90d"] == 1

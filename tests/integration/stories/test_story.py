"""Stories of experiments, from the first webhook to the metrics."""

from datetime import timedelta
from itertools import permutations
from uuid import NAMESPACE_OID, uuid5

import pytest

from service.deliveries.observation import Observation, Observed
from service.demo.post import zulu
from service.lifecycle.codec import event_id
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.pipeline.linked import read_links
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.document import RulesFile
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage import aliases, events, inbox_listing, recording
from service.storage.database import Database
from service.storage.recording import InterpretedDelivery
from tests.support.builders import (
    NO_PAYLOAD,
    SECRET,
    GitHubRequest,
    Issue,
    PullRequest,
    at,
    changed,
    of_repository,
    renamed,
    workflow_run,
)
from tests.support.documents import example
from tests.support.road import RULES, all_experiments, api, deliver, exported_samples, settle, stored_names

ISSUE = "github:acme/app#45"
SECONDS = timedelta(seconds=1)


def _a_failed_experiment() -> list[GitHubRequest]:
    """The deliveries about an issue, its pull request and its runs. The issue is closed as an intelligent failure."""
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


async def test_the_metrics_of_a_failed_experiment_are_exact_to_the_second(database: Database) -> None:
    await deliver(database, *_a_failed_experiment())
    shown = await exported_samples(database, at(9, "10:00:00"))
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


async def test_an_experiment_leaves_a_window_at_the_exact_second(database: Database) -> None:
    await deliver(database, *_a_failed_experiment())
    concluded = at(6, "11:05:17")
    key = ("experiments_concluded", "failed", "search", "7d")
    assert (await exported_samples(database, concluded + timedelta(days=7)))[key] == 1
    assert (await exported_samples(database, concluded + timedelta(days=7, seconds=1)))[key] == 0


async def test_the_metrics_follow_the_story(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    stages = ("experiments_in_flight", "proposed", "search"), ("experiments_in_flight", "running", "search")
    await deliver(database, issue.opened())
    shown = await exported_samples(database, at(2, "09:00:01"))
    assert [shown[stage] for stage in stages] == [1, 0]
    await deliver(database, issue.assigned(at(3)))
    shown = await exported_samples(database, at(4))
    assert [shown[stage] for stage in stages] == [0, 1]
    issue, closed = issue.closed(at(5))
    await deliver(database, closed)
    shown = await exported_samples(database, at(6))
    assert [shown[stage] for stage in stages] == [0, 0]
    assert shown["experiments_concluded", "undeclared", "search", "7d"] == 1
    issue, reopened = issue.reopened(at(7))
    await deliver(database, reopened)
    shown = await exported_samples(database, at(8))
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


async def test_a_pull_request_from_an_experiment_branch_is_an_experiment_that_worked_if_it_is_merged(
    database: Database,
) -> None:
    _, merged = PullRequest(created_at=at(3), branch="exp/cache", body="").merged(at(4))
    await deliver(database, merged)
    told = (await all_experiments(database))["github:acme/app!7"]
    assert (told.state, told.outcome, told.started_at) == (State.CONCLUDED, Outcome.WORKED, None)


async def test_a_pull_request_of_a_marked_issue_is_not_an_experiment(database: Database) -> None:
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


async def test_an_unmarked_issue_leaves_the_metrics(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    await deliver(database, issue.opened())
    issue, unlabeled = issue.unlabeled("experiment", at(3))
    await deliver(database, unlabeled)
    assert await all_experiments(database) == {}
    assert ("experiments_in_flight", "proposed", "search") not in await exported_samples(database, at(4))


async def test_a_duplicate_leaves_the_metrics_until_it_is_reopened(database: Database) -> None:
    issue, closed = Issue(created_at=at(2)).closed(at(3), reason="duplicate")
    await deliver(database, closed)
    assert await all_experiments(database) == {}
    _, reopened = issue.reopened(at(4))
    await deliver(database, reopened)
    assert (await all_experiments(database))[ISSUE].state is State.PROPOSED


async def test_an_abandoned_experiment_is_concluded_but_not_answered(database: Database) -> None:
    _, closed = Issue(created_at=at(2), labels=("experiment", "team:search")).closed(at(3), reason="not_planned")
    await deliver(database, closed)
    shown = await exported_samples(database, at(4))
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
    assert (await exported_samples(database, at(4)))["failures", "unclassified", "search", "90d"] == 1
    _, classified = issue.labeled("failure:complex", at(17))
    await deliver(database, classified)
    shown = await exported_samples(database, at(18))
    assert shown["failures", "unclassified", "search", "90d"] == 0
    assert shown["failures", "complex", "search", "90d"] == 1


async def test_the_new_label_counts_when_two_labels_are_swapped_within_one_second(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "outcome:worked"))
    opened, when = issue.opened(), at(5)
    issue, closed = issue.closed(at(4))
    issue, added = issue.labeled("outcome:failed", when)
    issue, removed = issue.unlabeled("outcome:worked", when)
    await deliver(database, removed, closed, opened, added, issue.edited(at(6)))
    assert (await all_experiments(database))[ISSUE].outcome is Outcome.FAILED


async def test_a_reopened_experiment_can_be_concluded_differently(database: Database) -> None:
    issue = Issue(created_at=at(2))
    issue, abandoned = issue.closed(at(3), reason="not_planned")
    issue, reopened = issue.reopened(at(4))
    issue, failed = issue.labeled("outcome:failed", at(5))
    issue, closed = issue.closed(at(6))
    for order in ([abandoned, reopened, failed, closed], [closed, failed, reopened, abandoned]):
        await deliver(database, *order)
        told = (await all_experiments(database))[ISSUE]
        assert (told.concluded_at, told.outcome) == (at(6), Outcome.FAILED)


async def test_a_conclusion_by_comment_outranks_an_older_label_until_a_reopening(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "outcome:worked"))
    await deliver(database, issue.opened(), issue.commented("/experiment conclude failed complex", at(5)))
    told = (await all_experiments(database))[ISSUE]
    assert (told.concluded_at, told.outcome, told.failure_category) == (at(5), Outcome.FAILED, FailureCategory.COMPLEX)
    _, reopened = issue.reopened(at(6))
    _, closed = issue.closed(at(7))
    await deliver(database, reopened, closed)
    told = (await all_experiments(database))[ISSUE]
    assert (told.concluded_at, told.outcome, told.failure_category) == (at(7), Outcome.WORKED, None)


async def test_a_command_on_the_pull_request_concludes_the_issue_that_it_serves(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    said = pull.commented("Not worth it.\n/experiment conclude failed basic", at(5))
    await deliver(database, said, Issue(created_at=at(2)).opened(), pull.opened())
    told = (await all_experiments(database))[ISSUE]
    assert (told.concluded_at, told.outcome) == (at(5), Outcome.FAILED)


async def test_a_command_by_a_stranger_is_ignored(database: Database) -> None:
    issue = Issue(created_at=at(2))
    said = issue.commented("/experiment conclude failed", at(5), association="CONTRIBUTOR")
    await deliver(database, issue.opened(), said)
    assert (await all_experiments(database))[ISSUE].state is State.PROPOSED


async def test_the_next_payload_does_not_undo_a_team_declared_by_comment(database: Database) -> None:
    issue = Issue(created_at=at(2))
    await deliver(database, issue.opened(), issue.commented("/experiment team Search", at(3)), issue.edited(at(4)))
    assert (await all_experiments(database))[ISSUE].team == "search"


async def test_daily_comments_keep_an_experiment_active(database: Database) -> None:
    issue = Issue(created_at=at(2))
    # These payloads omit the state of the issue, so that the comments are the only activity.
    bare = {"number": issue.number, "created_at": zulu(at(2))}
    talk = [changed(issue.commented("What about this one?", at(day)), issue=bare) for day in range(3, 29)]
    await deliver(database, issue.opened(), *talk)
    told = (await all_experiments(database))[ISSUE]
    assert (told.last_activity_at, told.started_at) == (at(28, "00:00:00"), None)


async def test_an_experiment_keeps_its_history_when_its_repository_is_renamed(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    moved = Issue(repository="acme/web", created_at=at(2))
    moved, closed = moved.closed(at(7))
    closed = of_repository("acme/app", closed)
    before = [Issue(created_at=at(2)).opened(), pull.opened()]
    late = workflow_run(pull.head, at(4))
    for order in ([*before, renamed("app", "acme/web", at(5)), closed, late], [late, closed, *before]):
        await deliver(database, *order)
        experiments = await all_experiments(database)
        assert set(experiments) == {"github:acme/web#45"}
        told = experiments["github:acme/web#45"]
        assert (told.started_at, told.first_signal_at, told.concluded_at) == (at(3), at(4), at(7))


async def test_a_transferred_issue_keeps_its_evidence(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    issue = Issue(created_at=at(2))
    new = {"new_issue": {"number": 9}, "new_repository": {"full_name": "acme/docs"}}
    await deliver(database, issue.opened(), pull.opened(), issue.event("transferred", at(5), changes=new))
    experiments = await all_experiments(database)
    assert set(experiments) == {"github:acme/docs#9"}
    assert experiments["github:acme/docs#9"].started_at == at(3)


async def test_a_deleted_issue_leaves_the_metrics(database: Database) -> None:
    issue = Issue(created_at=at(2))
    await deliver(database, issue.opened(), issue.event("deleted", at(3)))
    assert await all_experiments(database) == {}


async def test_the_branch_main_of_a_fork_is_not_the_branch_main_of_the_repository(database: Database) -> None:
    fork = PullRequest(created_at=at(3), branch="main", fork="someone/app")
    own = PullRequest(number=8, created_at=at(3), branch="main", body="")
    trusting = read_rules(RulesFile("rules.yaml", "trust_forks: github"), packaged_rules(), PROVIDERS)
    await deliver(database, Issue(created_at=at(2)).opened(), fork.opened(), own.opened(), rules=trusting)
    async with database.transaction() as connection:
        names = await aliases.read_all(connection)
        around = set(await read_links(connection, names, [Ref(ISSUE)]))
    assert (Ref("branch:someone/app@main"), Ref("github:acme/app!7")) in around
    assert not [evidence for evidence, _ in around if evidence.startswith("branch:acme/app@")]


TICKET = Ref("jira:ML-12")


async def _tell(database: Database, provider: str, rules: Rules, *observations: Observation) -> None:
    """Record observations as if they had been read from a payload of the provider."""
    found = apply_rules(rules, provider, observations, NO_PAYLOAD)
    brought = {statement.event: statement.rule for statement in found.statements}
    by = uuid5(NAMESPACE_OID, repr(observations))
    async with database.transaction() as connection:
        await recording.record_deliveries(
            connection, [InterpretedDelivery(by, at(2), brought, found.links, found.aliases)]
        )
    await settle(database)


async def test_runs_are_signals_of_a_ticket_that_only_the_name_of_their_branch_mentions(database: Database) -> None:
    pull = PullRequest(created_at=at(3), title="Cache answers", body="", branch="ML-12-cache")
    seen = Observed("seen", TICKET, at(2), {"what": ("item",), "project": ("ML",), "item_type": ("Spike",)})
    await deliver(database, workflow_run(pull.head, at(4), "failure"), pull.opened())
    await _tell(database, "jira", RULES, seen, Observed("created", TICKET, at(2)))
    told = (await all_experiments(database))["jira:ML-12"]
    assert (told.idea_at, told.started_at, told.first_signal_at) == (at(2), at(3), at(4))
    assert told.team == "ml"


async def test_the_rules_in_the_documentation_suit_a_team_that_calls_experiments_bets(database: Database) -> None:
    text = example("bets")
    assert 0 < len(text.splitlines()) < 15
    rules = read_rules(RulesFile("bets.yaml", text), packaged_rules(), PROVIDERS)
    seen = Observed("seen", TICKET, at(2), {"what": ("item",), "project": ("ML",), "item_type": ("Bet",)})
    learned = Observed("moved", TICKET, at(9), {"status_from": ("Testing",), "status_to": ("Learned",)})
    assert apply_rules(RULES, "jira", [seen, learned], NO_PAYLOAD).verdict == "ignored"
    await _tell(database, "jira", rules, seen, Observed("created", TICKET, at(2)), learned)
    told = (await all_experiments(database))["jira:ML-12"]
    assert (told.idea_at, told.concluded_at, told.team) == (at(2), at(9), "ml-platform")


async def test_one_of_two_labels_that_mark_an_experiment_may_be_removed(database: Database) -> None:
    text = "rules:\n  - when: {label: bet}\n    then: {declare: {experiment: true}}\n"
    rules = read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)
    issue = Issue(created_at=at(2), labels=())
    told = []
    for label, day in (("experiment", 3), ("bet", 4)):
        issue, request = issue.labeled(label, at(day))
        told.append(request)
    marked_once, without_bet = issue.unlabeled("bet", at(5))
    _, unmarked = marked_once.unlabeled("experiment", at(6))
    await deliver(database, *told, without_bet, rules=rules)
    assert set(await all_experiments(database)) == {ISSUE}
    await deliver(database, unmarked, rules=rules)
    assert await all_experiments(database) == {}


async def test_two_webhooks_with_the_same_event_are_two_deliveries_and_one_statement(database: Database) -> None:
    opened = Issue(created_at=at(2)).opened()
    secrets = {"github": SECRET, "github_org": "the organisation's"}
    sources = {name: {"provider": "github", "secret": secret} for name, secret in secrets.items()}
    async with api(database, sources=sources) as client:
        told = [
            await client.post(f"/webhooks/{name}", content=opened.body, headers=opened.headers(secret))
            for name, secret in secrets.items()
        ]
        again = [
            await client.post(f"/webhooks/{name}", content=opened.body, headers=opened.headers(secret))
            for name, secret in secrets.items()
        ]
    assert [response.json()["status"] for response in (*told, *again)] == ["stored", "stored", "duplicate", "duplicate"]
    await settle(database)
    names = await stored_names(database, ISSUE)
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection)
        [heard] = (await events.events_of(connection, names)).values()
        origins = await events.origins_of(connection, [(event.subject, event_id(event)) for event in heard])
    assert {row.source for row in rows} == set(sources)
    assert len({row.provider_id for row in rows}) == 1
    assert len(heard) == len(set(heard)) == len(origins)
    assert {len(brought) for brought in origins.values()} == {2}

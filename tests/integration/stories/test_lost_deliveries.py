"""A lost delivery keeps no experiment wrong: the next payload shows its result."""

import json
from dataclasses import replace
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from service.demo.payloads.jira import DONE, IN_PROGRESS
from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome, Risk, State
from service.storage.database import Database
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed
from tests.support.payloads import IN_REVIEW, GitLabIssue, MergeRequest, Ticket
from tests.support.road import all_exclusions, all_experiments, deliver
from tests.support.signing import Request

ITEM, CHANGE, TICKET = "github:acme/app#45", "github:acme/app!7", "jira:ML-12"
GITLAB_ITEM = "gitlab:acme/app#45"
ISSUE = Issue(created_at=at(2), labels=("experiment", "team:search", "risk:bold"))
UNMARKED = replace(ISSUE, labels=("team:search", "risk:bold"))


async def story(database: Database, *requests: GitHubRequest | Request) -> dict[str, Experiment]:
    await deliver(database, *requests)
    return await all_experiments(database)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_lost_removal_of_the_mark_excludes_the_experiment_in_any_order(
    database: Database, order: tuple[int, ...]
) -> None:
    told = (ISSUE.opened(), UNMARKED.edited(at(4)), UNMARKED.commented("Nice.", at(6)))
    assert await story(database, *(told[place] for place in order)) == {}
    assert await all_exclusions(database) == {ITEM: Exclusion("unmarked", at(4))}


async def test_the_removal_of_a_deleted_label_names_no_label_and_counts(database: Database) -> None:
    removal = changed(UNMARKED.event("unlabeled", at(4)), label=None)
    assert await story(database, ISSUE.labeled("x", at(3))[1], removal) == {}
    assert await all_exclusions(database) == {ITEM: Exclusion("unmarked", at(4))}


async def test_a_mark_that_was_put_back_in_a_lost_delivery_counts_again(database: Database) -> None:
    told = (ISSUE.opened(), ISSUE.unlabeled("experiment", at(3))[1], ISSUE.edited(at(5)))
    assert set(await story(database, *told)) == {ITEM}
    assert await all_exclusions(database) == {}


async def test_the_fields_of_labels_whose_removal_was_lost_have_no_value(database: Database) -> None:
    labels = ("outcome:failed", "failure:basic", "learning:shared")
    issue = replace(ISSUE, labels=(*ISSUE.labels, *labels))
    closed, ended = issue.closed(at(5))
    before = (await story(database, issue.opened(), ended))[ITEM]
    assert (before.team, before.risk, before.outcome, before.shared_at) == ("search", Risk.BOLD, Outcome.FAILED, at(2))
    bare = replace(closed, labels=("experiment",))
    after = (await story(database, bare.edited(at(7))))[ITEM]
    assert (after.team, after.risk, after.shared_at) == ("acme/app", None, None)
    assert (after.outcome, after.failure_category) == (Outcome.UNDECLARED, None)


async def test_a_label_that_replaced_another_in_a_lost_delivery_gives_the_team(database: Database) -> None:
    moved = replace(ISSUE, labels=("experiment", "team:ads"))
    assert (await story(database, moved.edited(at(5)), ISSUE.opened()))[ITEM].team == "ads"


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_a_swap_of_labels_within_one_second_counts_in_any_order(
    database: Database, order: tuple[int, ...]
) -> None:
    both, added = ISSUE.labeled("team:ads", at(4))
    swapped, removed = both.unlabeled("team:search", at(4))
    told = (ISSUE.opened(), added, removed, swapped.edited(at(4)))
    assert (await story(database, *(told[place] for place in order)))[ITEM].team == "ads"


async def test_a_transferred_issue_keeps_its_mark_although_its_old_page_has_lost_the_labels(database: Database) -> None:
    new = {"number": 9, "created_at": "2026-03-02T09:00:00Z", "updated_at": "2026-03-05T09:00:00Z"}
    moved = {"new_issue": new, "new_repository": {"full_name": "acme/docs"}}
    told = (ISSUE.opened(), replace(ISSUE, labels=()).event("transferred", at(5), changes=moved))
    assert set(await story(database, *told)) == {"github:acme/docs#9"}
    assert await all_exclusions(database) == {}


async def test_a_body_in_part_ends_no_label(database: Database) -> None:
    request = ISSUE.edited(at(5))
    shown = {name: value for name, value in json.loads(request.body)["issue"].items() if name != "labels"}
    assert set(await story(database, ISSUE.opened(), changed(request, issue=shown))) == {ITEM}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_lost_reopening_of_an_issue_opens_the_experiment_in_any_order(
    database: Database, order: tuple[int, ...]
) -> None:
    told = (ISSUE.opened(), ISSUE.closed(at(5))[1], ISSUE.edited(at(8)))
    experiment = (await story(database, *(told[place] for place in order)))[ITEM]
    assert (experiment.concluded_at, experiment.state) == (None, State.PROPOSED)


async def test_a_comment_shows_that_an_issue_is_open_again(database: Database) -> None:
    told = (ISSUE.opened(), ISSUE.closed(at(5))[1], ISSUE.commented("Once more.", at(8)))
    assert (await story(database, *told))[ITEM].concluded_at is None


async def test_an_issue_closed_as_a_duplicate_counts_again_after_a_lost_reopening(database: Database) -> None:
    told = (ISSUE.opened(), ISSUE.closed(at(5), "duplicate")[1], ISSUE.edited(at(8)))
    assert (await story(database, *told))[ITEM].concluded_at is None
    assert await all_exclusions(database) == {}


async def test_a_second_closing_after_a_lost_reopening_dates_the_answer(database: Database) -> None:
    told = (ISSUE.opened(), ISSUE.closed(at(5))[1], ISSUE.edited(at(8)), ISSUE.closed(at(9))[1])
    assert (await story(database, *told))[ITEM].concluded_at == at(9)


async def test_an_experiment_that_a_comment_concluded_stays_concluded_while_its_issue_is_open(
    database: Database,
) -> None:
    told = (ISSUE.opened(), ISSUE.commented("/experiment conclude worked", at(5)), ISSUE.edited(at(8)))
    assert (await story(database, *told))[ITEM].concluded_at == at(5)


async def test_a_lost_reopening_of_a_pull_request_opens_its_experiment(database: Database) -> None:
    pull = PullRequest(created_at=at(2), labels=("experiment",), body="")
    told = (pull.opened(), pull.closed(at(5))[1], pull.pushed("c" * 40, at(8))[1])
    assert (await story(database, *told))[CHANGE].concluded_at is None


async def test_a_lost_removal_in_gitlab_excludes_the_experiment(database: Database) -> None:
    issue = GitLabIssue(created_at=at(2))
    assert await story(database, issue.opened(), replace(issue, labels=()).assigned(at(4))) == {}
    assert await all_exclusions(database) == {GITLAB_ITEM: Exclusion("unmarked", at(4))}


async def test_a_lost_reopening_in_gitlab_opens_the_experiment(database: Database) -> None:
    issue = GitLabIssue(created_at=at(2))
    told = (issue.opened(), issue.closed(at(5))[1], issue.assigned(at(8)))
    assert (await story(database, *told))[GITLAB_ITEM].concluded_at is None


async def test_a_lost_reopening_of_a_merge_request_opens_its_experiment(database: Database) -> None:
    merge = MergeRequest(created_at=at(2), labels=("experiment",), description="")
    told = (merge.opened(), replace(merge, state="closed").event("close", at(5)), merge.event("update", at(8)))
    assert (await story(database, *told))["gitlab:acme/app!7"].concluded_at is None


async def test_a_ticket_whose_label_was_removed_in_a_lost_delivery_is_excluded(database: Database) -> None:
    ticket = Ticket(created_at=at(2), type="Task", labels=("experiment",))
    told = (ticket.created(), replace(ticket, labels=()).event("jira:issue_updated", at(4)))
    assert await story(database, *told) == {}
    assert await all_exclusions(database) == {TICKET: Exclusion("unmarked", at(4))}


async def test_a_ticket_whose_type_changed_in_a_lost_delivery_is_excluded(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    told = (ticket.created(), replace(ticket, type="Task").event("jira:issue_updated", at(4)))
    assert await story(database, *told) == {}
    assert await all_exclusions(database) == {TICKET: Exclusion("unmarked", at(4))}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_ticket_that_left_its_final_status_in_a_lost_delivery_is_open(
    database: Database, order: tuple[int, ...]
) -> None:
    ticket = Ticket(created_at=at(2))
    done, closed = ticket.moved(DONE, at(5), "Done")
    again = replace(done, status=IN_PROGRESS, resolution=None, resolved_at=None)
    told = (ticket.created(), closed, again.event("jira:issue_updated", at(8)))
    assert (await story(database, *(told[place] for place in order)))[TICKET].concluded_at is None


async def test_a_comment_shows_that_a_ticket_is_open_again(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    done, closed = ticket.moved(DONE, at(5), "Done")
    again = replace(done, status=IN_REVIEW, resolution=None, resolved_at=None)
    assert (await story(database, ticket.created(), closed, again.commented("Once more.", at(8))))[
        TICKET
    ].concluded_at is None


async def test_a_move_between_two_final_statuses_keeps_the_first_conclusion(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    done, closed = ticket.moved(DONE, at(5), "Done")
    archived = replace(done, status=("10099", "Archived", "done"))
    told = (ticket.created(), closed, archived.event("jira:issue_updated", at(8)))
    assert (await story(database, *told))[TICKET].concluded_at == at(5)


def with_fields(request: Request, **fields: Any) -> Request:
    """A delivery of Jira whose ticket has further fields, and lacks those that are None."""
    payload = json.loads(request.body)
    shown = payload["issue"]["fields"] | fields
    payload["issue"]["fields"] = {name: value for name, value in shown.items() if value is not None}
    return replace(request, body=json.dumps(payload).encode())


CHILD = Ticket(key="ML-13", created_at=at(2), type="Task")
COMPLETE = {"issuelinks": [], "labels": [], "updated": "2026-03-02T09:00:00.000+0000"}


def child(when: datetime, changes: tuple[dict[str, Any], ...] = (), **fields: Any) -> Request:
    return with_fields(CHILD.event("jira:issue_updated", when, changes), **COMPLETE, **fields)


def started(when: datetime, **fields: Any) -> Request:
    return with_fields(CHILD.moved(IN_PROGRESS, when)[1], **COMPLETE, **fields)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_ticket_that_no_longer_shows_its_parent_is_no_evidence_for_it(
    database: Database, order: tuple[int, ...]
) -> None:
    told = (child(at(3), parent={"key": "ML-12"}), child(at(4)), started(at(5)))
    experiment = (await story(database, Ticket(created_at=at(2)).created(), *(told[place] for place in order)))[TICKET]
    assert experiment.started_at is None


async def test_a_ticket_that_still_shows_its_parent_starts_it(database: Database) -> None:
    parent = {"key": "ML-12"}
    told = (child(at(3), parent=parent), started(at(5), parent=parent))
    assert (await story(database, Ticket(created_at=at(2)).created(), *told))[TICKET].started_at == at(5)


@pytest.mark.parametrize("field", ["Epic Link", "Parent Link", "IssueParentAssociation"])
async def test_a_ticket_that_was_taken_out_of_its_epic_is_no_evidence_for_it(database: Database, field: str) -> None:
    def changed_to(key: str | None, before: str | None = None) -> tuple[dict[str, Any], ...]:
        ids = {"from": before and "10012", "to": key and "10012"}
        return ({"field": field, "fieldtype": "custom", "fromString": before, "toString": key, **ids},)

    parent = {"key": "ML-12"} if field == "IssueParentAssociation" else None
    root = Ticket(created_at=at(2)).created()
    into, out = child(at(3), changed_to("ML-12"), parent=parent), child(at(4), changed_to(None, "ML-12"))
    assert (await story(database, root, into, started(at(6), parent=parent)))[TICKET].started_at == at(6)
    assert (await story(database, out, child(at(7))))[TICKET].started_at is None


async def test_a_ticket_that_no_longer_shows_a_link_is_no_evidence_for_the_other(database: Database) -> None:
    link = {"type": {"outward": "implements"}, "outwardIssue": {"key": "ML-12"}}
    root = Ticket(created_at=at(2)).created()
    linked = with_fields(child(at(3)), issuelinks=[link])
    assert (await story(database, root, linked, with_fields(started(at(5)), issuelinks=[link])))[TICKET].started_at
    assert (await story(database, child(at(6))))[TICKET].started_at is None

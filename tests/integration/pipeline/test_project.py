"""Concurrent workers neither lose nor duplicate events: after every commit, a worker folds the new events."""

import asyncio
import random
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from uuid import NAMESPACE_OID, uuid5

import pytest

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment, Restart
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_delivery
from service.pipeline.project import project_dirty
from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage import dirty_subjects, exclusions, experiments, recording
from service.storage.database import Connection, Database
from service.storage.errors import DatabaseUnavailable
from service.storage.recording import InterpretedDelivery
from service.telemetry import Telemetry
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, github, push, renamed, workflow_run
from tests.support.outage import Unlucky
from tests.support.road import RULES, all_exclusions, all_experiments, deliver, project, settle, store_deliveries

ISSUE = "github:acme/app#45"


async def _record(connection: Connection, request: GitHubRequest) -> None:
    interpretation = interpret_delivery(RULES, request.delivery(at(2)))
    by = uuid5(NAMESPACE_OID, request.delivery_id)
    brought = dict.fromkeys(interpretation.events, "a rule")
    await recording.record_deliveries(
        connection, [InterpretedDelivery(by, at(2), brought, interpretation.links, interpretation.aliases)]
    )


@pytest.mark.parametrize("claimed", ["github:acme/app!7", "commit:" + "a" * 40])
async def test_an_experiment_is_kept_when_its_evidence_moves_to_another_one_during_projection(
    database: Database, monkeypatch: pytest.MonkeyPatch, claimed: str
) -> None:
    other, pull = Issue(number=46, created_at=at(2)), PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened(), other.opened(), pull.opened())
    async with database.transaction() as connection:
        await dirty_subjects.mark_dirty(connection, [Ref(claimed)])
    lock, edits = experiments.lock_roots, [pull.edited("Closes #46", at(5))[1]]

    async def edited_before(connection: Connection, roots: Iterable[Ref]) -> None:
        while edits:
            async with database.transaction() as editing:
                await _record(editing, edits.pop())
            # Another worker folds the subjects that this transaction marked dirty.
            await project(database)
        await lock(connection, roots)

    monkeypatch.setattr(experiments, "lock_roots", edited_before)
    await project(database)
    assert set(await all_experiments(database)) == {ISSUE, "github:acme/app#46"}


async def test_a_link_and_its_evidence_that_are_committed_at_the_same_moment_are_both_projected(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened())
    async with database.transaction() as linking:
        await _record(linking, pull.opened())

        # Meanwhile the evidence arrives. The open transaction has marked the subject of this evidence as dirty too.
        async def bring_evidence() -> None:
            async with database.transaction() as other:
                await _record(other, workflow_run(pull.head, at(4)))

        evidence = asyncio.create_task(bring_evidence())
        await asyncio.sleep(0.05)
        await project(database)
    await evidence
    await project(database)
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(4)


async def test_evidence_that_is_committed_while_its_experiment_is_folded_is_folded_next(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened())
    async with database.transaction() as folding:
        async with database.transaction() as connection:
            await _record(connection, workflow_run(pull.head, at(5)))
        claimed = await dirty_subjects.claim_dirty(folding, 10, at(2))
        assert set(claimed) == {f"commit:{pull.head}"}
        async with database.transaction() as connection:
            await _record(connection, workflow_run(pull.head, at(4)))
        assert await dirty_subjects.clear(folding, claimed) == 0
    await project(database)
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(4)


async def test_projection_does_not_wait_for_transactions_that_mark_its_subjects_again(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened())
    async with database.transaction() as connection:
        await _record(connection, workflow_run(pull.head, at(5)))
    async with database.transaction() as touching:
        await _record(touching, workflow_run(pull.head, at(4)))
        assert await project_dirty(database, lambda: at(2)) == 0
        assert (await all_experiments(database))[ISSUE].first_signal_at == at(5)
    await project(database)
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(4)


async def test_an_edit_that_waits_for_an_earlier_edit_moves_the_evidence_again(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(3), body="")
    _, first = pull.edited("Closes #45", at(4))
    _, second = pull.edited("Closes #46", at(5))
    await deliver(database, Issue(created_at=at(2)).opened(), Issue(number=46, created_at=at(2)).opened())
    async with database.transaction() as earlier:
        await _record(earlier, first)

        async def edit_again() -> None:
            async with database.transaction() as later:
                await _record(later, second)
                await project_between.wait()

        project_between = asyncio.Event()
        waiting = asyncio.create_task(edit_again())
        await asyncio.sleep(0.05)
    await project(database)
    project_between.set()
    await waiting
    await project(database)
    told = await all_experiments(database)
    assert (told[ISSUE].started_at, told["github:acme/app#46"].started_at) == (None, at(3))


def _a_busy_week() -> list[GitHubRequest]:
    """Deliveries about ten issues, about pull requests that move between these issues, and about runs.

    Many of the deliveries share subjects.
    """
    requests = []
    for number in range(1, 11):
        issue = Issue(number=number, created_at=at(2))
        pull = PullRequest(number=100 + number, created_at=at(3), body=f"Closes #{number}", head=f"{number:040}")
        requests += [issue.opened(), pull.opened(), workflow_run(pull.head, at(4))]
        pull, edited = pull.edited(f"Closes #{number % 10 + 1}", at(5))
        pull, pushed = pull.pushed(f"{100 + number:040}", at(6))
        requests += [edited, pushed, workflow_run(pull.head, at(7), "failure")]
        issue, failed = issue.labeled("outcome:failed", at(8))
        issue, closed = issue.closed(at(9))
        requests += [failed, closed]
    return requests


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_workers_give_the_same_experiments_as_one_worker(database: Database, seed: int) -> None:
    requests = _a_busy_week()
    random.Random(seed).shuffle(requests)
    await store_deliveries(database, *(request.delivery(at(2)) for request in requests))
    await asyncio.gather(*(settle(database) for _ in range(4)))
    await settle(database)
    busy = await all_experiments(database)
    assert len(busy) == 10
    # Process the same deliveries again, with one worker and in the order of the events.
    await _forget(database)
    async with database.transaction() as connection:
        for request in _a_busy_week():
            await _record(connection, request)
    await project(database)
    assert await all_experiments(database) == busy
    assert all(one.first_signal_at == at(4) and one.started_at == at(3) for one in busy.values())


async def _forget(database: Database) -> None:
    tables = "deliveries, events, event_deliveries, links, touched, experiments, exclusions"
    async with database.transaction() as connection:
        await connection.exec_driver_sql(f"TRUNCATE {tables}")


async def test_projecting_no_subject_changes_nothing(database: Database) -> None:
    assert await project_dirty(database, lambda: at(2)) == 0


async def test_a_subject_that_cannot_be_projected_is_postponed_and_stops_no_other(database: Database) -> None:
    await deliver(database, *(Issue(number=number, created_at=at(2)).opened() for number in (1, 2)))
    async with database.transaction() as connection:
        # During a rollout, a newer version of the service may store an event that this version does not support.
        newer = "UPDATE events SET kind = 'divined' WHERE subject LIKE '%%#1' AND kind = 'proposed'"
        await connection.exec_driver_sql(newer)
        for number in (1, 2, 3):
            await _record(connection, Issue(number=number, created_at=at(2)).assigned(at(3)))
    await project(database)
    told = await all_experiments(database)
    assert [told[f"github:acme/app#{number}"].started_at for number in (1, 2, 3)] == [None, at(3), at(3)]
    async with database.transaction() as connection:
        aside = await connection.exec_driver_sql("SELECT subject, attempts, error FROM touched")
        [row] = aside.mappings()
    assert (row["subject"].endswith("#1"), row["attempts"]) == (True, 1)
    assert row["error"].startswith("UnreadableEvent: ")


async def test_a_postponed_subject_is_projected_when_it_is_due(database: Database) -> None:
    await deliver(database, Issue(number=1, created_at=at(2)).opened())
    async with database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE events SET kind = 'divined' WHERE kind = 'proposed'")
        await _record(connection, Issue(number=1, created_at=at(2)).assigned(at(3)))
    await project(database)
    async with database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE events SET kind = 'proposed' WHERE kind = 'divined'")
    await project(database)
    assert (await all_experiments(database))["github:acme/app#1"].started_at is None
    assert await project_dirty(database, lambda: at(2, "09:01:00")) == 1
    assert (await all_experiments(database))["github:acme/app#1"].started_at == at(3)


async def test_a_projection_of_older_events_does_not_overwrite_a_newer_projection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened())
    replace, has_read, may_write = experiments.replace, asyncio.Event(), asyncio.Event()

    async def slowly(connection: Connection, folded: Iterable[Experiment], gone: Collection[Ref]) -> None:
        if not has_read.is_set():
            has_read.set()
            await may_write.wait()
        await replace(connection, folded, gone)

    monkeypatch.setattr(experiments, "replace", slowly)
    async with database.transaction() as connection:
        await _record(connection, Issue(created_at=at(2)).assigned(at(4)))
    older = asyncio.create_task(project(database))
    await has_read.wait()
    async with database.transaction() as connection:
        await _record(connection, workflow_run(pull.head, at(5)))
    newer = asyncio.create_task(project(database))
    await asyncio.wait([newer], timeout=0.5)
    may_write.set()
    await asyncio.gather(older, newer)
    assert (await all_experiments(database))[ISSUE].first_signal_at == at(5)


async def test_a_rename_waits_for_transactions_that_record_the_old_name(database: Database) -> None:
    async with database.transaction() as speaking:
        await _record(speaking, Issue(created_at=at(2)).opened())

        async def rename() -> None:
            async with database.transaction() as renaming:
                await _record(renaming, renamed("app", "acme/web", at(3)))

        waiting = asyncio.create_task(rename())
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()
    await waiting
    async with database.transaction() as connection:
        touched = await dirty_subjects.claim_dirty(connection, 10, at(2))
    assert ISSUE in touched


@pytest.mark.parametrize("together", [True, False])
async def test_a_chain_of_renames_ends_at_the_last_name_without_another_event(
    database: Database, *, together: bool
) -> None:
    told = [
        Issue(created_at=at(2), repository="acme/a").opened(),
        renamed("a", "acme/b", at(3)),
        renamed("b", "acme/c", at(4)),
    ]
    for part in [told] if together else [[one] for one in told]:
        await deliver(database, *part)
    assert set(await all_experiments(database)) == {"github:acme/c#45"}


async def test_a_transferred_item_is_renamed_with_its_new_repository(database: Database) -> None:
    issue = Issue(number=2, created_at=at(2))
    new = {"new_issue": {"number": 9}, "new_repository": {"full_name": "acme/docs"}}
    await deliver(database, issue.opened())
    await deliver(database, issue.event("transferred", at(3), changes=new))
    assert set(await all_experiments(database)) == {"github:acme/docs#9"}
    await deliver(database, renamed("docs", "acme/manual", at(4)))
    assert set(await all_experiments(database)) == {"github:acme/manual#9"}


async def test_a_repository_that_moves_to_another_owner_keeps_its_experiments(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    payload = {
        "action": "transferred",
        "repository": {"full_name": "newco/app", "updated_at": "2026-03-05T09:00:00Z"},
        "changes": {"owner": {"from": {"organization": {"login": "acme"}}}},
    }
    await deliver(database, github("repository", payload))
    assert set(await all_experiments(database)) == {"github:newco/app#45"}


FAILED = ("experiment", "outcome:failed")


def _reclassified(telemetry: Telemetry) -> dict[tuple[str, str], float]:
    """The number of failures whose category changed, by the former and the new category. Zeros are omitted."""
    return {
        (sample.labels["from_category"], sample.labels["to_category"]): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == "loopgauge_reclassifications_total" and sample.value
    }


async def _touch(database: Database) -> None:
    async with database.transaction() as connection:
        await dirty_subjects.mark_dirty(connection, [Ref(ISSUE)])


async def test_a_failure_whose_category_changes_is_counted(database: Database) -> None:
    issue, closed = Issue(created_at=at(2), labels=FAILED).closed(at(3))
    await deliver(database, closed)
    basic, classified = issue.labeled("failure:basic", at(4))
    await deliver(database, classified)
    bare, unclassified = basic.unlabeled("failure:basic", at(5))
    complex_one = bare.labeled("failure:complex", at(5, "10:00:00"))[1]
    await store_deliveries(database, unclassified.delivery(at(5)), complex_one.delivery(at(5)))
    assert _reclassified(await settle(database)) == {("basic", "complex"): 1}


async def test_the_first_classification_of_a_failure_is_counted_as_a_move_from_unclassified(database: Database) -> None:
    issue, closed = Issue(created_at=at(2), labels=FAILED).closed(at(3))
    await deliver(database, closed)
    await store_deliveries(database, issue.labeled("failure:intelligent", at(4))[1].delivery(at(4)))
    assert _reclassified(await settle(database)) == {("unclassified", "intelligent"): 1}


async def test_an_experiment_that_becomes_or_stops_being_a_failure_is_not_reclassified(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=(*FAILED, "failure:basic"))
    closed, closing = issue.closed(at(3))
    await store_deliveries(database, issue.opened().delivery(at(2)))
    assert _reclassified(await settle(database)) == {}
    await store_deliveries(database, closing.delivery(at(3)))
    assert _reclassified(await settle(database)) == {}
    await store_deliveries(database, closed.reopened(at(4))[1].delivery(at(4)))
    assert _reclassified(await settle(database)) == {}
    await _touch(database)
    assert _reclassified(await settle(database)) == {}


async def test_a_rolled_back_reclassification_is_not_counted(database_url: str) -> None:
    unlucky, lucky = Unlucky(database_url), Database(database_url)
    issue, closed = Issue(created_at=at(2), labels=FAILED).closed(at(3))
    await deliver(lucky, closed)
    async with lucky.transaction() as connection:
        await _record(connection, issue.labeled("failure:basic", at(4))[1])
    telemetry = Telemetry([])
    with pytest.raises(DatabaseUnavailable):
        await project_dirty(unlucky, lambda: at(2), telemetry)
    assert _reclassified(telemetry) == {}
    await project_dirty(lucky, lambda: at(2), telemetry)
    assert _reclassified(telemetry) == {("unclassified", "basic"): 1}
    await unlucky.close()
    await lucky.close()


async def test_a_reclassification_is_counted_once_if_another_subject_cannot_be_projected(
    database: Database,
) -> None:
    issue, closed = Issue(created_at=at(2), labels=FAILED).closed(at(3))
    await deliver(database, closed)
    async with database.transaction() as connection:
        other = Issue(number=1, created_at=at(2))
        await _record(connection, other.opened())
        newer = "UPDATE events SET kind = 'divined' WHERE subject LIKE '%%#1' AND kind = 'proposed'"
        await connection.exec_driver_sql(newer)
        await _record(connection, issue.labeled("failure:basic", at(4))[1])
    telemetry = Telemetry([])
    await project_dirty(database, lambda: at(2), telemetry)
    assert _reclassified(telemetry) == {("unclassified", "basic"): 1}


async def test_an_unmarked_experiment_is_excluded_until_it_is_marked_again(database: Database) -> None:
    issue = Issue(created_at=at(2))
    issue, unlabeled = issue.unlabeled("experiment", at(4))
    _, labeled = issue.labeled("experiment", at(6))
    await deliver(database, Issue(created_at=at(2)).opened())
    assert await all_exclusions(database) == {}
    await deliver(database, unlabeled)
    assert await all_exclusions(database) == {ISSUE: Exclusion("unmarked", at(4))}
    assert await all_experiments(database) == {}
    await deliver(database, labeled)
    assert await all_exclusions(database) == {}
    assert set(await all_experiments(database)) == {ISSUE}


async def test_a_duplicate_is_excluded_from_its_closing_on_and_its_exclusion_follows_a_rename(
    database: Database,
) -> None:
    _, closed = Issue(created_at=at(2)).closed(at(5), "duplicate")
    await deliver(database, closed)
    assert await all_exclusions(database) == {ISSUE: Exclusion("duplicate", at(5))}
    await deliver(database, renamed("app", "acme/web", at(7)))
    assert await all_exclusions(database) == {"github:acme/web#45": Exclusion("duplicate", at(5))}


async def test_an_excluded_subject_that_becomes_evidence_of_an_experiment_is_no_longer_excluded(
    database: Database,
) -> None:
    pull = PullRequest(created_at=at(3), body="", branch="exp/cache")
    _, linked = pull.edited("Closes #45", at(5))
    deleted = pull.event("labeled", at(4), label={"name": "x"})
    rules = excluding("x")
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened(), deleted, rules=rules)
    assert await all_exclusions(database) == {"github:acme/app!7": Exclusion("out of scope", at(4))}
    await deliver(database, linked, rules=rules)
    assert await all_exclusions(database) == {}


def excluding(label: str) -> Rules:
    """Rules under which this label excludes an item."""
    text = f'rules:\n  - when: {{label: {label}}}\n    then: {{declare: {{excluded: "out of scope"}}}}\n'
    return read_rules(RulesFile("excluding.yaml", text), packaged_rules(), PROVIDERS)


async def test_a_branch_that_has_a_change_is_not_excluded(database: Database) -> None:
    pull = PullRequest(created_at=at(4), branch="exp/cache", body="")
    await deliver(database, push("exp/cache", "a" * 40, at(3), "Try", created=True))
    await deliver(database, pull.opened())
    assert set(await all_experiments(database)) == {"github:acme/app!7"}
    assert await all_exclusions(database) == {}


async def test_a_marked_change_restarts_a_concluded_experiment_whose_repository_was_renamed(database: Database) -> None:
    issue, closed = Issue(created_at=at(2)).closed(at(5))
    pull = PullRequest(created_at=at(12), branch="exp/cache")
    await deliver(database, pull.opened(), closed, renamed("app", "acme/web", at(13)))
    [taken_up] = (await all_experiments(database))["github:acme/web#45"].restarts
    assert taken_up == Restart(at(12), concluded=True, quiet=timedelta(days=7))
    assert issue.number == 45


async def test_an_exclusion_from_older_events_does_not_overwrite_a_newer_exclusion(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue, unlabeled = Issue(created_at=at(2)).unlabeled("experiment", at(4))
    _, labeled = issue.labeled("experiment", at(6))
    pull = PullRequest(created_at=at(3))
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened(), unlabeled)
    replace, has_read, may_write = exclusions.replace, asyncio.Event(), asyncio.Event()

    async def slowly(connection: Connection, left_out: Mapping[Ref, Exclusion], gone: Collection[Ref]) -> None:
        if not has_read.is_set():
            has_read.set()
            await may_write.wait()
        await replace(connection, left_out, gone)

    monkeypatch.setattr(exclusions, "replace", slowly)
    async with database.transaction() as connection:
        # This run marks only the commit as dirty, and the older worker projects the commit. The label then marks the
        # issue as dirty, and the newer worker projects the issue.
        await _record(connection, workflow_run(pull.head, at(5)))
    older = asyncio.create_task(project(database))
    await has_read.wait()
    async with database.transaction() as connection:
        await _record(connection, labeled)
    newer = asyncio.create_task(project(database))
    await asyncio.wait([newer], timeout=0.5)
    may_write.set()
    await asyncio.gather(older, newer)
    assert await all_exclusions(database) == {}
    assert set(await all_experiments(database)) == {ISSUE}


async def test_subjects_marked_by_a_migration_are_projected_after_newly_marked_ones(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.exec_driver_sql("INSERT INTO touched (subject, retry_at) VALUES ('key:old', 'infinity')")
        await connection.exec_driver_sql("INSERT INTO touched (subject) VALUES ('key:new')")
        assert await dirty_subjects.has_due(connection, await dirty_subjects.newest_mark(connection), at(2))
        assert list(await dirty_subjects.claim_dirty(connection, 10, at(2))) == ["key:new", "key:old"]

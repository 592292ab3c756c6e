"""A replay interprets stored deliveries again. Data changes only where the current rules give another result."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Nothing, Observation
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_pending
from service.pipeline.project import project
from service.pipeline.surroundings import Surroundings
from service.providers import PROVIDERS
from service.providers.github import GitHub
from service.queries.replay import Replay, ReplayResult
from service.queries.retry import RetryResult, retry_failed, retry_selected
from service.rules.document import RulesFile
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage import aliases, dirty_subjects, inbox, inbox_listing
from service.storage.database import Database
from service.storage.inbox import DeliveryVerdict
from service.telemetry import Telemetry
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, github, renamed, workflow_run
from tests.support.road import RULES, TERMS, all_experiments, api, deliver, post, settle, store_deliveries
from tests.support.signing import POSTED
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.oldest_postgresql_too
BETS = read_rules(
    RulesFile(
        "bets.yaml",
        "keys: [OPS]\nrules:\n  - when: {label: bet}\n    then: {declare: {experiment: true}}\n",
    ),
    packaged_rules(),
    PROVIDERS,
)
ISSUE = "github:acme/app#45"
_Done = TypeVar("_Done")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use batches so small that each replay has several batches."""
    monkeypatch.setattr("service.queries.replay._BATCH", 50)


def _replay(rules: Rules = RULES) -> Replay:
    return Replay(rules, TERMS, lambda: at(20), lambda done, total: None)


async def _run(database: Database, rules: Rules = RULES, since: datetime | None = None) -> ReplayResult:
    return await _replay(rules).run(database, since)


def _story() -> list[GitHubRequest]:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    pull = PullRequest(created_at=at(3))
    told = [issue.opened(), pull.opened(), workflow_run(pull.head, at(4))]
    pull, edited = pull.edited("Closes #46", at(5))
    told += [edited, issue.commented("/experiment conclude failed basic", at(6)), renamed("app", "acme/web", at(7))]
    other, closed = Issue(number=46, created_at=at(2)).closed(at(8))
    _, reopened = other.reopened(at(9))
    return [*told, closed, reopened, github("issues", b"{")]


TABLES = (
    "deliveries",
    "events",
    "event_deliveries",
    "links",
    "link_statements",
    "aliases",
    "touched",
    "experiments",
    "exclusions",
)


async def _everything(database: Database) -> dict[str, list[Any]]:
    """Every row of `TABLES`, without `interpreted_at`, because a replay sets this time anew."""
    async with database.transaction() as connection:
        found = {
            table: list(await connection.exec_driver_sql(f"SELECT to_jsonb(t) - 'interpreted_at' FROM {table} AS t"))
            for table in TABLES
        }
    return {table: sorted(map(repr, rows)) for table, rows in found.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_a_replay_under_the_same_rules_changes_nothing(database: Database, seed: int) -> None:
    told = _story()
    random.Random(seed).shuffle(told)
    await deliver(database, *told)
    before, rows = await all_experiments(database), await _everything(database)
    replayed = await _run(database)
    assert replayed == ReplayResult(len(told), {})
    assert await all_experiments(database) == before
    assert await _everything(database) == rows


async def test_a_replay_under_other_rules_applies_and_reports_their_changes(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("bet", "team:search")).opened())
    assert await all_experiments(database) == {}
    replayed = await _run(database, BETS)
    assert set(await all_experiments(database)) == {ISSUE}
    in_flight = 'loopgauge_experiments_in_flight{stage="proposed", team="search"}'
    assert replayed.changed[in_flight] == (None, 1)
    replayed = await _run(database)
    assert await all_experiments(database) == {}
    assert replayed.changed[in_flight] == (1, None)


async def test_a_replay_updates_the_verdict(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("bet",)).opened())
    for rules, verdict in ((BETS, "counted"), (RULES, "ignored")):
        await _run(database, rules)
        async with database.transaction() as connection:
            [row], _ = await inbox_listing.read_page(connection)
        assert row.verdict == verdict


async def test_a_link_that_the_rules_no_longer_make_is_removed_and_other_links_stay(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="", branch="ML-12-cache", title="OPS-7")
    await deliver(database, pull.opened())

    async def served() -> set[str]:
        async with database.transaction() as connection:
            rows = await connection.exec_driver_sql("SELECT unnest(targets) FROM links WHERE channel <> 'head'")
            names = await aliases.read_all(connection)
            return {str(names.canonical(Ref(target))) for target in rows.scalars()} - {"github:acme/app!7"}

    assert await served() == {"jira:ML-12", "jira:OPS-7"}
    await _run(database, BETS)
    assert await served() == {"jira:OPS-7"}


async def test_an_older_set_of_links_applies_again_when_the_newer_one_is_withdrawn(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="")
    _, first = pull.edited("Closes #45", at(4))
    _, second = pull.edited("Closes #46", at(5))
    await deliver(database, Issue(created_at=at(2)).opened(), Issue(number=46, created_at=at(2)).opened())
    await deliver(database, first, second)
    assert (await all_experiments(database))["github:acme/app#46"].started_at == at(3)
    ignoring = read_rules(RulesFile("none.yaml", "extends: none"), packaged_rules(), PROVIDERS)
    async with database.transaction() as connection:
        # Give the second edit an unknown provider, so that the replay withdraws its link.
        await connection.exec_driver_sql(
            f"UPDATE deliveries SET provider = 'gopher' WHERE provider_id = '{second.delivery_id}'"
        )
    await _run(database)
    told = await all_experiments(database)
    assert (told[ISSUE].started_at, told["github:acme/app#46"].started_at) == (at(3), None)
    await _run(database, ignoring)
    assert await all_experiments(database) == {}


async def test_an_experiment_gets_its_former_name_back_when_a_rename_is_withdrawn(database: Database) -> None:
    rename = renamed("app", "acme/web", at(7))
    await deliver(database, Issue(created_at=at(2)).opened(), rename)
    assert set(await all_experiments(database)) == {"github:acme/web#45"}
    for forgotten, left in (([rename.delivery_id], {ISSUE}), (["%"], set())):
        async with database.transaction() as connection:
            await connection.execute(
                text("UPDATE deliveries SET provider = 'gopher' WHERE provider_id LIKE ANY(:ids)"), {"ids": forgotten}
            )
        await _run(database)
        assert set(await all_experiments(database)) == left


async def test_one_replay_can_withdraw_everything(database: Database) -> None:
    await deliver(database, *_story())
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE deliveries SET provider = 'gopher'"))
    await _run(database)
    assert {table for table, rows in (await _everything(database)).items() if rows} == {"deliveries"}


async def test_an_event_stays_while_another_delivery_asserts_it(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("bet",))
    opened, edited = issue.opened(), issue.edited(at(3))
    await deliver(database, opened, edited)
    async with database.transaction() as connection:
        # The body of the first delivery is past its retention, so this delivery cannot be interpreted again.
        await connection.exec_driver_sql(
            f"UPDATE deliveries SET body = NULL WHERE provider_id = '{opened.delivery_id}'"
        )
    nothing = read_rules(RulesFile("none.yaml", "extends: none"), packaged_rules(), PROVIDERS)
    assert (await _run(database, nothing)).deliveries == 1
    async with database.transaction() as connection:
        kinds = await connection.exec_driver_sql("SELECT kind, occurred_at FROM events")
        assert ("proposed", at(2)) in {(row.kind, row.occurred_at) for row in kinds}


async def test_only_deliveries_received_since_a_time_are_replayed(database: Database) -> None:
    async with database.transaction() as connection:
        for day in (3, 5, 7):
            await inbox.store(connection, [Issue(number=day, created_at=at(2)).opened().delivery(at(day))])
    await settle(database)
    assert (await _run(database, since=at(5))).deliveries == 2


async def test_a_dry_run_reports_what_would_change_and_changes_nothing(database: Database) -> None:
    await deliver(database, *_story(), Issue(number=9, created_at=at(2), labels=("bet",)).opened())
    rows = await _everything(database)
    rehearsed = await _replay(BETS).dry_run(database)
    assert await _everything(database) == rows
    assert rehearsed.changed
    assert await _run(database, BETS) == rehearsed


def _apart(work: Callable[[Database], Coroutine[Any, Any, _Done]], url: str) -> _Done:
    """Run `work` in a new event loop with new connections, as another process would."""

    async def run() -> _Done:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def test_a_paused_dry_run_blocks_no_other_work(database: Database, database_url: str) -> None:
    bets = [Issue(number=number, created_at=at(2), labels=("bet",)).opened() for number in range(100, 200)]
    await deliver(database, *_story(), *bets)
    undisturbed = await _replay(BETS).dry_run(database)
    halfway, go_on = threading.Event(), threading.Event()

    def wait(_done: int, _total: int) -> None:
        halfway.set()
        assert go_on.wait(60)

    held_up = Replay(BETS, TERMS, lambda: at(20), wait)
    rehearsing = asyncio.create_task(asyncio.to_thread(_apart, held_up.dry_run, database_url))
    assert await asyncio.to_thread(halfway.wait, 60)
    try:
        # Deliver while the dry run is paused. A rename takes the strongest lock that a running service takes.
        more = [Issue(number=300, created_at=at(2)).opened(), renamed("web", "acme/site", at(10))]
        async with api(database, role="all") as client:
            for request in more:
                assert (await post(client, request)).status_code == 202
            async with asyncio.timeout(PATIENCE_SECONDS):
                while "github:acme/site#300" not in await all_experiments(database):  # noqa: ASYNC110 - no event signals it
                    await asyncio.sleep(0.05)
        assert (await _run(database)).deliveries == len(_story()) + len(bets) + len(more)
        live = await _everything(database)
    finally:
        go_on.set()
    assert await rehearsing == undisturbed
    assert await _everything(database) == live


async def test_a_dry_run_does_not_report_changes_that_wait_for_projection(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("bet",)).opened())
    await store_deliveries(database, Issue(number=46, created_at=at(2)).opened().delivery(at(2)))
    await interpret_pending(database, RULES, Telemetry(["github"]), lambda: at(2))
    in_flight = 'loopgauge_experiments_in_flight{stage="proposed", team="acme/app"}'
    for replayed in (await _replay(BETS).dry_run(database), await _run(database, BETS)):
        assert replayed.changed[in_flight] == (1, 2)


async def test_a_replay_waits_for_subjects_that_another_worker_projects(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    await store_deliveries(database, Issue(number=46, created_at=at(2)).opened().delivery(at(2)))
    await interpret_pending(database, RULES, Telemetry(["github"]), lambda: at(2))
    async with database.transaction() as worker:
        claimed = await dirty_subjects.claim_dirty(worker, 10, at(2))
        await project(worker, claimed)
        await dirty_subjects.clear(worker, claimed)
        replaying = asyncio.create_task(_run(database))
        await asyncio.sleep(0.5)
        assert not replaying.done()
    assert await replaying == ReplayResult(2, {})


async def test_a_subject_that_cannot_be_projected_does_not_block_a_replay(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliver(database, *(Issue(number=number, created_at=at(2), labels=("bet",)).opened() for number in (1, 2)))

    def trip(self: Surroundings, root: Ref) -> Experiment:
        if root == "github:acme/app#1":
            raise ZeroDivisionError
        return fold_of(self, root)

    fold_of = Surroundings.fold
    monkeypatch.setattr(Surroundings, "fold", trip)
    rehearsed = await _replay(BETS).dry_run(database)
    assert rehearsed.changed['loopgauge_experiments_in_flight{stage="proposed", team="acme/app"}'] == (None, 1)
    assert await _run(database, BETS) == rehearsed


class _StoppedError(Exception):
    """The replay was interrupted."""


@pytest.mark.parametrize("batches", [1, 2, 3])
async def test_a_replay_that_was_interrupted_is_finished_by_the_next_one(database: Database, batches: int) -> None:
    bets = [Issue(number=number, created_at=at(2), labels=("bet",)).opened() for number in range(100, 200)]
    await deliver(database, *_story(), *bets)
    await _run(database, BETS)
    whole, rows = await all_experiments(database), await _everything(database)
    await _run(database)
    assert await all_experiments(database) != whole

    def stop(done: int, _total: int) -> None:
        if done > 50 * (batches - 1):
            raise _StoppedError

    with pytest.raises(_StoppedError):
        await Replay(BETS, TERMS, lambda: at(20), stop).run(database)
    await _run(database, BETS)
    assert await all_experiments(database) == whole
    assert await _everything(database) == rows


async def test_deliveries_received_after_the_start_do_not_prolong_a_replay(
    database: Database, database_url: str
) -> None:
    async def receive(into: Database, first: int, last: int) -> None:
        for number in range(first, last + 1):
            request = Issue(number=number, created_at=at(2)).opened()
            async with into.transaction() as connection:
                await inbox.store(connection, [request.delivery(at(2) + timedelta(seconds=number))])
        await settle(into)

    async def receive_more(into: Database) -> None:
        await receive(into, 61, 62)

    def meanwhile(done: int, total: int) -> None:
        told.append((done, total))
        receiving = threading.Thread(target=_apart, args=(receive_more, database_url))
        receiving.start()
        receiving.join()

    told: list[tuple[int, int]] = []
    await receive(database, 1, 60)
    replayed = await Replay(RULES, TERMS, lambda: at(20), meanwhile).run(database)
    assert (replayed.deliveries, told) == (60, [(50, 60), (60, 60)])


async def test_a_retry_waits_for_a_replay_of_the_same_delivery(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Issue(created_at=at(2)).opened().delivery(at(2))
    async with database.transaction() as connection:
        await inbox.store(connection, [failed])
        await inbox.record_verdicts(connection, [DeliveryVerdict(failed.id, "failed", "a fault")], "digest", at(3))
    observe = GitHub.observe

    def observe_during_a_retry(self: GitHub, delivery: Delivery) -> Sequence[Observation] | Nothing:
        retrying.start()
        # No event signals that the retry waits for the lock, so sleep for a moment.
        retrying.join(0.5)
        return observe(self, delivery)

    retried: list[RetryResult] = []
    retrying = threading.Thread(
        target=lambda: retried.extend(_apart(lambda other: retry_selected(other, [failed.id]), database_url))
    )
    monkeypatch.setattr(GitHub, "observe", observe_during_a_retry)
    assert (await _run(database)).deliveries == 1
    await asyncio.to_thread(retrying.join)
    assert [(one.status, "it is counted" in one.detail) for one in retried] == [("refused", True)]


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_workers_replays_and_retries_give_the_same_result_as_one_worker(
    database: Database, seed: int
) -> None:
    told = _story() + [Issue(number=number, created_at=at(2)).opened() for number in range(100, 160)]
    random.Random(seed).shuffle(told)
    await deliver(database, *told)
    quiet, rows = await all_experiments(database), await _everything(database)
    async with database.transaction() as connection:
        await connection.exec_driver_sql(f"TRUNCATE {', '.join(TABLES)}")
        await inbox.store(connection, [request.delivery(POSTED) for request in told[:40]])
    # Mark the first 30 deliveries as failed, as if an earlier version of loopgauge had failed on them, so that they are
    # retried while the replays run.
    async with database.transaction() as connection:
        failed = [DeliveryVerdict(request.delivery(POSTED).id, "failed", "a fault") for request in told[:30]]
        await inbox.record_verdicts(connection, failed, "digest", at(3))
    ended = asyncio.Event()

    async def arrive() -> None:
        for request in told[40:]:
            await store_deliveries(database, request.delivery(POSTED))
            await settle(database)

    async def retry_over_and_over() -> None:
        while not ended.is_set():
            await retry_failed(database)
            await asyncio.sleep(0.01)

    retrying = asyncio.create_task(retry_over_and_over())
    await asyncio.gather(arrive(), settle(database), settle(database), _run(database), _run(database))
    ended.set()
    await retrying
    await settle(database)
    assert await all_experiments(database) == quiet
    assert await _everything(database) == rows
    assert await _run(database) == ReplayResult(len(told), {})


async def test_progress_is_reported_after_each_batch(database: Database) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 121)]
    await deliver(database, *requests)
    told: list[tuple[int, int]] = []
    await Replay(RULES, TERMS, lambda: at(20), lambda *progress: told.append(progress)).run(database)
    assert told == [(50, 120), (100, 120), (120, 120)]


async def test_a_replay_applies_shown_states_to_what_the_release_before_stored(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    without_team = Issue(created_at=at(2), labels=("experiment",))
    await deliver(database, issue.opened(), issue.closed(at(4))[1], without_team.edited(at(6)))
    async with database.transaction() as connection:
        # The release before recorded no states.
        states = "SELECT id FROM events WHERE kind = 'shown'"
        await connection.exec_driver_sql(f"DELETE FROM event_deliveries WHERE event_id IN ({states})")
        await connection.exec_driver_sql("DELETE FROM events WHERE kind = 'shown'")
        await dirty_subjects.mark_dirty(connection, {Ref(ISSUE)})
    await settle(database)
    stored = (await all_experiments(database))[ISSUE]
    assert (stored.concluded_at, stored.team) == (at(4), "search")
    await _run(database)
    await settle(database)
    replayed = (await all_experiments(database))[ISSUE]
    assert (replayed.concluded_at, replayed.team) == (None, "acme/app")

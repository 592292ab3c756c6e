"""A replay interprets stored deliveries again: under the same rules nothing changes, under others what they change."""

import asyncio
import random
from datetime import datetime
from typing import Any

import pytest

from service.pipeline.replay import Replay, Replayed
from service.rules.model import Rules
from service.rules.reading import RulesFile, read_rules
from service.settings import DEFAULTS, read_rules_file
from service.storage import inbox
from service.storage.database import Database
from tests.builders import GitHubRequest, Issue, PullRequest, at, comment, github, renamed, workflow_run
from tests.road import RULES, WINDOWS, all_experiments, deliver, settle

BETS = read_rules(
    RulesFile(
        "bets.yaml",
        "keys: [OPS]\nrules:\n  - when: {label: bet}\n    then: {declare: {experiment: true}}\n",
    ),
    read_rules_file(DEFAULTS),
)
ISSUE = "github:acme/app#45"


def _replay(rules: Rules = RULES) -> Replay:
    return Replay(rules, WINDOWS, lambda: at(20), lambda done, total: None)


async def _run(database: Database, rules: Rules = RULES, since: datetime | None = None) -> Replayed:
    return await _replay(rules).run(database, since)


def _story() -> list[GitHubRequest]:
    issue = Issue(created_at=at(2), labels=("experiment", "team:search"))
    pull = PullRequest(created_at=at(3))
    told = [issue.opened(), pull.opened(), workflow_run(pull.head, at(4))]
    pull, edited = pull.edited("Closes #46", at(5))
    told += [edited, comment("/experiment conclude failed basic", at(6)), renamed("app", "acme/web", at(7))]
    other, closed = Issue(number=46, created_at=at(2)).closed(at(8))
    _, reopened = other.reopened(at(9))
    return [*told, closed, reopened, github("issues", b"{")]


TABLES = ("deliveries", "events", "event_deliveries", "links", "link_statements", "aliases", "touched", "experiments")


async def _everything(database: Database) -> dict[str, list[Any]]:
    """Every row that says something, without the time at which a verdict was come to."""
    async with database.transaction() as connection:
        found = {
            table: list(await connection.exec_driver_sql(f"SELECT to_jsonb(t) - 'interpreted_at' FROM {table} AS t"))
            for table in TABLES
        }
    return {table: sorted(map(repr, rows)) for table, rows in found.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_under_the_same_rules_a_replay_changes_nothing(database: Database, seed: int) -> None:
    told = _story()
    random.Random(seed).shuffle(told)
    await deliver(database, *told)
    before, rows = await all_experiments(database), await _everything(database)
    replayed = await _run(database)
    assert replayed == Replayed(len(told), {})
    assert await all_experiments(database) == before
    assert await _everything(database) == rows


async def test_under_other_rules_what_they_change_is_changed_and_told(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("bet", "team:search")).opened())
    assert await all_experiments(database) == {}
    replayed = await _run(database, BETS)
    assert set(await all_experiments(database)) == {ISSUE}
    in_flight = 'loopgauge_experiments_in_flight{stage="proposed", team="search"}'
    assert replayed.changed[in_flight] == (None, 1)
    replayed = await _run(database)
    assert await all_experiments(database) == {}
    assert replayed.changed[in_flight] == (1, None)


async def test_a_verdict_is_come_to_again(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("bet",)).opened())
    for rules, verdict in ((BETS, "counted"), (RULES, "ignored")):
        await _run(database, rules)
        async with database.transaction() as connection:
            [row], _ = await inbox.page(connection)
        assert row.verdict == verdict


async def test_a_link_that_the_rules_no_longer_see_gives_way_to_what_is_still_stated(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="", branch="ML-12-cache", title="OPS-7")
    await deliver(database, pull.opened())

    async def served() -> set[str]:
        async with database.transaction() as connection:
            rows = await connection.exec_driver_sql("SELECT unnest(targets) FROM links WHERE channel <> 'head'")
            return set(rows.scalars()) - {"github:acme/app!7"}

    assert await served() == {"jira:ML-12", "jira:OPS-7"}
    await _run(database, BETS)
    assert await served() == {"jira:OPS-7"}


async def test_an_older_set_of_links_is_in_force_again_when_the_newer_one_is_taken_back(database: Database) -> None:
    pull = PullRequest(created_at=at(3), body="")
    _, first = pull.edited("Closes #45", at(4))
    _, second = pull.edited("Closes #46", at(5))
    await deliver(database, Issue(created_at=at(2)).opened(), Issue(number=46, created_at=at(2)).opened())
    await deliver(database, first, second)
    assert (await all_experiments(database))["github:acme/app#46"].started_at == at(3)
    ignoring = read_rules(RulesFile("none.yaml", "extends: none"), read_rules_file(DEFAULTS))
    async with database.transaction() as connection:
        # As if the second edit had come from a source that is read differently today.
        await connection.exec_driver_sql(
            f"UPDATE deliveries SET provider = 'gopher' WHERE provider_id = '{second.delivery_id}'"
        )
    await _run(database)
    told = await all_experiments(database)
    assert (told[ISSUE].started_at, told["github:acme/app#46"].started_at) == (at(3), None)
    await _run(database, ignoring)
    assert await all_experiments(database) == {}


async def test_an_event_stays_while_another_delivery_asserts_it(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("bet",))
    opened, edited = issue.opened(), issue.edited(at(3))
    await deliver(database, opened, edited)
    async with database.transaction() as connection:
        # The body of the first is gone after its retention, and with it the means to interpret it again.
        await connection.exec_driver_sql(
            f"UPDATE deliveries SET body = NULL WHERE provider_id = '{opened.delivery_id}'"
        )
    nothing = read_rules(RulesFile("none.yaml", "extends: none"), read_rules_file(DEFAULTS))
    assert (await _run(database, nothing)).deliveries == 1
    async with database.transaction() as connection:
        kinds = await connection.exec_driver_sql("SELECT kind, occurred_at FROM events")
        assert ("proposed", at(2)) in {(row.kind, row.occurred_at) for row in kinds}


async def test_only_what_was_received_since_is_replayed(database: Database) -> None:
    async with database.transaction() as connection:
        for day in (3, 5, 7):
            await inbox.store(connection, [Issue(number=day, created_at=at(2)).opened().delivery(at(day))])
    await settle(database)
    assert (await _run(database, since=at(5))).deliveries == 2


async def test_a_rehearsal_tells_what_would_change_and_changes_nothing(database: Database) -> None:
    await deliver(database, *_story(), Issue(number=9, created_at=at(2), labels=("bet",)).opened())
    rows = await _everything(database)
    rehearsed = await _replay(BETS).rehearse(database)
    assert await _everything(database) == rows
    assert rehearsed.changed
    assert await _run(database, BETS) == rehearsed


async def test_two_workers_and_a_replay_at_once_end_where_one_worker_ends(database: Database) -> None:
    told = _story()
    await deliver(database, *told)
    quiet = await all_experiments(database)
    async with database.transaction() as connection:
        await connection.exec_driver_sql(f"TRUNCATE {', '.join(TABLES)}")
        await inbox.store(connection, [request.delivery(at(2)) for request in told[:5]])
    await settle(database)

    async def arrive() -> None:
        for request in told[5:]:
            async with database.transaction() as connection:
                await inbox.store(connection, [request.delivery(at(2))])
            await settle(database)

    await asyncio.gather(arrive(), settle(database), _run(database), _run(database))
    await settle(database)
    assert await all_experiments(database) == quiet
    assert await _run(database) == Replayed(len(told), {})


async def test_progress_is_told_after_each_batch(database: Database) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 121)]
    await deliver(database, *requests)
    told: list[tuple[int, int]] = []
    await Replay(RULES, WINDOWS, lambda: at(20), lambda *progress: told.append(progress)).run(database)
    assert told == [(50, 120), (100, 120), (120, 120)]

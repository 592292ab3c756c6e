"""Retention deletes the bodies of old deliveries, and old subjects that belong to no experiment.

Retention never deletes experiments or their evidence.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from service.pipeline.clock_check import ClockInDoubt
from service.pipeline.retention import Deleted, delete_bodies, delete_old, delete_unattached
from service.queries.replay import Replay
from service.storage import aliases, events, inbox
from service.storage.database import Database
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, workflow_run
from tests.support.road import RULES, TERMS, all_experiments, settle, store_deliveries


async def _receive(database: Database, when: datetime, *requests: GitHubRequest) -> None:
    await store_deliveries(database, *(request.delivery(when) for request in requests))
    await settle(database)


async def _heard_of(database: Database) -> set[str]:
    async with database.transaction() as connection:
        names = await aliases.read_all(connection)
        return set(map(names.canonical, await events.list_inactive(connection, at(30), "", 1000)))


async def test_evidence_without_an_experiment_is_deleted_after_its_retention(database: Database) -> None:
    old = Issue(number=1, created_at=at(2), labels=())
    young = Issue(number=2, created_at=at(2), labels=())
    await _receive(database, at(3), old.opened(), workflow_run("d" * 40, at(3)))
    await _receive(database, at(9), young.opened())
    assert await delete_unattached(database, at(9)) == 2
    assert await _heard_of(database) == {"github:acme/app#2"}
    assert await delete_unattached(database, at(9)) == 0


async def test_experiments_and_all_their_evidence_stay(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    told = [Issue(created_at=at(2)).opened(), pull.opened(), workflow_run(pull.head, at(4))]
    await _receive(database, at(5), *told)
    before = await all_experiments(database)
    assert await delete_unattached(database, at(30)) == 0
    assert await _heard_of(database) == {"github:acme/app#45", "github:acme/app!7", f"commit:{pull.head}"}
    assert await all_experiments(database) == before


async def test_subjects_with_recent_events_stay(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=())
    await _receive(database, at(3), issue.opened())
    await _receive(database, at(20), issue.edited(at(20)))
    assert await delete_unattached(database, at(10)) == 0


async def test_deleting_a_change_deletes_its_links(database: Database) -> None:
    await _receive(database, at(3), PullRequest(created_at=at(3)).opened())
    assert await delete_unattached(database, at(10)) == 1
    async with database.transaction() as connection:
        for table in ("links", "link_statements", "events", "event_deliveries"):
            left = await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")
            assert left.scalar_one() == 0, table


async def test_more_than_one_batch_of_evidence_is_deleted(database: Database) -> None:
    issues = [Issue(number=number, created_at=at(2), labels=()).opened() for number in range(1, 251)]
    await _receive(database, at(3), *issues, Issue(number=300, created_at=at(2)).opened())
    assert await delete_unattached(database, at(10)) == 250
    assert await _heard_of(database) == {"github:acme/app#300"}


async def test_bodies_are_deleted_after_their_retention_in_more_than_one_batch(database: Database) -> None:
    old = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 251)]
    young = Issue(number=300, created_at=at(2)).opened()
    await _receive(database, at(3), *old)
    await _receive(database, at(9), young)
    before = await all_experiments(database)
    assert await delete_bodies(database, at(9)) == 250
    async with database.transaction() as connection:
        assert await inbox.replayable(connection, (at(1), UUID(int=0)), at(28), 1000) == [young.delivery(at(9))]
    assert await all_experiments(database) == before
    assert await delete_bodies(database, at(9)) == 0


async def test_a_pending_delivery_keeps_its_body_at_any_age(database: Database) -> None:
    await store_deliveries(database, Issue(created_at=at(2)).opened().delivery(at(3)))
    assert await delete_bodies(database, at(28)) == 0
    await settle(database)
    assert len(await all_experiments(database)) == 1


async def test_bodies_are_deleted_while_other_transactions_replay_and_record(database: Database) -> None:
    issues = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 401)]
    await _receive(database, at(3), *issues)
    before = await all_experiments(database)
    again = Replay(RULES, TERMS, lambda: at(28), lambda _, __: None)
    replayed, forgotten = await asyncio.gather(again.run(database), delete_bodies(database, at(9)))
    assert 0 <= replayed.deliveries <= 400
    assert replayed.changed == {}
    # The first call of `delete_bodies` skips the deliveries that the replay has locked. The second call deletes the
    # bodies of these deliveries, so both calls together have deleted all 400 bodies.
    assert forgotten + await delete_bodies(database, at(9)) == 400
    assert await all_experiments(database) == before


async def test_excluded_subjects_stay_because_a_metric_counts_them(database: Database) -> None:
    _, closed = Issue(created_at=at(2)).closed(at(3), "duplicate")
    await _receive(database, at(3), closed)
    assert await delete_unattached(database, at(10)) == 0
    assert await _heard_of(database) == {"github:acme/app#45"}


_DAY = timedelta(days=1)


async def _retain(database: Database, *, off: timedelta) -> Deleted:
    """Delete what is older than a day, with a clock that is off by a time."""
    return await delete_old(database, lambda: datetime.now(UTC) + off, _DAY, _DAY)


async def _receive_old_and_new(database: Database) -> None:
    now = datetime.now(UTC)
    for number, age in ((1, 3 * _DAY), (2, timedelta())):
        await _receive(database, now - age, Issue(number=number, created_at=at(2), labels=()).opened())


async def test_old_bodies_and_evidence_are_deleted_with_a_right_clock(database: Database) -> None:
    await _receive_old_and_new(database)
    assert await _retain(database, off=timedelta(seconds=20)) == Deleted(1, 1)


@pytest.mark.parametrize("off", [timedelta(minutes=2), -timedelta(minutes=2), timedelta(days=3650)])
async def test_nothing_is_deleted_if_the_clocks_differ(database: Database, off: timedelta) -> None:
    await _receive_old_and_new(database)
    with pytest.raises(ClockInDoubt, match=r"clocks of this machine and of PostgreSQL differ by .*; synchronise them"):
        await _retain(database, off=off)
    assert await _retain(database, off=timedelta()) == Deleted(1, 1)


async def test_nothing_is_deleted_if_the_newest_delivery_is_older_than_a_week(database: Database) -> None:
    # A machine with a wrong clock may run PostgreSQL too, so that both clocks agree.
    await _receive(database, datetime.now(UTC) - 8 * _DAY, Issue(number=1, created_at=at(2), labels=()).opened())
    with pytest.raises(ClockInDoubt, match=r"the newest delivery is 8 days old; .* send a delivery"):
        await _retain(database, off=timedelta())
    await _receive(database, datetime.now(UTC), Issue(number=2, created_at=at(2), labels=()).opened())
    assert await _retain(database, off=timedelta()) == Deleted(1, 1)

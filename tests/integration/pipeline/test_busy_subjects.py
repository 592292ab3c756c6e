"""The events of a busy subject that decide nothing are moved out of the way of its folds, and come back when needed."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from sqlalchemy import text

from service.lifecycle.events import Declared, LifecycleEvent, Proposed, Signalled
from service.lifecycle.experiment import fold
from service.lifecycle.references import Ref
from service.storage import aliases, recording
from service.storage.database import Database
from service.storage.recording import InterpretedDelivery
from tests.support.builders import at
from tests.support.road import all_experiments, api, is_problem, project

pytestmark = pytest.mark.oldest_postgresql_too
BUSY = Ref("jira:ML-12")


def _events(number: int) -> list[LifecycleEvent]:
    """The events of an experiment with a result each minute."""
    results = [Signalled(BUSY, at(3) + timedelta(minutes=minute), "success") for minute in range(number)]
    return [Proposed(BUSY, at(2)), Declared(BUSY, at(2), "experiment", "true", "label"), *results]


def _delivery(name: str, events: Sequence[LifecycleEvent]) -> InterpretedDelivery:
    return InterpretedDelivery(_id(name), at(4), dict.fromkeys(events, "a rule"))


def _id(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, name)


async def _record(database: Database, name: str, events: Sequence[LifecycleEvent]) -> list[str]:
    async with database.transaction() as connection:
        return await recording.record_deliveries(connection, [_delivery(name, events)])


async def _counts(database: Database) -> tuple[int, int]:
    """The number of events that folds read, and the number of spare events."""
    async with database.transaction() as connection:
        both = text("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM spare_events)")
        read, spare = (await connection.execute(both)).one()
        return read, spare


async def test_an_experiment_is_the_same_before_and_after_its_spare_events_are_moved(database: Database) -> None:
    events = _events(1000)
    await _record(database, "all", events)
    await project(database)
    assert await _counts(database) == (106, 896)
    await _record(database, "more", [Signalled(BUSY, at(5), "failure")])
    await project(database)
    assert await all_experiments(database) == {BUSY: fold(BUSY, [*events, Signalled(BUSY, at(5), "failure")], [])}


async def test_the_order_of_arrival_makes_no_difference_to_the_events_that_folds_read(database: Database) -> None:
    events = _events(1000)
    for name, some in (("late", events[500:]), ("early", events[:500])):
        await _record(database, name, some)
        await project(database)
    assert await _counts(database) == (106, 896)
    assert await all_experiments(database) == {BUSY: fold(BUSY, events, [])}


async def test_a_spare_event_that_is_stated_again_is_not_new(database: Database) -> None:
    events = _events(1000)
    await _record(database, "all", events)
    await project(database)
    assert await _record(database, "again", events) == []
    assert await _counts(database) == (106, 896)


async def test_spare_events_decide_again_when_the_events_before_and_after_them_are_withdrawn(
    database: Database,
) -> None:
    events = _events(1000)
    head, first, rest = events[:2], events[2:500], events[500:]
    await _record(database, "head", head)
    await _record(database, "first", first)
    await _record(database, "rest", rest)
    await project(database)
    async with database.transaction() as connection:
        await recording.revise_deliveries(connection, [_delivery("first", [])])
    await project(database)
    assert await all_experiments(database) == {BUSY: fold(BUSY, [*head, *rest], [])}
    async with database.transaction() as connection:
        await recording.revise_deliveries(connection, [_delivery("rest", [])])
    await project(database)
    assert await all_experiments(database) == {BUSY: fold(BUSY, head, [])}
    assert await _counts(database) == (2, 0)


async def test_spare_events_are_moved_while_deliveries_are_recorded(database: Database) -> None:
    await _record(database, "all", _events(1000))
    async with database.transaction() as recorder:
        await aliases.lock_shared(recorder)
        await recording.record_deliveries(recorder, [_delivery("other", [Proposed(Ref("jira:ML-13"), at(2))])])
        await project(database)
    assert await _counts(database) == (107, 896)


async def test_explain_shows_all_events_in_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.queries.explain.MOST_SHOWN", 400)
    await _record(database, "all", _events(1000))
    await project(database)
    sizes: list[int] = []
    shown: list[tuple[str, str]] = []
    cursor = None
    async with api(database) as client:
        while not sizes or cursor:
            page = (await client.get(f"/experiments/{BUSY}/explain", params=cursor and {"cursor": cursor})).json()
            sizes.append(len(page["events"]))
            shown += [(event["occurred_at"], event["kind"]) for event in page["events"]]
            cursor = page["next"]
        malformed = await client.get(f"/experiments/{BUSY}/explain", params={"cursor": "AAAA"})
    assert sizes == [400, 400, 202]
    assert len(set(shown)) == 1002
    assert sorted(at for at, _ in shown) == [at for at, _ in shown]
    assert is_problem(malformed, 422, "invalid-cursor")

"""Recording stores each event and link once, with the deliveries that stated it.

It also marks the subjects of these events and links as dirty, so that they are projected.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from sqlalchemy import text

from service.lifecycle.events import LifecycleEvent, Proposed, Started
from service.lifecycle.evidence import LinkSet
from service.lifecycle.references import Ref
from service.storage import dirty_subjects, events, links, recording
from service.storage.database import Connection, Database
from service.storage.recording import InterpretedDelivery
from tests.support.builders import at

pytestmark = pytest.mark.oldest_postgresql_too
ITEM_1, ITEM_2 = Ref("github:acme/app#1"), Ref("github:acme/app#2")
CHANGE = Ref("github:acme/app!7")
COMMIT = Ref("commit:aaaa")
MANY = 1000


def _delivery(*events_: LifecycleEvent, links: Sequence[LinkSet] = (), by: int = 1) -> InterpretedDelivery:
    return InterpretedDelivery(uuid5(NAMESPACE_OID, str(by)), at(2), dict.fromkeys(events_, "a rule"), links)


def _closes(stated_at: datetime, *targets: Ref) -> LinkSet:
    return LinkSet(CHANGE, "body", CHANGE, frozenset(targets), stated_at)


async def _take(connection: Connection, limit: int) -> list[Ref]:
    claimed = await dirty_subjects.claim_dirty(connection, limit, at(2))
    assert await dirty_subjects.clear(connection, claimed) == len(claimed)
    return list(claimed)


async def _origins(connection: Connection) -> list[UUID]:
    rows = await connection.execute(text("SELECT delivery_id FROM event_deliveries ORDER BY delivery_id"))
    return list(rows.scalars())


async def test_two_deliveries_with_the_same_event_record_one_event_with_both_origins(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)), by=1)])
        await recording.record_deliveries(
            connection, [_delivery(Proposed(ITEM_1, at(2)), by=2), _delivery(Proposed(ITEM_1, at(2)), by=2)]
        )
        assert await events.events_of(connection, [ITEM_1, ITEM_2]) == {ITEM_1: [Proposed(ITEM_1, at(2))]}
        assert len(await _origins(connection)) == 2


async def test_a_recorded_subject_is_dirty_until_it_is_cleared(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(
            connection, [_delivery(Proposed(ITEM_1, at(2)), links=[_closes(at(2), ITEM_2)])]
        )
        assert set(await _take(connection, 10)) == {ITEM_1, ITEM_2, CHANGE}
        assert await _take(connection, 10) == []


async def test_dirty_subjects_are_claimed_oldest_first_and_subjects_marked_again_come_last(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_2, at(2)))])
        await recording.record_deliveries(connection, [_delivery(Started(ITEM_1, at(3)))])
        assert await _take(connection, 1) == [ITEM_2]


async def test_a_projection_skips_subjects_that_another_projection_has_cleared(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)), Proposed(ITEM_2, at(2)))])
    async with database.transaction() as one, database.transaction() as other:
        first = await _take(one, 1)
        second = await _take(other, 10)
    assert {*first, *second} == {ITEM_1, ITEM_2}
    assert len(second) == 1


async def _pairs(connection: Connection, subjects: Sequence[Ref], most: int) -> list[tuple[Ref, Ref]]:
    found = await links.neighbourhood(connection, subjects, most)
    return [(link.evidence, target) for link in found for target in link.targets]


async def test_the_newest_set_of_links_replaces_the_older_one(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(2), ITEM_1)])])
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(3), ITEM_2)])])
        assert await _pairs(connection, [CHANGE], MANY) == [(CHANGE, ITEM_2)]


async def test_an_older_set_of_links_that_arrives_late_does_not_replace_a_newer_set(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(3), ITEM_2)])])
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(2), ITEM_1)])])
        assert await _pairs(connection, [CHANGE], MANY) == [(CHANGE, ITEM_2)]


async def test_an_empty_set_withdraws_the_links(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(2), ITEM_1)])])
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(3))])])
        assert await _pairs(connection, [CHANGE], MANY) == []


async def test_the_winner_of_a_tie_between_sets_of_links_does_not_depend_on_their_order(database: Database) -> None:
    one, other = _delivery(links=[_closes(at(2), ITEM_1)]), _delivery(links=[_closes(at(2), ITEM_2)])
    outcomes = []
    for order in ([one, other], [other, one]):
        async with database.transaction() as connection:
            await connection.execute(text("TRUNCATE links"))
            for said in order:
                await recording.record_deliveries(connection, [said])
            outcomes.append(await _pairs(connection, [CHANGE], MANY))
        async with database.transaction() as connection:
            await connection.execute(text("TRUNCATE links"))
            await recording.record_deliveries(connection, order)
            outcomes.append(await _pairs(connection, [CHANGE], MANY))
    assert outcomes == [[(CHANGE, ITEM_2)]] * 4


async def test_an_item_that_loses_its_evidence_becomes_dirty(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(2), ITEM_1)])])
        await _take(connection, 10)
        await recording.record_deliveries(connection, [_delivery(links=[_closes(at(3), ITEM_2)])])
        assert set(await _take(connection, 10)) == {CHANGE, ITEM_1, ITEM_2}


async def test_the_neighbourhood_has_all_evidence_of_a_subject_and_all_targets_of_this_evidence(
    database: Database,
) -> None:
    other_change, other_commit = Ref("github:acme/app!8"), Ref("commit:bbbb")
    said = [
        LinkSet(CHANGE, "body", CHANGE, frozenset({ITEM_1, ITEM_2}), at(2)),
        LinkSet(COMMIT, "commit", CHANGE, frozenset({CHANGE}), at(2)),
        LinkSet(other_change, "body", other_change, frozenset({ITEM_2}), at(2)),
        LinkSet(other_commit, "commit", other_change, frozenset({other_change}), at(2)),
    ]
    all_links = {
        (CHANGE, ITEM_1),
        (CHANGE, ITEM_2),
        (COMMIT, CHANGE),
        (other_change, ITEM_2),
        (other_commit, other_change),
    }
    # The evidence of an item comes with all links of this evidence. Other evidence of the linked items is left out.
    own = {(CHANGE, ITEM_1), (CHANGE, ITEM_2), (COMMIT, CHANGE)}
    expected = {COMMIT: own, CHANGE: own, ITEM_1: own, ITEM_2: all_links}
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=said)])
        for subject, around in expected.items():
            assert set(await _pairs(connection, [subject], MANY)) == around
        assert len(await _pairs(connection, [ITEM_2], 4)) == 4


async def test_a_neighbourhood_is_read_by_index_even_without_statistics(database: Database) -> None:
    items = [Ref(f"github:acme/app#{number}") for number in range(3000)]
    said = [LinkSet(Ref(f"github:acme/app!{one[16:]}"), "body", one, frozenset({one}), at(2)) for one in items]
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=said)])
        # Autovacuum cannot have analysed the rows, because this transaction has not committed them.
        limits = {"most": 20_000, "most_subjects": 40_000, "above": []}
        explained = await connection.scalars(text(f"EXPLAIN {links.NEIGHBOURHOOD}"), limits | {"subjects": items[:100]})
        plan = "\n".join(explained)
    assert "Index Cond: (targets @> " in plan
    assert "Seq Scan on links" not in plan


async def test_a_cycle_of_links_is_followed_only_once(database: Database) -> None:
    said = [
        LinkSet(ITEM_1, "body", ITEM_1, frozenset({ITEM_2}), at(2)),
        LinkSet(ITEM_2, "body", ITEM_2, frozenset({ITEM_1}), at(2)),
    ]
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(links=said)])
        assert set(await _pairs(connection, [ITEM_1], MANY)) == {(ITEM_1, ITEM_2), (ITEM_2, ITEM_1)}


async def test_thousands_of_events_of_one_delivery_are_recorded(database: Database) -> None:
    many = [Proposed(Ref(f"github:acme/app#{number}"), at(2)) for number in range(6000)]
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(*many)])
        assert len(await _take(connection, 10_000)) == 6000


async def test_a_failing_subject_is_postponed_with_exponential_backoff(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        pauses = []
        now = at(2)
        for _ in range(3):
            await _fail(connection, "a fault", now)
            waits = await connection.scalar(text("SELECT retry_at FROM touched WHERE error = 'a fault'"))
            assert waits is not None
            assert ITEM_1 not in await dirty_subjects.claim_dirty(connection, 10, waits - timedelta(seconds=1))
            assert ITEM_1 in await dirty_subjects.claim_dirty(connection, 10, waits)
            pauses.append(waits - now)
            now = waits
    assert pauses == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]


async def _fail(connection: Connection, error: str, now: datetime) -> None:
    attempt = await dirty_subjects.begin_attempt(connection, now)
    assert attempt is not None
    await dirty_subjects.fail_attempt(connection, *attempt, error, now)


async def test_a_subject_is_set_aside_for_longer_each_time_even_if_it_is_marked_again(database: Database) -> None:
    error = f"{dirty_subjects.SET_ASIDE}too many links"
    async with database.transaction() as connection:
        pauses = []
        now = at(2)
        for hour in range(8):
            await recording.record_deliveries(connection, [_delivery(Started(ITEM_1, at(3, f"0{hour}:00:00")))])
            await _fail(connection, error, now)
            assert await dirty_subjects.error_of(connection, ITEM_1) == error
            waits = await connection.scalar(text("SELECT retry_at FROM touched"))
            assert waits is not None
            pauses.append((waits - now).total_seconds())
            now = waits
    assert pauses == [1, 4, 16, 64, 256, 1024, 3600, 3600]


async def test_an_attempt_that_ends_with_its_connection_is_counted(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        for number in range(3):
            now = at(2 + number)
            assert await dirty_subjects.begin_attempt(connection, now) is not None
            assert await dirty_subjects.begin_attempt(connection, now) is None
        assert await connection.scalar(text("SELECT attempts FROM touched")) == 3
        assert await dirty_subjects.error_of(connection, ITEM_1) == "set aside: its last projection did not end"


async def test_a_subject_that_is_marked_again_during_its_attempt_is_due_at_once(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        attempt = await dirty_subjects.begin_attempt(connection, at(2))
        assert attempt is not None
        await recording.record_deliveries(connection, [_delivery(Started(ITEM_1, at(3)))])
        assert await dirty_subjects.finish_attempt(connection, *attempt) == 0
        assert set(await dirty_subjects.claim_dirty(connection, 10, at(2))) == {ITEM_1}


async def test_a_new_event_ends_a_postponement(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        await _fail(connection, "a fault", at(2))
        assert await dirty_subjects.claim_dirty(connection, 10, at(2)) == {}
        await recording.record_deliveries(connection, [_delivery(Started(ITEM_1, at(3)))])
        assert set(await dirty_subjects.claim_dirty(connection, 10, at(2))) == {ITEM_1}


async def test_a_subject_that_is_marked_again_while_it_fails_is_not_postponed(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [_delivery(Proposed(ITEM_1, at(2)))])
        attempt = await dirty_subjects.begin_attempt(connection, at(2))
        assert attempt is not None
        await recording.record_deliveries(connection, [_delivery(Started(ITEM_1, at(3)))])
        assert await dirty_subjects.claim_dirty(connection, 10, at(2)) == {}
        await dirty_subjects.fail_attempt(connection, *attempt, "a fault", at(2))
        assert set(await dirty_subjects.claim_dirty(connection, 10, at(2))) == {ITEM_1}


async def test_a_dirty_subject_is_claimed_by_one_worker_at_a_time(database: Database) -> None:
    async with database.transaction() as connection:
        await recording.record_deliveries(
            connection, [_delivery(*(Proposed(Ref(f"key:{number}"), at(2)) for number in range(5)))]
        )
    async with database.transaction() as one:
        async with database.transaction() as other:
            first, second = (
                await dirty_subjects.claim_dirty(one, 2, at(2)),
                await dirty_subjects.claim_dirty(other, 10, at(2)),
            )
            assert [*first, *second] == [f"key:{number}" for number in range(5)]
        assert await dirty_subjects.claim_dirty(one, 10, at(2)) == first | second

"""A delivery is timed once, from its receipt until the exported snapshot contains it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from service.pipeline.delivery_latency import DeliveryLatency
from service.pipeline.interpret import interpret_pending
from service.storage import dirty_subjects, inbox
from service.storage.database import Database
from service.storage.inbox import DeliveryVerdict
from service.telemetry import Telemetry
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, github, renamed
from tests.support.outage import line_to
from tests.support.road import RULES, project, store_deliveries, stored_names

BEGAN = at(2, "09:00:00")
VERDICT = at(2, "09:00:03")
ASKED = at(2, "09:00:04")
SHOWN = at(2, "09:00:05")


class Leader:
    """A process that has led since `BEGAN`, and the latencies that it recorded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._telemetry = Telemetry([])
        self._visibility = DeliveryLatency(self._telemetry)

    async def begin(self) -> "Leader":
        await self._visibility.find_projected(self._database, BEGAN)
        return self

    async def ask(self, database: Database | None = None, now: datetime = ASKED) -> None:
        await self._visibility.find_projected(database or self._database, now)

    async def export(self, now: datetime = SHOWN) -> None:
        """Find the projected deliveries, which the leader does before a snapshot, and record their latencies, which it
        does when it exports the snapshot.
        """
        await self.ask()
        self._visibility.observe_exported(now)

    def show(self, now: datetime = SHOWN) -> None:
        self._visibility.observe_exported(now)

    @property
    def timed(self) -> tuple[float | None, float | None]:
        """The number of timed deliveries, and the sum of their latencies in seconds."""
        registry = self._telemetry.registry
        name = "loopgauge_delivery_to_visible_seconds"
        return registry.get_sample_value(f"{name}_count"), registry.get_sample_value(f"{name}_sum")


async def _receive(
    database: Database, *requests: GitHubRequest, received_at: datetime = BEGAN, interpreted_at: datetime = VERDICT
) -> None:
    await store_deliveries(database, *(request.delivery(received_at) for request in requests))
    while await interpret_pending(database, RULES, Telemetry([]), lambda: interpreted_at):
        pass


def _issue(number: int) -> GitHubRequest:
    return Issue(number=number, created_at=at(2)).opened()


async def test_a_delivery_is_timed_when_the_snapshot_after_its_projection_is_exported(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1))
    await leader.export()
    assert leader.timed == (0, 0)
    await project(database)
    await leader.ask()
    assert leader.timed == (0, 0)
    leader.show()
    # The delivery was received at 09:00:00 and exported at 09:00:05.
    assert leader.timed == (1, 5)


async def test_a_delivery_is_timed_once_however_many_snapshots_follow(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1))
    await project(database)
    for _ in range(3):
        await leader.export()
    assert leader.timed == (1, 5)


async def test_a_delivery_projected_after_the_query_waits_for_the_next_snapshot(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1))
    await leader.ask()
    await project(database)
    leader.show()
    assert leader.timed == (0, 0)
    await leader.export(at(2, "09:00:10"))
    assert leader.timed == (1, 10)


async def test_the_snapshot_after_a_failed_snapshot_times_the_deliveries_of_both(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1))
    await project(database)
    await leader.ask()
    await leader.export(at(2, "09:00:07"))
    assert leader.timed == (1, 7)


async def test_a_delivery_interpreted_before_this_process_led_is_not_timed(database: Database) -> None:
    leader = Leader(database)
    await _receive(database, _issue(1), interpreted_at=BEGAN - timedelta(seconds=1))
    await project(database)
    await leader.begin()
    await leader.export()
    assert leader.timed == (0, 0)


async def test_an_ignored_or_failed_delivery_is_not_timed(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, github("ping", {}), github("issues", b"{"))
    await leader.export()
    assert leader.timed == (0, 0)


async def test_a_delivery_without_a_dirty_subject_is_visible_at_once(database: Database) -> None:
    leader = await Leader(database).begin()
    delivery = github("ping", {}).delivery(BEGAN)
    await store_deliveries(database, delivery)
    async with database.transaction() as connection:
        await inbox.record_verdicts(connection, [DeliveryVerdict(delivery.id, "counted", "")], "digest", VERDICT)
    await leader.export()
    assert leader.timed == (1, 5)


async def _only_touched(database: Database, subject: str) -> None:
    """Leave a single subject dirty."""
    await project(database)
    names = await stored_names(database, subject)
    async with database.transaction() as connection:
        await dirty_subjects.mark_dirty(connection, names)


@pytest.mark.parametrize("subject", ["github:acme/app!7", "github:acme/app#45"])
async def test_a_link_is_visible_when_both_its_ends_are_projected(database: Database, subject: str) -> None:
    leader = await Leader(database).begin()
    await _receive(database, PullRequest(created_at=at(2)).opened())
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM event_deliveries"))
    await _only_touched(database, subject)
    await leader.export()
    assert leader.timed == (0, 0)
    await project(database)
    await leader.export()
    assert leader.timed == (1, 5)


@pytest.mark.parametrize("name", ["github:acme/old", "github:acme/app"])
async def test_a_rename_is_visible_when_both_names_are_projected(database: Database, name: str) -> None:
    leader = await Leader(database).begin()
    await _receive(database, renamed("old", "acme/app", at(2)))
    await _only_touched(database, name)
    await leader.export()
    assert leader.timed == (0, 0)
    await project(database)
    await leader.export()
    assert leader.timed == (1, 5)


async def test_a_delivery_whose_verdict_is_committed_late_is_timed(database: Database) -> None:
    leader = await Leader(database).begin()
    await leader.export()
    await _receive(database, _issue(1), interpreted_at=ASKED - timedelta(seconds=3))
    await project(database)
    await leader.export()
    assert leader.timed == (1, 5)


async def test_a_delivery_received_by_a_clock_that_is_ahead_has_the_latency_zero(database: Database) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1), received_at=SHOWN + timedelta(seconds=1))
    await project(database)
    await leader.export()
    assert leader.timed == (1, 0)


async def test_deliveries_beyond_the_limit_of_one_query_are_timed_by_later_queries(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.pipeline.delivery_latency._LIMIT", 3)
    leader = await Leader(database).begin()
    for number in range(1, 9):
        await _receive(database, _issue(number), interpreted_at=BEGAN + timedelta(seconds=number / 10))
    await project(database)
    counts: list[float | None] = []
    for _ in range(4):
        await leader.export()
        counts.append(leader.timed[0])
    assert counts == [3, 6, 8, 8]


async def test_only_a_limited_number_of_unprojected_deliveries_is_remembered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.pipeline.delivery_latency._LIMIT", 3)
    leader = await Leader(database).begin()
    for number in range(1, 9):
        await _receive(database, _issue(number), interpreted_at=BEGAN + timedelta(seconds=number / 10))
    for _ in range(4):
        await leader.export()
    await project(database)
    await leader.export()
    assert leader.timed == (3, 15)


async def test_a_query_without_an_answer_does_not_stop_the_snapshot_and_the_next_query_catches_up(
    database_url: str, database: Database
) -> None:
    leader = await Leader(database).begin()
    await _receive(database, _issue(1))
    await project(database)
    async with line_to(database_url) as line:
        far = Database(line.url, timeout=0.5)
        await line.cut()
        await leader.ask(far)
        leader.show()
        assert leader.timed == (0, 0)
        await far.close()
    await leader.export(at(2, "09:00:08"))
    assert leader.timed == (1, 8)

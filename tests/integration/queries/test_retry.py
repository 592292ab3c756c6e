"""A retry interprets a failed delivery with the current code and rules, and leaves no trace of the failure."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.pipeline.interpret import interpret_pending
from service.queries.replay import Replay
from service.queries.retry import RetryResult, retry_failed, retry_selected
from service.storage import inbox, inbox_listing, progress
from service.storage.database import Database
from service.storage.inbox import DeliveryVerdict
from service.storage.inbox_listing import InboxRow
from service.telemetry import Telemetry
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, github, renamed
from tests.support.road import RULES, TERMS, all_experiments, deliver, settle

BROKEN = github("issues", b"{")
UNKNOWN = UUID(int=1)
SAID = ("events", "event_deliveries", "links", "link_statements", "aliases", "touched")


def _numbered(number: int) -> Delivery:
    return Issue(number=number, created_at=at(2)).opened().delivery(at(2) + timedelta(seconds=number))


async def _fail(database: Database, *deliveries: Delivery) -> None:
    """Store deliveries, and mark them as failed, as if an earlier version of loopgauge had failed on them."""
    async with database.transaction() as connection:
        await inbox.store(connection, deliveries)
        failed = [DeliveryVerdict(delivery.id, "failed", "a fault in loopgauge: KeyError") for delivery in deliveries]
        await inbox.record_verdicts(connection, failed, "the rules of then", at(3))


async def _row(database: Database, delivery: UUID) -> InboxRow:
    async with database.transaction() as connection:
        found = await inbox_listing.read_delivery(connection, delivery)
    assert found is not None
    return found[0]


async def _forget_body(database: Database, delivery: UUID) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE deliveries SET body = NULL WHERE id = :id"), {"id": delivery})


async def _all_failed(
    database: Database, source: str | None = None, since: datetime | None = None
) -> list[RetryResult]:
    return [one async for batch in _batches(database, source, since) for one in batch]


async def _batches(
    database: Database, source: str | None = None, since: datetime | None = None
) -> AsyncIterator[Sequence[RetryResult]]:
    batch, following = await retry_failed(database, source, since)
    yield batch
    while following:
        batch, following = await retry_failed(database, source, since, following)
        yield batch


def _statuses(retried: Sequence[RetryResult]) -> list[tuple[UUID, str]]:
    return [(one.delivery, one.status) for one in retried]


async def test_a_failed_delivery_counts_as_failed_while_it_can_be_retried(database: Database) -> None:
    await _fail(database, _numbered(1), _numbered(2))
    await _forget_body(database, _numbered(1).id)
    async with database.transaction() as connection:
        assert (await progress.read_backlog(connection)).failed == 1


async def test_a_retried_delivery_is_pending_again_and_its_former_reason_is_gone(database: Database) -> None:
    await _fail(database, _numbered(1))
    assert _statuses(await retry_selected(database, [_numbered(1).id])) == [(_numbered(1).id, "retried")]
    row = await _row(database, _numbered(1).id)
    assert (row.verdict, row.reason, row.interpreted_at) == (None, None, None)
    async with database.transaction() as connection:
        assert await connection.scalar(text("SELECT rules FROM deliveries")) is None
    await settle(database)
    row = await _row(database, _numbered(1).id)
    assert (row.verdict, row.reason) == ("counted", "experiment by label, proposed by creation")
    assert set(await all_experiments(database)) == {"github:acme/app#1"}


async def test_a_delivery_that_cannot_be_retried_does_not_change_and_the_reason_is_reported(database: Database) -> None:
    counted, ignored, gone, waiting = (_numbered(number) for number in range(1, 5))
    await _fail(database, gone)
    await _forget_body(database, gone.id)
    async with database.transaction() as connection:
        await inbox.store(connection, [counted, ignored, waiting])
        settled = [DeliveryVerdict(counted.id, "counted", "a mark"), DeliveryVerdict(ignored.id, "ignored", "a ping")]
        await inbox.record_verdicts(connection, settled, "digest", at(3))
    asked = [counted.id, ignored.id, gone.id, waiting.id, UNKNOWN]
    before = [await _row(database, delivery) for delivery in asked[:-1]]
    retried = await retry_selected(database, asked)
    assert _statuses(retried) == list(zip(asked, ["refused", "refused", "refused", "pending", "unknown"], strict=True))
    assert [one.detail for one in retried] == [
        "it is counted, and only failed deliveries are retried; use loopgauge replay",
        "it is ignored, and only failed deliveries are retried; use loopgauge replay",
        "its body is gone: the delivery is older than LOOPGAUGE_RAW_RETENTION",
        "it is pending already",
        f"there is no delivery {UNKNOWN}",
    ]
    assert [await _row(database, delivery) for delivery in asked[:-1]] == before


async def test_a_delivery_that_fails_again_has_the_status_failed_and_its_new_reason(database: Database) -> None:
    await _fail(database, BROKEN.delivery(at(2)))
    await retry_selected(database, [BROKEN.delivery(at(2)).id])
    await settle(database)
    row = await _row(database, BROKEN.delivery(at(2)).id)
    assert (row.verdict, row.reason) == ("failed", "the body is not JSON: Input data was truncated")


async def test_a_failed_delivery_has_no_events_until_its_retry_succeeds(database: Database) -> None:
    told = [
        Issue(created_at=at(2)).opened(),
        PullRequest(created_at=at(3)).opened(),
        renamed("app", "acme/web", at(7)),
    ]
    await deliver(database, *told)
    quiet, said = await all_experiments(database), await _said(database)
    assert all(said[table] for table in SAID if table != "touched")
    await _read_by(database, "gopher")
    await Replay(RULES, TERMS, lambda: at(20), lambda done, total: None).run(database)
    assert await _said(database) == {table: [] for table in SAID}
    assert await all_experiments(database) == {}
    await _read_by(database, "github")
    assert len(await _all_failed(database)) == len(told)
    await settle(database)
    assert await _said(database) == said
    assert await all_experiments(database) == quiet


async def _read_by(database: Database, provider: str) -> None:
    """Change the provider of all stored deliveries. `gopher` is unknown, so its deliveries cannot be read."""
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE deliveries SET provider = :provider"), {"provider": provider})


async def _said(database: Database) -> dict[str, list[str]]:
    async with database.transaction() as connection:
        return {
            table: sorted(map(repr, await connection.scalars(text(f"SELECT to_jsonb(t) FROM {table} AS t"))))
            for table in SAID
        }


async def test_failed_deliveries_are_retried_by_source_or_by_time_or_all_at_once(database: Database) -> None:
    other = Delivery("ci_main", "github", "1", {}, b"{", at(5))
    await _fail(database, _numbered(1), _numbered(2), other)
    assert _statuses(await _all_failed(database, "ci_main")) == [(other.id, "retried")]
    assert _statuses(await _all_failed(database, since=_numbered(2).received_at)) == [(_numbered(2).id, "retried")]
    assert _statuses(await _all_failed(database)) == [(_numbered(1).id, "retried")]
    assert await _all_failed(database) == []


async def test_each_failed_delivery_is_retried_once_even_if_it_fails_again_meanwhile(database: Database) -> None:
    broken = [Delivery("github", "github", f"{number}", {}, b"{", at(2)) for number in range(1200)]
    await _fail(database, *broken)
    retried: list[RetryResult] = []
    async for batch in _batches(database):
        retried += batch
        await settle(database)
    assert sorted(_statuses(retried)) == sorted((delivery.id, "retried") for delivery in broken)


async def test_many_deliveries_are_retried_by_id_at_once(database: Database) -> None:
    failed = [_numbered(number) for number in range(1200)]
    await _fail(database, *failed)
    retried = await retry_selected(database, [UNKNOWN, *(one.id for one in failed)])
    assert _statuses(retried) == [(UNKNOWN, "unknown"), *((one.id, "retried") for one in failed)]


async def test_concurrent_retries_beside_workers_interpret_each_delivery_once(database: Database) -> None:
    requests: list[GitHubRequest] = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 201)]
    await deliver(database, *requests)
    quiet, said = await all_experiments(database), await _said(database)
    async with database.transaction() as connection:
        await connection.execute(text(f"TRUNCATE deliveries, experiments, {', '.join(SAID)}"))
    ids = [request.delivery(at(28)).id for request in requests]
    await _fail(database, *(request.delivery(at(28)) for request in requests))
    telemetry = Telemetry(["github"])
    ended = asyncio.Event()

    async def work() -> None:
        while not ended.is_set():
            if not await interpret_pending(database, RULES, telemetry, lambda: at(2)):
                await asyncio.sleep(0.01)

    workers = [asyncio.create_task(work()) for _ in range(2)]
    retried = await asyncio.gather(
        retry_selected(database, ids), retry_selected(database, ids[::-1]), _all_failed(database)
    )
    ended.set()
    await asyncio.gather(*workers)
    while await interpret_pending(database, RULES, telemetry, lambda: at(2)):
        pass
    await settle(database)
    renewed = [one.delivery for each in retried for one in each if one.status == "retried"]
    assert sorted(renewed) == sorted(ids)
    counted = telemetry.registry.get_sample_value(
        "loopgauge_interpreted_total", {"source": "github", "verdict": "counted"}
    )
    assert counted == len(requests)
    assert await _said(database) == said
    assert await all_experiments(database) == quiet

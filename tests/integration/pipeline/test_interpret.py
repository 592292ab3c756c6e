"""Each delivery gets its verdict, and a delivery that fails does not stop the others."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.deliveries.observation import Nothing, Observation
from service.pipeline.interpret import interpret_pending
from service.providers.github import GitHub
from service.storage import inbox_listing
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from service.telemetry import Telemetry
from tests.support.builders import Issue, PullRequest, at, github
from tests.support.outage import Unlucky
from tests.support.road import RULES, all_experiments, settle, store_deliveries


async def _verdicts(database: Database) -> dict[str, tuple[str | None, str | None]]:
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, limit=500)
    return {row.provider_id: (row.verdict, row.reason) for row in rows}


def _opened(number: int, **changed: str) -> Delivery:
    request = replace(Issue(number=number, created_at=at(2)), **changed).opened()  # type: ignore[arg-type]
    return replace(request, delivery_id=f"issue {number}").delivery(at(2))


async def test_each_delivery_gets_its_verdict_and_reason(database: Database) -> None:
    pull = PullRequest(created_at=at(3)).opened()
    await store_deliveries(
        database,
        _opened(1),
        replace(pull, delivery_id="pull").delivery(at(3)),
        replace(github("ping", {}), delivery_id="ping").delivery(at(3)),
        replace(github("star", {}), delivery_id="star").delivery(at(3)),
        replace(github("issues", b"{"), delivery_id="broken").delivery(at(3)),
    )
    telemetry = await settle(database)
    verdicts = await _verdicts(database)
    assert verdicts["issue 1"] == ("counted", "experiment by label, proposed by creation")
    assert verdicts["pull"] == ("counted", "proposed by creation, started by a change, linked by body")
    assert verdicts["ping"] == ("ignored", "a ping: the webhook is connected")
    assert verdicts["star"] == ("ignored", "GitHub's `star` events say nothing about experiments")
    assert verdicts["broken"][0] == "failed"
    for verdict, count in (("counted", 2), ("ignored", 2), ("failed", 1)):
        labels = {"source": "github", "verdict": verdict}
        assert telemetry.registry.get_sample_value("loopgauge_interpreted_total", labels) == count


async def test_a_title_is_stored_without_characters_that_postgresql_rejects(database: Database) -> None:
    await store_deliveries(database, _opened(2, title="a\0b"))
    await settle(database)
    assert (await all_experiments(database))["github:acme/app#2"].title == "a\ufffdb"


async def test_a_delivery_with_a_value_that_postgresql_rejects_fails_alone(database: Database) -> None:
    # This text is too long for a page of an index, and compression does not shorten it.
    endless = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    await store_deliveries(database, _opened(1), _opened(2, repository=f"acme/{endless}"), _opened(3))
    telemetry = await settle(database)
    verdicts = await _verdicts(database)
    assert [verdicts[f"issue {number}"][0] for number in (1, 2, 3)] == ["counted", "failed", "counted"]
    assert "PostgreSQL rejects a value" in (verdicts["issue 2"][1] or "")
    assert set(await all_experiments(database)) == {"github:acme/app#1", "github:acme/app#3"}
    assert _recorded(telemetry, "proposed") == [2]


async def test_an_unexpected_error_fails_only_one_delivery(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    observe = GitHub.observe

    def trip(self: GitHub, delivery: Delivery) -> Sequence[Observation] | Nothing:
        if b'"number":2,' in delivery.body:
            raise ZeroDivisionError
        return observe(self, delivery)

    monkeypatch.setattr(GitHub, "observe", trip)
    await store_deliveries(database, _opened(1), _opened(2), _opened(3))
    await settle(database)
    verdicts = await _verdicts(database)
    assert [verdicts[f"issue {number}"][0] for number in (1, 2, 3)] == ["counted", "failed", "counted"]
    assert verdicts["issue 2"][1] == "a fault in loopgauge: ZeroDivisionError"


async def test_a_delivery_of_an_unknown_provider_is_stored_as_failed(database: Database) -> None:
    await store_deliveries(database, replace(_opened(1), provider="gopher"))
    await settle(database)
    assert (await _verdicts(database))["issue 1"] == (
        "failed",
        "provider `gopher` is not known to this version of loopgauge",
    )


async def test_two_workers_share_the_deliveries_and_interpret_none_twice(database: Database) -> None:
    await store_deliveries(database, *(_opened(number) for number in range(1, 301)))
    telemetries = [Telemetry(["github"]), Telemetry(["github"])]

    async def work(telemetry: Telemetry) -> None:
        while await interpret_pending(database, RULES, telemetry, lambda: at(3)):
            pass

    await asyncio.gather(*map(work, telemetries))
    await settle(database)
    labels = {"source": "github", "verdict": "counted"}
    done = [one.registry.get_sample_value("loopgauge_interpreted_total", labels) or 0 for one in telemetries]
    assert sum(done) == 300
    assert len(await all_experiments(database)) == 300


@pytest.mark.parametrize("year", ["0001", "1969", "3000", "9999"])
async def test_a_time_out_of_range_fails_only_its_own_delivery(database: Database, year: str) -> None:
    closed = f'"closed_at":"{year}-01-01T00:00:00Z"'.encode()
    body = _opened(2).body.replace(b'"closed_at":null', closed).replace(b'"state":"open"', b'"state":"closed"')
    await store_deliveries(database, _opened(1), replace(_opened(2), body=body), _opened(3))
    await settle(database)
    verdicts = await _verdicts(database)
    assert [verdicts[f"issue {number}"][0] for number in (1, 2, 3)] == ["counted", "failed", "counted"]
    assert f"the time {year}-01-01T00:00:00+00:00 is out of range" == verdicts["issue 2"][1]
    assert set(await all_experiments(database)) == {"github:acme/app#1", "github:acme/app#3"}


async def test_a_change_whose_body_closes_thousands_of_items_is_evidence_for_only_the_first_of_them(
    database: Database,
) -> None:
    body = " ".join(f"fixes #{number}" for number in range(1, 6001))
    await store_deliveries(database, PullRequest(created_at=at(3), body=body).opened().delivery(at(3)))
    await settle(database)
    async with database.transaction() as connection:
        served = await connection.scalar(text("SELECT cardinality(targets) FROM links WHERE channel = 'body'"))
    assert served == 50


async def test_no_reason_contains_the_name_of_a_branch(database: Database) -> None:
    pull = PullRequest(created_at=at(3), branch="jane.doe/fix", body="", title="By Jane Doe").opened()
    await store_deliveries(database, pull.delivery(at(3)))
    await settle(database)
    [(verdict, reason)] = (await _verdicts(database)).values()
    assert verdict == "ignored"
    assert "its branch is not `exp/*` or `experiment/*`" in (reason or "")
    assert "jane" not in (reason or "").lower()


def _recorded(telemetry: Telemetry, *kinds: str) -> list[float | None]:
    name = "loopgauge_lifecycle_events_recorded_total"
    return [telemetry.registry.get_sample_value(name, {"kind": kind}) for kind in kinds]


async def test_an_event_is_counted_by_its_kind_when_it_is_new(database: Database) -> None:
    issue = Issue(created_at=at(2))
    await store_deliveries(database, issue.opened().delivery(at(2)))
    telemetry = await settle(database)
    assert _recorded(telemetry, "proposed", "declared", "concluded") == [1, 4, 0]
    await store_deliveries(database, issue.closed(at(3))[1].delivery(at(3)))
    again = await settle(database)
    # The payload of the closing repeats the proposal. The proposal is stored already, with the same time, so it is not
    # counted again.
    assert _recorded(again, "proposed", "concluded") == [0, 1]


async def test_an_event_of_two_deliveries_in_one_batch_is_counted_once(database: Database) -> None:
    issue = Issue(created_at=at(2)).opened()
    again = replace(issue, delivery_id="another")
    await store_deliveries(database, issue.delivery(at(2)), again.delivery(at(2)))
    telemetry = await settle(database)
    assert _recorded(telemetry, "proposed", "declared") == [1, 4]


async def test_the_events_of_a_rolled_back_transaction_are_not_counted(database_url: str) -> None:
    unlucky = Unlucky(database_url)
    lucky = Database(database_url)
    await store_deliveries(lucky, _opened(1))
    telemetry = Telemetry(["github"])
    with pytest.raises(DatabaseUnavailable):
        await interpret_pending(unlucky, RULES, telemetry, lambda: at(2))
    assert _recorded(telemetry, "proposed", "declared") == [0, 0]
    await interpret_pending(lucky, RULES, telemetry, lambda: at(2))
    assert _recorded(telemetry, "proposed", "declared") == [1, 4]
    await unlucky.close()
    await lucky.close()

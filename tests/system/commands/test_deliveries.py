"""`loopgauge deliveries`: list, show and retry."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from service.storage import inbox
from service.storage.database import Database
from service.storage.inbox import DeliveryVerdict
from tests.support.builders import at, github
from tests.support.serving import IN_FLIGHT, UNREACHABLE, opened, run_command, serving
from tests.support.waiting import wait_for


def test_deliveries_are_listed_and_shown_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post(opened())
        service.end(signal.SIGTERM)
    listed = run_command("deliveries", "list", "--verdict", "counted", DATABASE_URL=database_url)
    assert "counted" in listed.stdout
    assert "experiment by label" in listed.stdout
    [delivery] = json.loads(run_command("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    shown = run_command("deliveries", "show", delivery["id"], "--json", DATABASE_URL=database_url)
    assert json.loads(shown.stdout)["body"] == opened().body.decode()
    assert run_command("deliveries", "list", "--verdict", "failed", DATABASE_URL=database_url).stdout == ""
    missing = run_command("deliveries", "show", "00000000-0000-0000-0000-000000000001", DATABASE_URL=database_url)
    assert missing.returncode == 1
    assert missing.stderr.startswith("loopgauge: no delivery has the id 00000000-0000-0000-0000-000000000001; ")


async def test_of_a_body_that_is_gone_it_is_told_why(database_url: str) -> None:
    delivery = opened().delivery(at(2))
    database = Database(database_url)
    async with database.transaction() as connection:
        await inbox.store(connection, [delivery])
        await inbox.record_verdicts(connection, [DeliveryVerdict(delivery.id, "counted", "because")], "digest", at(2))
        await inbox.delete_bodies(connection, at(3), 10)
    await database.close()
    shown = run_command("deliveries", "show", str(delivery.id), DATABASE_URL=database_url, RAW_RETENTION="30d")
    assert "counted" in shown.stdout
    assert "deleted after LOOPGAUGE_RAW_RETENTION (30d" in shown.stdout
    as_json = run_command("deliveries", "show", str(delivery.id), "--json", DATABASE_URL=database_url)
    assert json.loads(as_json.stdout)["body"] is None


def _execute(database_url: str, statement: str) -> None:
    async def execute() -> None:
        database = Database(database_url)
        async with database.transaction() as connection:
            await connection.execute(text(statement))
        await database.close()

    asyncio.run(execute())


def _retry(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("deliveries", "retry", *arguments, DATABASE_URL=database_url)


_UNKNOWN = "00000000-0000-0000-0000-000000000001"


def test_failed_deliveries_are_retried_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 4)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all([*requests, github("issues", b"{")])
    _execute(database_url, "UPDATE deliveries SET verdict = 'failed', reason = 'a fault of an earlier version'")
    listed = json.loads(run_command("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    first = listed[-1]["id"]
    named = _retry(database_url, first, _UNKNOWN, first)
    assert named.returncode == 0
    assert named.stdout.splitlines() == [
        f"{first}  retried  it had failed, and is pending again",
        f"{_UNKNOWN}  unknown  there is no delivery {_UNKNOWN}",
        "1 of 2 deliveries retried",
    ]
    pending = _retry(database_url, first)
    assert (pending.returncode, "it is pending already" in pending.stdout) == (0, True)
    assert json.loads(_retry(database_url, "--failed", "--source", "jira", "--json").stdout)["retried"] == 0
    assert json.loads(_retry(database_url, "--failed", "--since", "2999-01-01", "--json").stdout)["retried"] == 0
    others = _retry(database_url, "--failed", "--source", "GitHub", "--since", "2026-01-01T00:00:00Z", "--json")
    retried = [
        {"id": one["id"], "status": "retried", "detail": "it had failed, and is pending again"} for one in listed
    ]
    assert json.loads(others.stdout) == {"retried": 3, "deliveries": retried[:-1]}
    with serving(database_url, tmp_path) as service:
        assert wait_for(lambda: service.figures().get(IN_FLIGHT) == 3)
        wait_for(lambda: service.figures()["interpreted_total", "github", "failed"] == 1)
    counted = _retry(database_url, first, _UNKNOWN)
    assert counted.returncode == 1
    assert f"{first}  refused  it is counted, and only failed deliveries are retried" in counted.stdout
    _execute(database_url, "UPDATE deliveries SET body = NULL")
    gone = _retry(database_url, "--failed")
    assert (gone.returncode, "its body is gone" in gone.stdout) == (1, True)
    _execute(database_url, "UPDATE deliveries SET verdict = 'ignored'")
    none = _retry(database_url, "--failed")
    assert (none.returncode, none.stdout) == (0, "0 of 0 deliveries retried\n")


@pytest.mark.parametrize(
    "wrong", [[], [_UNKNOWN, "--failed"], [_UNKNOWN, "--source", "github"], ["--since", "2026"], ["1"]]
)
def test_what_is_to_be_retried_is_named_in_one_of_two_ways(wrong: Sequence[str]) -> None:
    ended = _retry(UNREACHABLE, *wrong)
    assert (ended.returncode, ended.stdout) == (2, "")

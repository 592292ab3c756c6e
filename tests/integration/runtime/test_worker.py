"""The worker retries failed work with an exponential backoff."""

import asyncio
import json
import time
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog

from service.runtime.figures_process import FiguresProcess
from service.runtime.leadership import Leadership
from service.runtime.worker import Worker, retry_seconds
from service.storage.database import Database
from service.telemetry import Telemetry
from tests.support.builders import Issue, at
from tests.support.outage import line_to, until
from tests.support.road import RULES, TERMS, all_experiments, store_deliveries
from tests.support.serving import UNREACHABLE, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def test_the_pause_after_failures_doubles_up_to_five_seconds() -> None:
    assert [retry_seconds(failures) for failures in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert retry_seconds(100_000) == 5


def test_while_the_database_is_away_work_is_retried_with_a_backoff(tmp_path: Path) -> None:
    tried: list[datetime] = []
    with serving("postgresql://nobody@127.0.0.1:1/nothing", tmp_path, ROLE="worker", LOG_LEVEL="debug") as service:

        def is_postponed_often() -> bool:
            tried.extend(
                datetime.fromisoformat(entry["timestamp"])
                for entry in service.log()
                if entry["event"] == "work postponed" and entry["work"] == "interpret"
            )
            return len(tried) >= 4

        wait_for(is_postponed_often, "fourth attempt")
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(tried[:4])]
    assert [pause >= at_least for pause, at_least in zip(pauses, [0.45, 0.95, 1.95], strict=True)] == [True] * 3


def test_while_the_database_is_away_the_log_has_at_most_one_warning_about_the_work(tmp_path: Path) -> None:
    with serving(UNREACHABLE, tmp_path, ROLE="worker", LOG_LEVEL="debug") as service:
        logged: list[tuple[str, str]] = []

        def is_postponed_often() -> bool:
            logged.extend((entry["level"], entry["event"]) for entry in service.log())
            return logged.count(("debug", "work postponed")) >= 4

        wait_for(is_postponed_often, "several attempts of each kind of work")
    # The worker may log the warning before the service listens. Then `serving` has read the warning already.
    assert logged.count(("warning", "work postponed")) <= 1


def test_a_process_that_starts_while_the_database_is_away_says_why_it_is_not_ready(tmp_path: Path) -> None:
    with serving(UNREACHABLE, tmp_path, ROLE="api"):

        def said() -> list[dict[str, Any]]:
            # Read the whole log: the line may come before the service listens.
            [log] = tmp_path.glob("log-*")
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            return [line for line in lines if line["event"] == "not ready"]

        logged = wait_for(said, "line about the readiness")
    (entry,) = logged
    assert entry["inbox"].startswith("PostgreSQL is not available: ")
    assert (entry["spool"], entry["schema"]) == ("in use, 0 waiting", "not seen yet")


async def test_a_step_without_an_answer_is_abandoned_and_retried(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtime.worker._STEP_SECONDS", 0.3)
    async with line_to(database_url) as line:
        far = Database(line.url, timeout=5.0)
        leadership = Leadership(far, uuid4(), time.monotonic)
        day = timedelta(days=90)
        figures = FiguresProcess(far, TERMS, "info", timedelta(0))
        worker = Worker(far, RULES, Telemetry([]), leadership, figures, day, day, timedelta(seconds=5), lambda: at(9))
        worker.start()
        line.freeze()
        given_up = asyncio.Event()

        def hear(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            if "not done within 0.3 seconds" in str(entry.get("cause")):
                given_up.set()
            return entry

        with structlog.testing.capture_logs(processors=[hear]):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await given_up.wait()
        monkeypatch.undo()
        await store_deliveries(database, Issue(created_at=at(2)).opened().delivery(at(2)))
        await line.mend()

        async def counted() -> bool:
            return bool(await all_experiments(database))

        await until(counted)
        await worker.stop()
        await far.close()

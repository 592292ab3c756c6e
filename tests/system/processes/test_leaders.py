"""Exactly one of several workers exports the metrics. If that worker dies or freezes, another worker takes over."""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.serving import IN_FLIGHT, Service, opened, serving
from tests.support.waiting import wait_for

# This is longer than a lease lasts, so that another worker would take the lease if it could.
_WATCH_SECONDS = 12.0


def _exports(service: Service) -> bool:
    return any(name.startswith("experiments_") for name, *_ in service.samples())


def _leader(services: Sequence[Service]) -> Service:
    """Wait until a service exports experiment metrics, and return it. Fail if two services export them at once."""

    def exporting() -> Service | None:
        leaders = [service for service in services if _exports(service)]
        assert len(leaders) <= 1
        return leaders[0] if leaders else None

    return wait_for(exporting)


def _watch(leader: Service, follower: Service) -> bool:
    """Check that the leader stays the only worker that exports.

    On a busy machine, PostgreSQL may answer no heartbeat of the leader until its lease has run out. Then the other
    worker may take over, and the result is false.
    """
    deadline = time.monotonic() + _WATCH_SECONDS
    while time.monotonic() < deadline:
        seen = (_exports(leader), _exports(follower))
        if seen != (True, False):
            assert any(entry["event"] == "heartbeat failed" for entry in leader.log()), seen
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_worker_succeeds_a_leader_that_dies_or_freezes(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    with serving(database_url, tmp_path) as one, serving(database_url, tmp_path, ROLE="worker") as other:
        one.post_all([opened()])
        leader = _leader([one, other])
        successor = other if leader is one else one
        leader.process.send_signal(how)
        assert _leader([successor]) is successor
        if how == signal.SIGSTOP:
            with ThreadPoolExecutor() as scraper:
                # The kernel accepts the connection of the scrape. The stopped leader answers only after it continues.
                scrape = scraper.submit(_exports, leader)
                wait_for(scrape.running)
                leader.process.send_signal(signal.SIGCONT)
                assert not scrape.result()
            _watch(successor, leader)


def test_another_worker_succeeds_a_leader_that_ends_and_the_api_never_exports(
    database_url: str, tmp_path: Path
) -> None:
    with (
        serving(database_url, tmp_path, ROLE="api") as api,
        serving(database_url, tmp_path, ROLE="worker") as one,
        serving(database_url, tmp_path, ROLE="worker") as other,
    ):
        api.post_all([opened()])
        leader = _leader([api, one, other])
        assert leader is not api
        successor = other if leader is one else one
        assert leader.end(signal.SIGTERM) == 0
        assert _leader([api, successor]) is successor


async def test_without_postgresql_the_leader_keeps_its_metrics_and_its_lead(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    server.start()
    database = Database(server.url)
    await database.migrate()
    await database.close()
    try:
        with serving(server.url, tmp_path) as one, serving(server.url, tmp_path, ROLE="worker") as other:
            one.post_all([opened()])
            leader = _leader([one, other])
            follower = other if leader is one else one
            wait_for(lambda: leader.samples().get(IN_FLIGHT) == 1)
            os.kill(int((tmp_path / "data/postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            if _watch(leader, follower):
                assert leader.samples()[IN_FLIGHT] == 1
                server.restart()
                _watch(leader, follower)
    finally:
        server.release()

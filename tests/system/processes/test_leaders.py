"""Of several real workers one exports the figures; when it dies or freezes, another one does, and never two do."""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.builders import Issue, at
from tests.support.serving import Service, serving

_PATIENCE = 60.0
_PROMISED_SECONDS = 15.0


def _exports(service: Service) -> bool:
    return any(name.startswith("experiments_") for name, *_ in service.figures())


def _leader(services: Sequence[Service]) -> Service:
    """The one that exports, as soon as one does; never do two."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        exporting = [service for service in services if _exports(service)]
        assert len(exporting) <= 1
        if exporting:
            return exporting[0]
        time.sleep(0.1)
    pytest.fail(f"nobody exported within {_PATIENCE:g} seconds")


def _watch(seconds: float, leader: Service, other: Service) -> None:
    """See for a while that one exports, and not the other."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert (_exports(leader), _exports(other)) == (True, False)
        time.sleep(0.1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_leader_that_dies_or_freezes_is_succeeded_within_fifteen_seconds(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    with serving(database_url, tmp_path) as one, serving(database_url, tmp_path, ROLE="worker") as other:
        one.post_all([Issue(created_at=at(2)).opened()])
        assert _leader([one, other]) is one
        one.process.send_signal(how)
        struck = time.monotonic()
        assert _leader([other]) is other
        assert time.monotonic() - struck < _PROMISED_SECONDS
        if how == signal.SIGSTOP:
            # This scrape is what it meets first when it goes on.
            with ThreadPoolExecutor() as scraper:
                scraped = scraper.submit(_exports, one)
                time.sleep(0.5)
                one.process.send_signal(signal.SIGCONT)
                assert not scraped.result()
            _watch(5, other, one)


def test_a_leader_that_ends_well_is_succeeded_and_the_api_never_exports(database_url: str, tmp_path: Path) -> None:
    with (
        serving(database_url, tmp_path, ROLE="api") as api,
        serving(database_url, tmp_path, ROLE="worker") as one,
        serving(database_url, tmp_path, ROLE="worker") as other,
    ):
        api.post_all([Issue(created_at=at(2)).opened()])
        assert _leader([api, one, other]) is one
        assert one.end(signal.SIGTERM) == 0
        assert _leader([api, other]) is other


async def test_while_postgresql_is_away_the_leader_keeps_its_figures_and_stays_the_leader(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    server.start()
    database = Database(server.url)
    await database.migrate()
    await database.close()
    try:
        with serving(server.url, tmp_path) as one, serving(server.url, tmp_path, ROLE="worker") as other:
            one.post_all([Issue(created_at=at(2)).opened()])
            assert _leader([one, other]) is one
            shown = one.figures()["experiments_in_flight", "proposed", "acme/app"]
            os.kill(int((tmp_path / "data/postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            _watch(10, one, other)
            assert one.figures()["experiments_in_flight", "proposed", "acme/app"] == shown
            server.restart()
            assert _leader([one, other]) is one
            _watch(8, one, other)
    finally:
        server.release()

"""A service stays alive while its database is not reachable, and loses no delivery that it accepts meanwhile."""

import signal
from pathlib import Path

from tests.support.serving import IN_FLIGHT, UNREACHABLE, opened, serving
from tests.support.waiting import wait_for


def test_without_database_and_spool_a_service_is_alive_but_refuses_deliveries(tmp_path: Path) -> None:
    with serving(UNREACHABLE, tmp_path, SPOOL="false") as service:
        assert service.get("/livez").json() == {"status": "alive"}
        for refused in (service.get("/readyz"), service.post(opened())):
            assert refused.status_code == refused.json()["status"] == 503
        assert service.samples()["deliveries_total", "error", "github"] == 1
        assert service.end(signal.SIGTERM) == 0
    assert not (tmp_path / "data" / "spool").exists()


def test_deliveries_accepted_without_a_database_survive_a_kill_and_are_counted_later(
    database_url: str, tmp_path: Path
) -> None:
    requests = [opened(number) for number in range(1, 21)]
    with serving(UNREACHABLE, tmp_path) as service:
        service.post_all(requests)
        shown = service.samples()
        assert (shown["deliveries_total", "spooled", "github"], shown["spool_pending",]) == (20, 20)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(UNREACHABLE, tmp_path) as service:
        assert wait_for(lambda: service.post(requests[0]).json()["status"] == "duplicate")
        assert service.end(signal.SIGTERM) == 0
    with serving(database_url, tmp_path) as service:
        shown = wait_for(lambda: samples if (samples := service.samples()).get(IN_FLIGHT) == 20 else None)
        assert (shown["interpreted_total", "github", "counted"], shown["spool_pending",]) == (20, 0)
        service.post_all(requests)
        assert service.samples()["deliveries_total", "duplicate", "github"] == 20


def test_deliveries_before_and_during_an_outage_are_counted_once(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 31)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all(requests[:10])
    with serving(UNREACHABLE, tmp_path, ROLE="api") as service:
        service.post_all(requests[5:])
        assert service.end(signal.SIGTERM) == 0
    with serving(database_url, tmp_path) as service:
        assert wait_for(lambda: service.samples().get(IN_FLIGHT) == 30)
        assert service.samples()["spool_pending",] == 0

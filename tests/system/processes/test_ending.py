"""A service loses no accepted delivery if a signal ends it or if it is killed."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.support.serving import IN_FLIGHT, Service, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def test_accepted_deliveries_survive_a_kill(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 21)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all(requests)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(database_url, tmp_path) as service:
        shown = wait_for(lambda: samples if (samples := service.samples()).get(IN_FLIGHT) == 20 else None)
        assert shown["interpreted_total", "github", "counted"] == 20
        service.post_all(requests)
        assert service.samples()["deliveries_total", "duplicate", "github"] == 20


def test_the_next_worker_finishes_the_work_of_a_killed_worker(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 201)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        service.end(signal.SIGKILL)
    with serving(database_url, tmp_path) as service:
        assert wait_for(lambda: service.samples().get(IN_FLIGHT) == 200)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_before_a_service_ends_it_processes_the_deliveries_that_it_has_accepted(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    requests = [opened(number) for number in range(1, 101)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        assert service.end(how) == 0
        assert service.log()[-1]["event"] == "stopped"
    listed = run_command("deliveries", "list", "--limit", "1000", "--json", DATABASE_URL=database_url)
    assert [delivery["verdict"] for delivery in json.loads(listed.stdout)] == ["counted"] * 100


def test_a_request_in_progress_is_answered_before_the_end(database_url: str, tmp_path: Path) -> None:
    request = opened()
    with serving(database_url, tmp_path) as service:
        with socket.create_connection(service.address, timeout=PATIENCE_SECONDS) as sender:
            headers = {**request.headers(), "host": "x", "content-length": len(request.body), "expect": "100-continue"}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            sender.sendall(f"POST /webhooks/github HTTP/1.1\r\n{head}\r\n".encode())
            # The service asks for the body, so the request is in progress.
            assert sender.recv(100).startswith(b"HTTP/1.1 100 ")
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: _refuses_connections(service))
            sender.sendall(request.body)
            assert sender.recv(100).startswith(b"HTTP/1.1 202 ")
        assert service.process.wait(PATIENCE_SECONDS) == 0


def _refuses_connections(service: Service) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(service.address) != 0

"""The end of a service: by a signal, or by a kill."""

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.serving import IN_FLIGHT, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def test_what_was_acknowledged_survives_a_kill_at_once(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 21)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all(requests)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(database_url, tmp_path) as service:
        shown = wait_for(lambda: figures if (figures := service.figures()).get(IN_FLIGHT) == 20 else None)
        assert shown["interpreted_total", "github", "counted"] == 20
        service.post_all(requests)
        assert service.figures()["deliveries_total", "duplicate", "github"] == 20


def test_a_worker_that_was_killed_leaves_its_work_to_the_next_one(database_url: str, tmp_path: Path) -> None:
    requests = [opened(number) for number in range(1, 201)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        service.end(signal.SIGKILL)
    with serving(database_url, tmp_path) as service:
        assert wait_for(lambda: service.figures().get(IN_FLIGHT) == 200)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_finishes_what_was_acknowledged_and_exits_well(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    requests = [opened(number) for number in range(1, 101)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        assert service.end(how) == 0
        assert service.log()[-1]["event"] == "stopped"
    listed = run_command("deliveries", "list", "--limit", "1000", "--json", DATABASE_URL=database_url)
    assert [delivery["verdict"] for delivery in json.loads(listed.stdout)] == ["counted"] * 100


def test_a_request_that_is_under_way_is_answered_before_the_end(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        with socket.create_connection(service.address, timeout=PATIENCE_SECONDS) as sender:
            head = "".join(f"{name}: {value}\r\n" for name, value in opened().headers().items())
            length = f"content-length: {len(opened().body)}\r\n"
            sender.sendall(f"POST /webhooks/github HTTP/1.1\r\nhost: x\r\n{head}{length}\r\n".encode())
            sender.sendall(opened().body[:10])
            time.sleep(0.2)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            sender.sendall(opened().body[10:])
            assert sender.recv(100).startswith(b"HTTP/1.1 202 ")
        assert service.process.wait(PATIENCE_SECONDS) == 0

"""A running service turns deliveries over HTTP into metrics for a scrape, and writes its log as JSON."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.support.builders import SECRET
from tests.support.documents import example
from tests.support.road import Samples
from tests.support.serving import IN_FLIGHT, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def test_a_delivery_becomes_a_metric(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        assert service.samples()["deliveries_total", "stored", "github"] == 0
        assert service.post(opened()).status_code == 202
        shown = wait_for(lambda: samples if (samples := service.samples()).get(IN_FLIGHT) else None)
    assert shown[IN_FLIGHT] == 1
    assert shown["deliveries_total", "stored", "github"] == 1
    assert shown["interpreted_total", "github", "counted"] == 1


def test_a_process_exports_metrics_about_itself(database_url: str, tmp_path: Path) -> None:
    expected: Samples = {
        ("lifecycle_events_recorded_total", "proposed"): 2,
        ("http_request_duration_seconds_count", "POST", "/webhooks/{source}", "202"): 2,
        **{(name,): 0 for name in ("inbox_pending", "inbox_oldest_pending_seconds", "inbox_failed")},
    }
    visible = ("delivery_to_visible_seconds_count",)
    with serving(database_url, tmp_path) as service:
        service.post(opened())
        # The service measures the latency of a delivery only if it processes the delivery after it began its first
        # snapshot. Wait for a snapshot, so that the latency of the second delivery is measured.
        wait_for(lambda: service.samples().get(IN_FLIGHT))
        service.post(opened(46))

        def shown() -> Samples | None:
            samples = service.samples()
            return samples if expected.items() <= samples.items() and samples[visible] else None

        assert wait_for(shown)[visible] in {1, 2}


def test_the_time_of_a_sources_last_delivery_survives_a_restart(database_url: str, tmp_path: Path) -> None:
    name = ("source_last_delivery_timestamp_seconds", "github")
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post(opened())
        before = service.samples()[name]
    with serving(database_url, tmp_path, ROLE="api") as service:
        assert wait_for(lambda: service.samples().get(name)) == before


def test_a_worker_exports_nothing_about_sources(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post(opened())
    with serving(database_url, tmp_path, ROLE="worker") as service:
        shown = wait_for(lambda: figures if ("inbox_pending",) in (figures := service.samples()) else None)
    assert not [name for name in shown if name[0] == "source_last_delivery_timestamp_seconds"]


def test_a_body_over_the_cap_is_refused_before_all_of_it_is_sent(database_url: str, tmp_path: Path) -> None:
    with (
        serving(database_url, tmp_path, MAX_BODY_BYTES="1000") as service,
        socket.create_connection(service.address, timeout=PATIENCE_SECONDS) as sender,
    ):
        sender.sendall(b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\nxx")
        assert sender.recv(100).startswith(b"HTTP/1.1 413 ")


def test_each_line_of_the_log_is_a_json_object_without_secrets(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, LOG_LEVEL="debug") as service:
        service.post(opened())
        service.end(signal.SIGTERM)
        log = service.log()
    assert all({"event", "level", "logger", "timestamp"} <= entry.keys() for entry in log)
    assert SECRET not in json.dumps(log)


def test_the_service_does_not_start_with_a_misspelt_setting() -> None:
    ended = run_command("serve", "--port", "0", SNAPSHT_INTERVAL="5s")
    message = "LOOPGAUGE_SNAPSHT_INTERVAL is not a setting; did you mean LOOPGAUGE_SNAPSHOT_INTERVAL?"
    assert (ended.returncode, ended.stderr) == (1, f"loopgauge: {message}\n")


def test_the_service_starts_beside_a_service_of_the_same_name_in_kubernetes(database_url: str, tmp_path: Path) -> None:
    links = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "PORT": "tcp://10.0.0.1:80", "PORT_80_TCP_PROTO": "tcp"}
    with serving(database_url, tmp_path, **links) as service:
        assert service.post(opened()).status_code == 202


def _run_example(name: str, url: str, directory: Path) -> Any:
    """Run an example of the documentation, and return the response."""
    repository = "git init --quiet; git -c user.name=x -c user.email=x@example.com commit --quiet --allow-empty -m x\n"
    ended = subprocess.run(
        ["bash", "-c", repository + example(name).replace("http://127.0.0.1:8080", url)],
        cwd=directory,
        env={**os.environ, "LOOPGAUGE_API_TOKENS__WRITE": "a-write-token"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_the_examples_in_the_documentation_become_metrics(database_url: str, tmp_path: Path) -> None:
    settings = {"SOURCES__GITHUB__SECRET": "change-me", "API_TOKENS__WRITE": "a-write-token"}
    with serving(database_url, tmp_path, **settings) as service:
        assert _run_example("a delivery", service.url, tmp_path)["status"] == "stored"
        proposed, running = (("experiments_in_flight", stage, "search") for stage in ("proposed", "running"))
        wait_for(lambda: service.samples().get(proposed) == 1)
        assert _run_example("an event", service.url, tmp_path)[0]["status"] == "stored"
        shown = wait_for(lambda: samples if (samples := service.samples()).get(running) else None)
    assert (shown[proposed], shown[running]) == (0, 1)

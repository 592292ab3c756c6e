"""A service that starts prints addresses that answer. With wrong settings it does not start, and prints the reason in
one line.
"""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.serving import COMMAND, environment, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS


def _status(url: str, token: str | None = None) -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.get(url, headers=headers, timeout=PATIENCE_SECONDS).status_code


def test_the_log_has_the_addresses_and_the_settings_of_their_tokens(database_url: str, tmp_path: Path) -> None:
    tokens = {"LOOPGAUGE_API_TOKENS__READ": "r3ad", "LOOPGAUGE_METRICS_TOKEN": "m3trics"}
    settings = {name.removeprefix("LOOPGAUGE_"): token for name, token in tokens.items()}
    with serving(database_url, tmp_path, **settings) as service:
        [path] = tmp_path.glob("log-*")
        [entry] = [one for line in path.read_text().splitlines() if (one := json.loads(line))["event"] == "listening"]
        needs = {one["url"].removeprefix(service.url): one["token"] for one in entry["addresses"]}
        without = {one["url"]: _status(one["url"]) for one in entry["addresses"]}
        with_token = {one["url"]: _status(one["url"], tokens.get(one["token"])) for one in entry["addresses"]}
    assert needs == {
        "/": None,
        "/docs": None,
        "/metrics": "LOOPGAUGE_METRICS_TOKEN",
        "/scorecard?format=html": "LOOPGAUGE_API_TOKENS__READ",
        "/webhooks/github": None,
    }
    assert {url.removeprefix(service.url) for url, status in without.items() if status == 401} == {
        "/metrics",
        "/scorecard?format=html",
    }
    assert set(with_token.values()) == {200}


@contextmanager
def _shown_on_a_terminal(expected: str, **settings: str) -> Iterator[str]:
    """Run the service with its log on a terminal. Once the terminal shows the expected text, yield what it shows."""
    terminal, end = pty.openpty()
    with subprocess.Popen([*COMMAND, "serve", "--port", "0"], stderr=end, env=environment(**settings)) as process:
        os.close(end)
        # Once the process is killed, reading from the terminal fails.
        impatience = threading.Timer(PATIENCE_SECONDS, process.kill)
        impatience.start()
        shown = b""
        # The service wraps its lines to the width of the terminal.
        while expected not in _on_one_line(shown.decode()):
            shown += os.read(terminal, 4096)
        impatience.cancel()
        yield shown.decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    os.close(terminal)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_terminal_shows_addresses_that_answer(database_url: str, tmp_path: Path) -> None:
    jira = {"SOURCES__JIRA_CLOUD__PROVIDER": "jira", "SOURCES__JIRA_CLOUD__SECRET": "x"}
    with _shown_on_a_terminal("leading: ", DATABASE_URL=database_url, DATA_DIR=str(tmp_path), **jira) as shown:
        urls = re.findall(r"  (http://\S+)  ", shown)
        [token] = re.findall(
            r"open this link; later, `loopgauge sign-in` prints it:\s+http://\S+/sign-in\?token=(\S+)", shown
        )
        statuses = {url: _status(url, token) for url in urls}
    assert [url.split("/", 3)[3] for url in urls] == [
        "",
        "docs",
        "metrics",
        "scorecard?format=html",
        "webhooks/jira-cloud",
    ]
    assert set(statuses.values()) == {200}


def test_without_a_source_the_service_says_how_to_configure_one(database_url: str, tmp_path: Path) -> None:
    expected = "set LOOPGAUGE_SOURCES__GITHUB__SECRET"
    with _shown_on_a_terminal(expected, DATABASE_URL=database_url, DATA_DIR=str(tmp_path)) as shown:
        assert "no source is configured: every webhook is refused; " in _on_one_line(shown)


def test_a_wrong_setting_stops_the_start_with_one_line() -> None:
    ended = run_command("serve", PORT="http")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("loopgauge: LOOPGAUGE_PORT: expected a whole number")
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_stops_the_start_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_command("serve", "--port", str(taken.getsockname()[1]), DATABASE_URL="postgresql://h/d")
    assert ended.returncode == 1
    assert re.match(r"loopgauge: cannot listen on 127\.0\.0\.1:\d+: Address already in use; choose", ended.stderr)
    assert "LOOPGAUGE_PORT" in ended.stderr
    assert "make run PORT=8081" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("postgresql://u:hush@h:port/db", "expected postgresql://"),
        ("postgresql://u:hush@h/db?sslmode=bogus", "sslmode=bogus is not supported"),
        ("postgresql://u:hush@h/db?sslmode=verify-full&sslrootcert=/missing", "sslrootcert: cannot read /missing: No"),
    ],
)
def test_a_database_url_that_cannot_be_used_stops_the_start_with_one_line(url: str, fault: str) -> None:
    ended = run_command("serve", "--port", "0", DATABASE_URL=url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(f"loopgauge: LOOPGAUGE_DATABASE_URL: {fault}")
    assert "hush" not in ended.stderr

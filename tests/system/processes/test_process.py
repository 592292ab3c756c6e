"""The command as it is run: real processes, real signals, a real scrape."""

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import pytest
from sqlalchemy import text

from service.storage import inbox
from service.storage.database import Database
from service.storage.inbox import Settlement
from tests.support.builders import SECRET, GitHubRequest, Issue, at, github
from tests.support.paths import README, REPOSITORY
from tests.support.road import Figures, read_figures

_PATIENCE = 30.0
_Found = TypeVar("_Found")


class Service:
    """A running `loopgauge serve`."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str], url: str) -> None:
        self.process = process
        self.url = url
        self._log = log

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=_PATIENCE)

    def post(self, request: GitHubRequest) -> httpx.Response:
        url = f"{self.url}/webhooks/github"
        return httpx.post(url, content=request.body, headers=request.headers(), timeout=_PATIENCE)

    def post_all(self, requests: Sequence[GitHubRequest]) -> None:
        """Post deliveries and see each one acknowledged."""
        with httpx.Client(timeout=_PATIENCE) as client:
            for request in requests:
                url = f"{self.url}/webhooks/github"
                response = client.post(url, content=request.body, headers=request.headers())
                assert response.status_code == 202, response.text

    def figures(self) -> Figures:
        return read_figures(self.get("/metrics").text)

    def log(self) -> list[dict[str, Any]]:
        """What it has logged since the last time."""
        return [json.loads(line) for line in self._log.readlines()]

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(_PATIENCE)


@contextmanager
def serving(database_url: str | None, tmp_path: Path, **variables: str) -> Iterator[Service]:
    """A service on a port of its own, by default on the embedded database; ended when the context ends."""
    database = {"DATABASE_URL": database_url} if database_url else {}
    # Never the machine's own, where a real service may keep what it was sent.
    own = {"SOURCES__GITHUB__SECRET": SECRET, "DATA_DIR": str(tmp_path / "data")}
    environment = _environment(**{**own, **database, **variables})
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    path = tmp_path / f"log-{time.monotonic_ns()}"
    with path.open("w") as written, path.open() as read:
        process = subprocess.Popen(command, env=environment, stderr=written, text=True)
        try:
            yield Service(process, read, _wait_for(lambda: _listening(read, process)))
        finally:
            process.kill()
            process.wait()


def _environment(**variables: str) -> Mapping[str, str]:
    ours = {f"LOOPGAUGE_{name}": value for name, value in variables.items()}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}, **ours}


def _listening(log: IO[str], process: subprocess.Popen[str]) -> str | None:
    for line in log.readlines():
        entry = json.loads(line)
        if entry["event"] == "listening":
            return str(entry["url"])
    assert process.poll() is None
    return None


def _wait_for(look: Callable[[], _Found | None]) -> _Found:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"did not come true within {_PATIENCE:g} seconds")


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env=_environment(**variables),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


REQUEST = Issue(created_at=at(2)).opened()
IN_FLIGHT = ("experiments_in_flight", "proposed", "acme/app")


def test_a_delivery_becomes_a_figure_without_anybodys_help(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        assert service.figures()["deliveries_total", "stored", "github"] == 0
        assert service.post(REQUEST).status_code == 202
        shown = _wait_for(lambda: figures if (figures := service.figures()).get(IN_FLIGHT) else None)
    assert shown[IN_FLIGHT] == 1
    assert shown["deliveries_total", "stored", "github"] == 1
    assert shown["interpreted_total", "github", "counted"] == 1


def test_a_process_tells_of_itself(database_url: str, tmp_path: Path) -> None:
    told: Figures = {
        ("lifecycle_events_recorded_total", "proposed"): 2,
        ("http_request_duration_seconds_count", "POST", "/webhooks/{source}", "202"): 2,
        **{(name,): 0 for name in ("inbox_pending", "inbox_oldest_pending_seconds", "inbox_failed")},
    }
    visible = ("delivery_to_visible_seconds_count",)
    with serving(database_url, tmp_path) as service:
        service.post(REQUEST)
        # Before the first snapshot nothing is timed.
        _wait_for(lambda: service.figures().get(IN_FLIGHT))
        service.post(Issue(number=46, created_at=at(2)).opened())
        shown = _wait_for(lambda: one if told.items() <= (one := service.figures()).items() and one[visible] else None)
        written = service.get("/metrics").content
    assert shown[visible] in {1, 2}
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=written, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_after_a_restart_a_source_still_tells_when_it_was_last_heard_of(database_url: str, tmp_path: Path) -> None:
    name = ("source_last_delivery_timestamp_seconds", "github")
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post(REQUEST)
        before = service.figures()[name]
    with serving(database_url, tmp_path, ROLE="api") as service:
        assert _wait_for(lambda: service.figures().get(name)) == before


def test_a_worker_receives_nothing_and_tells_of_no_source(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post(REQUEST)
    with serving(database_url, tmp_path, ROLE="worker") as service:
        shown = _wait_for(lambda: figures if ("inbox_pending",) in (figures := service.figures()) else None)
    assert not [name for name in shown if name[0] == "source_last_delivery_timestamp_seconds"]


def test_what_was_acknowledged_survives_a_kill_at_once(database_url: str, tmp_path: Path) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 21)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all(requests)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(database_url, tmp_path) as service:
        shown = _wait_for(lambda: figures if (figures := service.figures()).get(IN_FLIGHT) == 20 else None)
        assert shown["interpreted_total", "github", "counted"] == 20
        service.post_all(requests)
        assert service.figures()["deliveries_total", "duplicate", "github"] == 20


def test_a_worker_that_was_killed_leaves_its_work_to_the_next_one(database_url: str, tmp_path: Path) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 201)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        service.end(signal.SIGKILL)
    with serving(database_url, tmp_path) as service:
        assert _wait_for(lambda: service.figures().get(IN_FLIGHT) == 200)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_finishes_what_was_acknowledged_and_exits_well(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 101)]
    with serving(database_url, tmp_path) as service:
        service.post_all(requests)
        assert service.end(how) == 0
        assert service.log()[-1]["event"] == "stopped"
    listed = json.loads(_run("deliveries", "list", "--limit", "1000", "--json", DATABASE_URL=database_url).stdout)
    assert [delivery["verdict"] for delivery in listed] == ["counted"] * 100


def test_a_request_that_is_under_way_is_answered_before_the_end(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=_PATIENCE) as sender:
            head = "".join(f"{name}: {value}\r\n" for name, value in REQUEST.headers().items())
            length = f"content-length: {len(REQUEST.body)}\r\n"
            sender.sendall(f"POST /webhooks/github HTTP/1.1\r\nhost: x\r\n{head}{length}\r\n".encode())
            sender.sendall(REQUEST.body[:10])
            time.sleep(0.2)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            sender.sendall(REQUEST.body[10:])
            assert sender.recv(100).startswith(b"HTTP/1.1 202 ")
        assert service.process.wait(_PATIENCE) == 0


def test_a_body_over_the_cap_is_refused_while_it_is_still_being_sent(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, MAX_BODY_BYTES="1000") as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=_PATIENCE) as sender:
            sender.sendall(b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\nxx")
            assert sender.recv(100).startswith(b"HTTP/1.1 413 ")


NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_while_the_database_is_away_it_lives_is_not_ready_and_asks_to_come_back(tmp_path: Path) -> None:
    with serving(NOWHERE, tmp_path, SPOOL="false") as service:
        assert service.get("/livez").json() == {"status": "alive"}
        for refused in (service.get("/readyz"), service.post(REQUEST)):
            assert refused.status_code == refused.json()["status"] == 503
        assert service.figures()["deliveries_total", "error", "github"] == 1
        assert service.end(signal.SIGTERM) == 0
    assert not (tmp_path / "data").exists()


def test_what_was_acknowledged_while_the_database_was_away_survives_a_kill_and_is_counted(
    database_url: str, tmp_path: Path
) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 21)]
    with serving(NOWHERE, tmp_path) as service:
        service.post_all(requests)
        shown = service.figures()
        assert (shown["deliveries_total", "spooled", "github"], shown["spool_pending",]) == (20, 20)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(NOWHERE, tmp_path) as service:
        assert _wait_for(lambda: service.post(requests[0]).json()["status"] == "duplicate")
        assert service.end(signal.SIGTERM) == 0
    with serving(database_url, tmp_path) as service:
        shown = _wait_for(lambda: figures if (figures := service.figures()).get(IN_FLIGHT) == 20 else None)
        assert (shown["interpreted_total", "github", "counted"], shown["spool_pending",]) == (20, 0)
        service.post_all(requests)
        assert service.figures()["deliveries_total", "duplicate", "github"] == 20


def test_of_what_came_before_and_during_an_outage_all_is_counted_once(database_url: str, tmp_path: Path) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 31)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all(requests[:10])
    with serving(NOWHERE, tmp_path, ROLE="api") as service:
        service.post_all(requests[5:])
        assert service.end(signal.SIGTERM) == 0
    with serving(database_url, tmp_path) as service:
        assert _wait_for(lambda: service.figures().get(IN_FLIGHT) == 30)
        assert service.figures()["spool_pending",] == 0


def test_each_line_of_the_log_is_one_json_object_and_tells_no_secret(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, LOG_LEVEL="debug", SNAPSHT_INTERVAL="5s") as service:
        service.post(REQUEST)
        service.end(signal.SIGTERM)
        log = service.log()
    assert all({"event", "level", "logger", "timestamp"} <= entry.keys() for entry in log)
    assert SECRET not in json.dumps(log)


def test_a_variable_that_is_no_setting_is_warned_about(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, SNAPSHT_INTERVAL="5s"):
        [path] = tmp_path.glob("log-*")
        warned = [json.loads(line) for line in path.read_text().splitlines()]
    assert warned[0]["level"] == "warning"
    assert "did you mean LOOPGAUGE_SNAPSHOT_INTERVAL" in warned[0]["event"]


def test_a_wrong_setting_stops_the_start_with_one_line() -> None:
    ended = _run("serve", PORT="http")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("loopgauge: LOOPGAUGE_PORT: expected a valid integer")
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_stops_the_start_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = _run("serve", "--port", str(taken.getsockname()[1]), DATABASE_URL="postgresql://h/d")
    assert ended.returncode == 1
    assert ended.stderr.startswith("loopgauge: cannot listen on 127.0.0.1:")
    assert "LOOPGAUGE_PORT" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_wrong_usage_ends_with_status_two() -> None:
    assert _run("serve", "--port", "http").returncode == 2
    assert _run("dance").returncode == 2


def test_migrate_makes_the_schema(empty_database_url: str) -> None:
    ended = _run("migrate", DATABASE_URL=empty_database_url)
    *_, newest = sorted(path.name for path in (REPOSITORY / "migrations/versions").glob("*.py"))
    assert (ended.returncode, ended.stdout) == (0, f"the schema is at revision {newest[:4]}\n")
    assert _run("deliveries", "list", DATABASE_URL=empty_database_url).returncode == 0


async def test_migrate_leaves_a_newer_schema_and_tells_its_revision(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ended = await asyncio.to_thread(_run, "migrate", DATABASE_URL=database.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the schema is at revision 9999\n", "")


def test_without_a_database_commands_fail_with_one_line() -> None:
    ended = _run("migrate", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert ended.returncode == 1
    assert ended.stderr.startswith("loopgauge: PostgreSQL is not available")
    assert ended.stderr.count("\n") == 1


def test_deliveries_are_listed_and_shown_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post(REQUEST)
        service.end(signal.SIGTERM)
    listed = _run("deliveries", "list", "--verdict", "counted", DATABASE_URL=database_url)
    assert "counted" in listed.stdout
    assert "experiment by label" in listed.stdout
    [delivery] = json.loads(_run("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    shown = _run("deliveries", "show", delivery["id"], "--json", DATABASE_URL=database_url)
    assert json.loads(shown.stdout)["body"] == REQUEST.body.decode()
    assert _run("deliveries", "list", "--verdict", "failed", DATABASE_URL=database_url).stdout == ""
    missing = _run("deliveries", "show", "00000000-0000-0000-0000-000000000001", DATABASE_URL=database_url)
    assert missing.returncode == 1
    assert missing.stderr.startswith("loopgauge: there is no delivery 00000000-0000-0000-0000-000000000001; ")


async def test_of_a_body_that_is_gone_it_is_told_why(database_url: str) -> None:
    delivery = REQUEST.delivery(at(2))
    database = Database(database_url)
    async with database.transaction() as connection:
        await inbox.store(connection, [delivery])
        await inbox.settle(connection, [Settlement(delivery.id, "counted", "because")], "digest", at(2))
        await inbox.forget_bodies(connection, at(3), 10)
    await database.close()
    shown = _run("deliveries", "show", str(delivery.id), DATABASE_URL=database_url, RAW_RETENTION="30d")
    assert "counted" in shown.stdout
    assert "not kept any more: LOOPGAUGE_RAW_RETENTION was over (30d" in shown.stdout
    as_json = _run("deliveries", "show", str(delivery.id), "--json", DATABASE_URL=database_url)
    assert json.loads(as_json.stdout)["body"] is None


def test_the_embedded_database_is_made_and_migrated_by_itself_and_stopped_at_the_end(tmp_path: Path) -> None:
    with serving(None, tmp_path) as service:
        assert service.get("/readyz").json()["status"] == "ready"
        assert service.post(REQUEST).status_code == 202
        assert service.end(signal.SIGTERM) == 0
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def _run_example(name: str, url: str, directory: Path) -> Any:
    """Run an example of the README as it stands there, and return what it answers."""
    readme = README.read_text()
    example = readme.partition(f"<!-- example: {name} -->\n```sh\n")[2].partition("```")[0]
    repository = "git init --quiet; git -c user.name=x -c user.email=x@example.com commit --quiet --allow-empty -m x\n"
    ended = subprocess.run(
        ["bash", "-c", repository + example.replace("http://127.0.0.1:8080", url)],
        cwd=directory,
        env={**os.environ, "LOOPGAUGE_API_TOKENS__WRITE": "a-write-token"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_the_examples_in_the_readme_are_in_the_figures_within_five_seconds(database_url: str, tmp_path: Path) -> None:
    settings = {"SOURCES__GITHUB__SECRET": "change-me", "API_TOKENS__WRITE": "a-write-token"}
    with serving(database_url, tmp_path, **settings) as service:
        assert _run_example("a delivery", service.url, tmp_path)["status"] == "stored"
        time.sleep(5)
        assert service.figures()["experiments_in_flight", "proposed", "search"] == 1
        assert _run_example("an event", service.url, tmp_path)[0]["status"] == "stored"
        time.sleep(5)
        shown = service.figures()
    assert shown["experiments_in_flight", "proposed", "search"] == 0
    assert shown["experiments_in_flight", "running", "search"] == 1


def _postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def test_the_embedded_database_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(None, tmp_path, SPOOL="false") as service:
        service.post_all([REQUEST])
        os.kill(_postmaster(data_dir), signal.SIGKILL)
        _wait_for(lambda: service.get("/readyz").status_code == 503)
        _wait_for(lambda: service.get("/readyz").status_code == 200)
        service.post_all([Issue(number=46, created_at=at(2)).opened()])
        assert _wait_for(lambda: service.figures().get(IN_FLIGHT) == 2)
        assert service.end(signal.SIGTERM) == 0, service.log()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("after", [0.8, 1.2, 1.6])
def test_asked_to_end_while_it_starts_it_leaves_no_database_running(tmp_path: Path, after: float, times: int) -> None:
    data_dir = tmp_path / "data"
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    with subprocess.Popen(command, env=_environment(DATA_DIR=str(data_dir)), stderr=subprocess.PIPE) as process:
        time.sleep(after)
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.15)
        assert process.wait(_PATIENCE) in (0, -signal.SIGTERM)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("url", ["postgresql://u:hush@h:port/db", "postgresql://u:hush@h/db?sslmode=bogus"])
def test_a_database_url_that_cannot_be_used_stops_the_start_with_one_line(url: str) -> None:
    ended = _run("serve", "--port", "0", DATABASE_URL=url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("loopgauge: LOOPGAUGE_DATABASE_URL cannot be used; expected postgresql://")
    assert "hush" not in ended.stderr


BETS = """\
teams: {"acme/*": growth}
rules:
  - name: a bet
    when: {provider: github, label: bet}
    then: {declare: {experiment: true}}
"""


def test_a_rules_file_is_checked_and_each_error_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    assert _run("rules", "check", str(file)).returncode == 0
    file.write_text(BETS.replace("label: bet", "lable: bet"))
    wrong = _run("rules", "check", str(file))
    assert wrong.returncode == 1
    assert f"{file}:4: rules.0.when.lable: is not known here" in wrong.stderr
    served = _run("serve", "--port", "0", RULES=str(file))
    assert (served.returncode, "lable" in served.stderr) == (1, True)
    missing = _run("rules", "check", str(tmp_path / "nowhere.yaml"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_what_a_delivery_would_become_is_told_with_the_reason(tmp_path: Path) -> None:
    file, body = tmp_path / "rules.yaml", tmp_path / "body.json"
    file.write_text(BETS)
    body.write_bytes(Issue(created_at=at(2), labels=("bet",)).opened().body)
    header = ("--header", "X-GitHub-Event: issues")
    by_default = _run("rules", "try", "--source", "github", *header, str(body))
    assert by_default.stdout.startswith("ignored: no label `experiment`; labels were bet\n")
    tried = _run("rules", "try", "--source", "github", *header, "--rules", str(file), "--json", str(body))
    shown = json.loads(tried.stdout)
    assert (shown["verdict"], shown["reason"]) == ("counted", "a bet, proposed by creation")
    [mark] = [event for event in shown["events"] if event.get("field") == "experiment"]
    assert (mark["rule"], mark["subject"]) == ("a bet", "github:acme/app#45")
    assert _run("rules", "try", "--source", "gopher", *header, str(body)).returncode == 1


def test_an_experiment_is_explained_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all([REQUEST])
        service.end(signal.SIGTERM)
    explained = _run("explain", "github:acme/app#45", DATABASE_URL=database_url)
    assert "experiment by label; github" in explained.stdout
    assert 'loopgauge_experiments_in_flight{team="acme/app", stage="proposed"}' in explained.stdout
    shown = json.loads(_run("explain", "github:acme/app#45", "--json", DATABASE_URL=database_url).stdout)
    assert shown["experiment"]["idea_at"] == "2026-03-02T09:00:00Z"
    unknown = _run("explain", "github:acme/app#1", DATABASE_URL=database_url)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("loopgauge: nothing is known of github:acme/app#1: ")


def test_the_scorecard_is_shown_on_the_command_line_as_it_is_over_http(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "MIN_SAMPLE": "1"}
    opened = Issue(created_at=datetime.now(UTC) - timedelta(days=3), labels=("experiment", "team:search")).opened()
    with serving(database_url, tmp_path, MIN_SAMPLE="1", THRESHOLDS='{"search": "7d"}') as service:
        service.post(opened)
        _wait_for(lambda: service.figures().get(("experiments_in_flight", "proposed", "search")))
        over_http = service.get("/scorecard?team=search&window=30d").json()
    named = ("scorecard", "--team", "search", "--window", "30d")
    ended = _run(*named, "--json", THRESHOLDS='{"search": "7d"}', **settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = json.loads(ended.stdout)
    assert shown["loops"]["open"]["value"] == 1
    assert shown["idea_to_answer"]["threshold"]["words"] == "about a week"
    moments = ("taken_at", "since")
    assert {**shown, **dict.fromkeys(moments)} == {**over_http, **dict.fromkeys(moments)}
    table = _run("scorecard", **settings).stdout
    assert "How long from the idea to knowing whether it worked?" in table
    assert "\x1b" not in table
    refused = _run("scorecard", "--team", "serch", **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "loopgauge: no experiment is of the team serch; did you mean search?\n"
    wrong = _run("scorecard", "--window", "59m", **settings)
    assert wrong.returncode == 2
    assert "expected a window such as 36h or 90d" in wrong.stderr


def test_a_replay_prints_each_figure_that_changed(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    with serving(database_url, tmp_path) as service:
        service.post_all([Issue(created_at=at(2), labels=("bet",)).opened()])
        service.end(signal.SIGTERM)
    changed = 'loopgauge_experiments_in_flight{stage="proposed", team="growth"}: none -> 1\n'
    rehearsed = _run("replay", "--dry-run", DATABASE_URL=database_url, RULES=str(file))
    assert changed in rehearsed.stdout
    assert "1 deliveries replayed" in rehearsed.stdout
    replayed = _run("replay", DATABASE_URL=database_url, RULES=str(file))
    assert changed in replayed.stdout
    again = json.loads(_run("replay", "--json", DATABASE_URL=database_url, RULES=str(file)).stdout)
    assert again == {"deliveries": 1, "changed": {}}


def _execute(database_url: str, statement: str) -> None:
    async def execute() -> None:
        database = Database(database_url)
        async with database.transaction() as connection:
            await connection.execute(text(statement))
        await database.close()

    asyncio.run(execute())


def _retry(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run("deliveries", "retry", *arguments, DATABASE_URL=database_url)


_UNKNOWN = "00000000-0000-0000-0000-000000000001"


def test_failed_deliveries_are_retried_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    requests = [Issue(number=number, created_at=at(2)).opened() for number in range(1, 4)]
    with serving(database_url, tmp_path, ROLE="api") as service:
        service.post_all([*requests, github("issues", b"{")])
    _execute(database_url, "UPDATE deliveries SET verdict = 'failed', reason = 'a fault of an earlier version'")
    listed = json.loads(_run("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
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
        assert _wait_for(lambda: service.figures().get(IN_FLIGHT) == 3)
        _wait_for(lambda: service.figures()["interpreted_total", "github", "failed"] == 1)
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
    ended = _retry("postgresql://nobody@127.0.0.1:1/nothing", *wrong)
    assert (ended.returncode, ended.stdout) == (2, "")


@contextmanager
def _replaying(database_url: str, rules: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A replay whose progress goes to a terminal, and that has done a part of its work."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "service", "replay", *options]
    environment = _environment(DATABASE_URL=database_url, RULES=str(rules))
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=end, text=True) as process:
        # With nobody else at that end, reading fails when the process is gone.
        os.close(end)
        shown = b""
        while not re.search(rb"replaying .* [1-9][0-9]?%", shown):
            shown += os.read(terminal, 1000)
        try:
            yield process
        finally:
            process.kill()
            os.close(terminal)


@pytest.fixture
def bets(tmp_path: Path) -> Path:
    """A rules file under which a bet is an experiment."""
    file = tmp_path / "bets.yaml"
    file.write_text(BETS)
    return file


_BETS = [Issue(number=number, created_at=at(2), labels=("bet",)).opened() for number in range(1, 501)]
_BETS_IN_FLIGHT = 'loopgauge_experiments_in_flight{stage="proposed", team="growth"}'


def test_while_a_rehearsal_is_frozen_deliveries_become_figures(database_url: str, tmp_path: Path, bets: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        _wait_for(lambda: service.figures()["interpreted_total", "github", "ignored"] == len(_BETS))
        with _replaying(database_url, bets, "--dry-run", "--json") as rehearsing:
            rehearsing.send_signal(signal.SIGSTOP)
            service.post_all([Issue(number=600, created_at=at(2)).opened()])
            assert _wait_for(lambda: service.figures().get(IN_FLIGHT) == 1)
            assert rehearsing.poll() is None
            rehearsing.send_signal(signal.SIGCONT)
            told = json.loads(rehearsing.communicate(timeout=_PATIENCE)[0])
            assert rehearsing.returncode == 0
    assert told["deliveries"] == len(_BETS)
    assert told["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}


def test_a_replay_that_was_killed_is_finished_by_the_next_one(database_url: str, tmp_path: Path, bets: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        service.end(signal.SIGTERM)
    with _replaying(database_url, bets) as replaying:
        replaying.kill()
        assert replaying.wait(_PATIENCE) == -signal.SIGKILL
    again = _run("replay", "--json", DATABASE_URL=database_url, RULES=str(bets))
    assert json.loads(again.stdout)["changed"][_BETS_IN_FLIGHT]["to"] == len(_BETS)
    assert again.stderr == ""
    once_more = _run("replay", "--json", DATABASE_URL=database_url, RULES=str(bets))
    assert json.loads(once_more.stdout) == {"deliveries": len(_BETS), "changed": {}}


def test_on_a_terminal_a_replay_shows_how_far_it_is_and_answers_apart_from_it(
    database_url: str, tmp_path: Path, bets: Path
) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        service.end(signal.SIGTERM)
    for options in (["--dry-run", "--json"], ["--json"]):
        with _replaying(database_url, bets, *options) as replaying:
            told = json.loads(replaying.communicate(timeout=_PATIENCE)[0])
        assert told["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}

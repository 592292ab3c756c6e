"""`loopgauge replay` as a process: beside a service, after a kill, and on a terminal."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.builders import Issue, at
from tests.support.rules_files import BETS
from tests.support.serving import COMMAND, IN_FLIGHT, environment, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


@contextmanager
def _replaying(database_url: str, rules: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running replay that shows its progress on a terminal and has finished a part of its work."""
    terminal, end = pty.openpty()
    command = [*COMMAND, "replay", *options]
    settings = environment(DATABASE_URL=database_url, RULES=str(rules))
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=end, text=True) as process:
        # Close the copy that this process has of the terminal's end. The replay then has the only copy, so reading
        # fails once the replay ends.
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
    """The path of a rules file by which an issue with the label `bet` is an experiment."""
    file = tmp_path / "bets.yaml"
    file.write_text(BETS)
    return file


_BETS = [Issue(number=number, created_at=at(2), labels=("bet",)).opened() for number in range(1, 301)]


_BETS_IN_FLIGHT = 'loopgauge_experiments_in_flight{stage="proposed", team="growth"}'


def test_deliveries_are_counted_while_a_dry_run_is_frozen(database_url: str, tmp_path: Path, bets: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        wait_for(lambda: service.samples()["interpreted_total", "github", "ignored"] == len(_BETS))
        with _replaying(database_url, bets, "--dry-run", "--json") as replay:
            replay.send_signal(signal.SIGSTOP)
            service.post_all([opened(600)])
            assert wait_for(lambda: service.samples().get(IN_FLIGHT) == 1)
            assert replay.poll() is None
            replay.send_signal(signal.SIGCONT)
            printed = json.loads(replay.communicate(timeout=PATIENCE_SECONDS)[0])
            assert replay.returncode == 0
    assert printed["deliveries"] == len(_BETS)
    assert printed["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}


def test_the_next_replay_finishes_a_killed_replay(database_url: str, tmp_path: Path, bets: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        service.end(signal.SIGTERM)
    with _replaying(database_url, bets) as replaying:
        replaying.kill()
        assert replaying.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    again = run_command("replay", "--json", DATABASE_URL=database_url, RULES=str(bets))
    assert json.loads(again.stdout)["changed"][_BETS_IN_FLIGHT]["to"] == len(_BETS)
    assert again.stderr == ""
    once_more = run_command("replay", "--json", DATABASE_URL=database_url, RULES=str(bets))
    assert json.loads(once_more.stdout) == {"deliveries": len(_BETS), "changed": {}}


def test_progress_goes_to_the_terminal_and_not_into_the_output(database_url: str, tmp_path: Path, bets: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        service.end(signal.SIGTERM)
    for options in (["--dry-run", "--json"], ["--json"]):
        with _replaying(database_url, bets, *options) as replaying:
            printed = json.loads(replaying.communicate(timeout=PATIENCE_SECONDS)[0])
        assert printed["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}

"""`loopgauge replay`: alone, beside a service, and after a kill."""

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


def test_a_replay_prints_each_figure_that_changed(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    with serving(database_url, tmp_path) as service:
        service.post_all([Issue(created_at=at(2), labels=("bet",)).opened()])
        service.end(signal.SIGTERM)
    changed = 'loopgauge_experiments_in_flight{stage="proposed", team="growth"}: none -> 1\n'
    rehearsed = run_command("replay", "--dry-run", DATABASE_URL=database_url, RULES=str(file))
    assert changed in rehearsed.stdout
    assert "1 deliveries replayed" in rehearsed.stdout
    replayed = run_command("replay", DATABASE_URL=database_url, RULES=str(file))
    assert changed in replayed.stdout
    again = json.loads(run_command("replay", "--json", DATABASE_URL=database_url, RULES=str(file)).stdout)
    assert again == {"deliveries": 1, "changed": {}}


@contextmanager
def _replaying(database_url: str, rules: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A replay whose progress goes to a terminal, and that has done a part of its work."""
    terminal, end = pty.openpty()
    command = [*COMMAND, "replay", *options]
    settings = environment(DATABASE_URL=database_url, RULES=str(rules))
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=end, text=True) as process:
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
        wait_for(lambda: service.figures()["interpreted_total", "github", "ignored"] == len(_BETS))
        with _replaying(database_url, bets, "--dry-run", "--json") as rehearsing:
            rehearsing.send_signal(signal.SIGSTOP)
            service.post_all([opened(600)])
            assert wait_for(lambda: service.figures().get(IN_FLIGHT) == 1)
            assert rehearsing.poll() is None
            rehearsing.send_signal(signal.SIGCONT)
            told = json.loads(rehearsing.communicate(timeout=PATIENCE_SECONDS)[0])
            assert rehearsing.returncode == 0
    assert told["deliveries"] == len(_BETS)
    assert told["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}


def test_a_replay_that_was_killed_is_finished_by_the_next_one(database_url: str, tmp_path: Path, bets: Path) -> None:
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


def test_on_a_terminal_a_replay_shows_how_far_it_is_and_answers_apart_from_it(
    database_url: str, tmp_path: Path, bets: Path
) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all(_BETS)
        service.end(signal.SIGTERM)
    for options in (["--dry-run", "--json"], ["--json"]):
        with _replaying(database_url, bets, *options) as replaying:
            told = json.loads(replaying.communicate(timeout=PATIENCE_SECONDS)[0])
        assert told["changed"][_BETS_IN_FLIGHT] == {"from": None, "to": len(_BETS)}

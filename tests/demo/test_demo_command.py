"""`loopgauge demo` as it is run."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.demo.organisation import TEAMS
from tests.road import read_figures

_PATIENCE = 120.0
# The user's own settings, of which none may apply.
THEIRS = {
    "LOOPGAUGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "LOOPGAUGE_SOURCES__GITHUB__SECRET": "theirs",
    "LOOPGAUGE_PORT": "1",
    "LOOPGAUGE_RULES": "/nowhere.yaml",
    "LOOPGAUGE_API_TOKENS__READ": "theirs",
}


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose ancestors no other run of pytest closes to the system user that owns the database."""
    with tempfile.TemporaryDirectory(prefix="loopgauge-demo-") as made:
        yield Path(made)


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo of two weeks, killed at the end of the context."""
    command = [sys.executable, "-m", "service", "demo", "--port", "0", "--weeks", "2", "--data-dir", str(directory)]
    environment = {**os.environ, **THEIRS, "LOOPGAUGE_DATA_DIR": str(directory / "theirs")}
    with subprocess.Popen(
        [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """The lines of standard output up to one that begins so."""
    assert process.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + _PATIENCE
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(last) or time.monotonic() > deadline:
            break
    assert lines, "it said nothing"
    assert lines[-1].startswith(last), lines[-1]
    return lines


def test_it_shows_the_past_tells_what_to_notice_goes_on_live_and_ends_well(home: Path) -> None:
    directory = home / "demo"
    with demo(directory, "--pace", "20") as process:
        lines = said_until(process, "Live: 20 h")
        assert re.match(r"2 weeks of 7 teams: \d+ deliveries, \d+ of them twice, and 1 refused", lines[0])
        noticed = [line.split()[0] for line in lines if re.match(r"  [a-z]+ +(?!loopgauge)[a-z].*: ", line)]
        assert set(noticed) >= {team.name for team in TEAMS}
        [url] = {found[0] for line in lines if (found := re.findall(r"http://127\.0\.0\.1:\d+", line))}
        shown = read_figures(httpx.get(f"{url}/metrics", timeout=_PATIENCE).text)
        assert shown["inbox_failed",] == shown["projection_pending",] == 0
        assert shown["threshold_seconds", "search"] == 7 * 86_400
        _examples_work(lines, home)
        _something_more_is_posted(url, shown["deliveries_total", "stored", "github"])
        process.send_signal(signal.SIGINT)
        _, logged = process.communicate(timeout=_PATIENCE)
        assert (process.returncode, logged) == (0, "")
    assert not (directory / "postgres" / "postmaster.pid").exists()
    assert not (directory / "theirs").exists()


def _examples_work(lines: Sequence[str], directory: Path) -> None:
    """What the guide says to type answers."""
    [exported] = [line.strip() for line in lines if line.startswith("  export ")]
    typed = [line.strip() for line in lines if re.match(r"  curl | .* (explain|list|export-history) ", line)]
    assert len(typed) == 5
    for line in typed:
        ended = subprocess.run(
            ["bash", "-c", f"{exported}; {line}"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, shlex.quote(line) + ended.stderr
        assert ended.stdout or "--output" in line, line
    assert 'team="frontier"' in (directory / "history.om").read_text()


def _something_more_is_posted(url: str, before: float) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        shown = read_figures(httpx.get(f"{url}/metrics", timeout=_PATIENCE).text)
        if shown["deliveries_total", "stored", "github"] > before:
            return
        time.sleep(0.1)
    pytest.fail("nothing more was posted")


def test_it_ends_well_while_it_posts_the_past_and_starts_anew_after_a_kill(home: Path) -> None:
    with demo(home) as process:
        _wait_for(home / "postgres" / "postmaster.pid", process)
        process.kill()
        process.wait(_PATIENCE)
    with demo(home) as process:
        _wait_for(home / "spool", process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=_PATIENCE)
        assert process.returncode == 0
    assert not (home / "postgres" / "postmaster.pid").exists()


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_directory_that_is_not_its_own_is_refused_with_one_line(home: Path) -> None:
    (home / "thesis.txt").write_text("years of work")
    with demo(home) as process:
        said, logged = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, said) == (1, "")
    assert logged == f"loopgauge: {home} holds something that is not the demo's; choose an empty one with --data-dir\n"
    assert {entry.name for entry in home.iterdir()} == {"thesis.txt"}

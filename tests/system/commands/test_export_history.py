"""`loopgauge export-history` as a process: Prometheus loads the output, and a terminal shows the progress."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.documents import read_page
from tests.support.past import NOON, days_ago, store_past
from tests.support.prometheus import Prometheus, load, scraping, tool
from tests.support.serving import COMMAND, environment, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS

SELECTOR = '{__name__=~"loopgauge_.+",team!=""}'


@pytest.fixture
def past(database_url: str) -> str:
    """The URL of a database with two experiments."""
    store_past(database_url)
    return database_url


@pytest.fixture
def loaded(past: str, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that has loaded the export and scrapes the service, both with the same label `instance`."""
    with serving(past, tmp_path) as service:
        history, instance = tmp_path / "history.om", service.url.removeprefix("http://")
        exported = run_command(
            *("export-history", "--label", f"instance={instance}", "--output", str(history)), DATABASE_URL=past
        )
        assert (exported.returncode, exported.stdout) == (0, ""), exported.stderr
        load(history, tmp_path)
        with scraping([service.url], tmp_path) as prometheus:
            prometheus.until("loopgauge_snapshot_timestamp_seconds")
            yield prometheus


def test_the_page_about_the_past_names_the_data_directory_of_the_installed_package() -> None:
    said = subprocess.run([tool("prometheus"), "--version"], capture_output=True, text=True, check=True)
    if "debian" not in said.stdout + said.stderr:
        pytest.skip("this Prometheus is not the package of Debian")
    helped = subprocess.run([tool("prometheus"), "--help"], capture_output=True, text=True, check=True)
    [directory] = re.findall(r'--storage\.tsdb\.path="(.*?)/?"', helped.stdout + helped.stderr)
    page = read_page("history.md")
    assert f"openmetrics /tmp/history.om \\\n  {directory}\n" in page
    assert f"| `{directory}` |" in page


def values(prometheus: Prometheus, expression: str) -> list[float | None]:
    """The values of an expression with one series, at each midnight from ten days ago to two days ago."""
    ((_, by_time),) = prometheus.past(expression, days_ago(10), days_ago(2))
    return [by_time.get(days_ago(days).timestamp()) for days in range(10, 1, -1)]


def test_prometheus_answers_as_if_it_had_scraped_in_the_past(loaded: Prometheus) -> None:
    search = 'team="search"'
    assert values(loaded, f'loopgauge_experiments_in_flight{{{search},stage="proposed"}}') == [
        None,
        *(1, 0, 0, 0, 0, 0, 0, 0),
    ]
    assert values(loaded, f'loopgauge_experiments_in_flight{{{search},stage="running"}}') == [
        None,
        *(0, 1, 1, 1, 0, 0, 0, 0),
    ]
    assert values(loaded, f'loopgauge_experiments_concluded{{{search},outcome="worked",window="7d"}}') == [
        None,
        *(0, 0, 0, 0, 1, 1, 1, 1),
    ]
    assert values(loaded, 'loopgauge_oldest_open_idea_timestamp_seconds{team="ml"}') == [
        *(None, None, None, None),
        *[(days_ago(6) - NOON).timestamp()] * 5,
    ]
    assert values(loaded, "loopgauge_snapshot_timestamp_seconds") == [
        None,
        *(days_ago(days).timestamp() for days in range(9, 1, -1)),
    ]
    # The only time from idea to answer is four days, which is in the bucket from three to seven days. Prometheus takes
    # the middle of this bucket as the median: five days.
    buckets = 'max by (le, team) (loopgauge_idea_to_answer_seconds_bucket{team="search",window="7d"})'
    four_days_ago = {"time": f"{days_ago(4).timestamp()}"}
    for when in (four_days_ago, {}):
        assert loaded.query(f"histogram_quantile(0.5, {buckets})", **when) == {(("team", "search"),): 5 * 86400}


def test_loaded_and_scraped_series_are_the_same(loaded: Prometheus) -> None:
    def found(start: datetime, end: datetime) -> set[tuple[tuple[str, str], ...]]:
        return {tuple(sorted(series.items())) for series in loaded.series(SELECTOR, start, end)}

    now = datetime.now(UTC)
    before, scraped = found(days_ago(3), days_ago(1)), found(now - timedelta(minutes=5), now)
    assert len(before) > 100
    assert before == scraped
    ((_, joined),) = loaded.past('loopgauge_experiments_in_flight{team="ml",stage="proposed"}', days_ago(3), now)
    assert set(joined.values()) == {1}


def test_a_terminal_shows_the_progress(past: str, tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    command = [*COMMAND, "export-history", "--output", str(tmp_path / "history.om")]
    ended = subprocess.run(
        command, env=environment(DATABASE_URL=past), stderr=end, timeout=PATIENCE_SECONDS, check=False
    )
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert ended.returncode == 0
    assert "exporting" in shown
    assert "100%" in shown

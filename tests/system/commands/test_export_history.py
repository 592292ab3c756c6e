"""`loopgauge export-history`: from experiments in PostgreSQL to answers of a real Prometheus about the past."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.storage import experiments
from service.storage.database import Database
from tests.support.builders import experiment
from tests.support.prometheus import Prometheus, load, scraping
from tests.support.serving import serving

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = timedelta(hours=12)
SELECTOR = '{__name__=~"loopgauge_.+",team!=""}'


def days_ago(days: int) -> datetime:
    """The midnight so many days before that of today, UTC."""
    return TODAY - timedelta(days=days)


# Proposed nine days ago, started eight, answered five days ago; and one that was proposed six days ago and is open.
LOOPS = [
    experiment(
        idea_at=days_ago(9) - NOON,
        started_at=days_ago(8) - NOON,
        concluded_at=days_ago(5) - NOON,
        outcome=Outcome.WORKED,
    ),
    experiment("jira:ML-12", idea_at=days_ago(6) - NOON, url="", team="ml"),
]


def export(database_url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}
    return subprocess.run(
        [sys.executable, "-m", "service", "export-history", *options],
        env={**kept, "LOOPGAUGE_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def tell(database_url: str, loops: Sequence[Experiment]) -> None:
    async def store() -> None:
        database = Database(database_url)
        async with database.transaction() as connection:
            await experiments.replace(connection, loops, [])
        await database.close()

    asyncio.run(store())


@pytest.fixture
def told(database_url: str) -> str:
    """The URL of a database that holds the two loops."""
    tell(database_url, LOOPS)
    return database_url


@pytest.fixture
def loaded(told: str, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that was given the past and scrapes the service, under the same labels."""
    with serving(told, tmp_path) as service:
        history, instance = tmp_path / "history.om", service.url.removeprefix("http://")
        exported = export(told, "--label", f"instance={instance}", "--output", str(history))
        assert (exported.returncode, exported.stdout) == (0, ""), exported.stderr
        load(history, tmp_path)
        with scraping([service.url], tmp_path) as prometheus:
            prometheus.until("loopgauge_snapshot_timestamp_seconds")
            yield prometheus


def values(prometheus: Prometheus, expression: str) -> list[float | None]:
    """What the only series of an expression was at each midnight from ten to two days ago."""
    ((_, found),) = prometheus.past(expression, days_ago(10), days_ago(2))
    return [found.get(days_ago(days).timestamp()) for days in range(10, 1, -1)]


def test_prometheus_answers_about_the_past_as_if_it_had_scraped_then(loaded: Prometheus) -> None:
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
    # Four days from idea to answer: half-way between three days and seven.
    buckets = 'max by (le, team) (loopgauge_idea_to_answer_seconds_bucket{team="search",window="7d"})'
    four_days_ago = {"time": f"{days_ago(4).timestamp()}"}
    for when in (four_days_ago, {}):
        assert loaded.query(f"histogram_quantile(0.5, {buckets})", **when) == {(("team", "search"),): 5 * 86400}


def test_what_was_loaded_and_what_is_scraped_are_the_same_series(loaded: Prometheus) -> None:
    def found(start: datetime, end: datetime) -> set[tuple[tuple[str, str], ...]]:
        return {tuple(sorted(series.items())) for series in loaded.series(SELECTOR, start, end)}

    now = datetime.now(UTC)
    before, scraped = found(days_ago(3), days_ago(1)), found(now - timedelta(minutes=5), now)
    assert len(before) > 100
    assert before == scraped
    ((_, joined),) = loaded.past('loopgauge_experiments_in_flight{team="ml",stage="proposed"}', days_ago(3), now)
    assert set(joined.values()) == {1}


def test_without_options_it_writes_to_standard_output_under_the_labels_of_the_default_address(told: str) -> None:
    exported = export(told)
    moment = 'loopgauge_snapshot_timestamp_seconds{instance="127.0.0.1:8080",job="loopgauge"} '
    moments = [line for line in exported.stdout.splitlines() if line.startswith(moment)]
    # The midnight of today is told of from three in the morning on.
    assert len(moments) in {9, 10}
    assert moments[0].endswith(f" {days_ago(9).timestamp():.0f}")
    assert exported.stdout.endswith("\n# EOF\n")
    assert exported.stderr.startswith(f"{len(moments)} times from {days_ago(9):%Y-%m-%d} 00:00:00 to ")


def test_moments_are_as_far_apart_as_asked_and_begin_where_asked(told: str) -> None:
    exported = export(told, "--since", f"{days_ago(3):%Y-%m-%dT%H:%M:%S}+00:00", "--step", "12h", "--label", "job=")
    moment = 'loopgauge_snapshot_timestamp_seconds{instance="127.0.0.1:8080"} '
    stamps = [int(line.split()[-1]) for line in exported.stdout.splitlines() if line.startswith(moment)]
    assert stamps[0] == days_ago(3).timestamp()
    assert {later - earlier for earlier, later in pairwise(stamps)} == {12 * 3600}


def test_moments_end_where_asked_so_that_what_is_scraped_is_not_told_twice(told: str) -> None:
    exported = export(told, "--until", f"{days_ago(3):%Y-%m-%dT%H:%M:%S}+00:00")
    stamps = {int(line.split()[-1]) for line in exported.stdout.splitlines() if line[0] != "#"}
    assert max(stamps) == days_ago(3).timestamp()
    assert f" to {days_ago(3):%Y-%m-%d} 00:00:00 UTC" in exported.stderr


def test_what_prometheus_still_holds_in_memory_is_left_out_however_late_the_end_is(told: str) -> None:
    late = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%S}"
    stamps = [
        int(line.split()[-1])
        for line in export(told, "--step", "1h", "--until", late).stdout.splitlines()[1:-1:]
        if line[0] != "#"
    ]
    assert max(stamps) <= (datetime.now(UTC) - timedelta(hours=3)).timestamp()


def test_without_a_past_there_is_an_export_without_samples(database_url: str) -> None:
    exported = export(database_url)
    assert (exported.returncode, exported.stdout) == (0, "# EOF\n")
    assert exported.stderr.startswith("nothing to export: ")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["--since", "2026-05-02", "--until", "2026-05-01"],
            "--since is after --until; give an earlier --since, or a later --until",
        ),
        (["--step", "daily"], "expected a duration such as 90s, 15m, 6h or 14d"),
        (["--label", "instance"], "expected a label such as job=loopgauge, got 'instance'"),
        (["--label", "__name__=a"], "expected a label such as job=loopgauge"),
        (["--label", "team=search"], "the figures have a label team of their own"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(told: str, options: list[str], why: str) -> None:
    exported = export(told, *options)
    assert exported.returncode == 2
    assert why in exported.stderr
    assert exported.stdout == ""


def test_a_file_that_cannot_be_written_and_a_database_that_is_not_there_are_failures(told: str, tmp_path: Path) -> None:
    for failed in (
        export(told, "--output", str(tmp_path / "missing" / "history.om")),
        export("postgresql://nobody@127.0.0.1:1/nothing"),
        export(told, "--output", "/dev/full"),
    ):
        assert failed.returncode == 1
        assert "Traceback" not in failed.stderr
        assert len(failed.stderr.splitlines()) == 1


def test_on_a_terminal_it_shows_how_far_it_is(told: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", "export-history", "--output", str(tmp_path / "history.om")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}
    ended = subprocess.run(
        command, env={**kept, "LOOPGAUGE_DATABASE_URL": told}, stderr=theirs, timeout=60, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert ended.returncode == 0
    assert "exporting" in shown
    assert "100%" in shown

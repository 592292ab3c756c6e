"""`loopgauge export-history` writes the samples of past times, or fails with an error message of one line."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.commands import invoke
from tests.support.past import days_ago, store_past
from tests.support.serving import UNREACHABLE


def export(database_url: str, *options: str) -> CompletedProcess[str]:
    return invoke("export-history", *options, DATABASE_URL=database_url)


@pytest.fixture
def past(database_url: str) -> str:
    """The URL of a database with two experiments."""
    store_past(database_url)
    return database_url


def test_by_default_samples_go_to_standard_output_with_the_labels_of_the_default_address(past: str) -> None:
    exported = export(past)
    moment = 'loopgauge_snapshot_timestamp_seconds{instance="127.0.0.1:8080",job="loopgauge"} '
    moments = [line for line in exported.stdout.splitlines() if line.startswith(moment)]
    # The last three hours are never exported, so today's midnight is missing until 03:00.
    assert len(moments) in {9, 10}
    assert moments[0].endswith(f" {days_ago(9).timestamp():.0f}")
    assert exported.stdout.endswith("\n# EOF\n")
    assert exported.stderr.startswith(f"{len(moments)} times from {days_ago(9):%Y-%m-%d} 00:00:00 to ")


def test_the_exported_times_begin_at_since_and_are_a_step_apart(past: str) -> None:
    exported = export(past, "--since", f"{days_ago(3):%Y-%m-%dT%H:%M:%S}+00:00", "--step", "12h", "--label", "job=")
    moment = 'loopgauge_snapshot_timestamp_seconds{instance="127.0.0.1:8080"} '
    stamps = [int(line.split()[-1]) for line in exported.stdout.splitlines() if line.startswith(moment)]
    assert stamps[0] == days_ago(3).timestamp()
    assert {later - earlier for earlier, later in pairwise(stamps)} == {12 * 3600}


def test_the_exported_times_end_at_until(past: str) -> None:
    exported = export(past, "--until", f"{days_ago(3):%Y-%m-%dT%H:%M:%S}+00:00")
    stamps = {int(line.split()[-1]) for line in exported.stdout.splitlines() if line[0] != "#"}
    assert max(stamps) == days_ago(3).timestamp()
    assert f" to {days_ago(3):%Y-%m-%d} 00:00:00 UTC" in exported.stderr


def test_the_last_three_hours_are_never_exported(past: str) -> None:
    late = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%S}"
    stamps = [
        int(line.split()[-1])
        for line in export(past, "--step", "1h", "--until", late).stdout.splitlines()[1:-1:]
        if line[0] != "#"
    ]
    assert max(stamps) <= (datetime.now(UTC) - timedelta(hours=3)).timestamp()


def test_an_export_without_experiments_has_no_samples(database_url: str) -> None:
    exported = export(database_url)
    assert (exported.returncode, exported.stdout) == (0, "# EOF\n")
    assert exported.stderr.startswith("nothing to export: ")


def test_a_label_that_the_metrics_have_already_is_refused(past: str) -> None:
    exported = export(past, "--label", "team=search")
    assert (exported.returncode, exported.stdout) == (2, "")
    assert "have a label team of their own" in exported.stderr


def test_an_unwritable_file_and_an_unreachable_database_fail_with_one_line(past: str, tmp_path: Path) -> None:
    for failed in (
        export(past, "--output", str(tmp_path / "missing" / "history.om")),
        export(UNREACHABLE),
        export(past, "--output", "/dev/full"),
    ):
        assert failed.returncode == 1
        assert "Traceback" not in failed.stderr
        assert len(failed.stderr.splitlines()) == 1

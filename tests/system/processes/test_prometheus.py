"""A real Prometheus scrapes the service."""

import signal
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.estimators import BUCKETS
from tests.support.commands import in_database
from tests.support.experiments import experiments_of_all_kinds
from tests.support.prometheus import promtool, scraping
from tests.support.road import store_experiments
from tests.support.serving import Service, serving
from tests.support.waiting import wait_for


@pytest.fixture
def stored(database_url: str) -> str:
    """The URL of a database with experiments of all kinds."""
    experiments = experiments_of_all_kinds(datetime.now(UTC))
    in_database(database_url, lambda database: store_experiments(database, *experiments))
    return database_url


def series(service: Service) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """The series of experiment metrics in a scrape, without the metrics that each process exports about itself."""
    return Counter(
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(service.get("/metrics").text)
        for sample in family.samples
        if "team" in sample.labels or sample.name.startswith(("loopgauge_excluded", "loopgauge_snapshot_"))
    )


def _exported(services: list[Service]) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    return sum((series(service) for service in services), Counter())


def _until_exported(services: list[Service]) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Wait until a replica exports series, and return the series that all replicas export together."""
    return wait_for(lambda: _exported(services))


def test_promtool_accepts_a_scrape_of_either_role(stored: str, tmp_path: Path) -> None:
    with serving(stored, tmp_path) as everything, serving(stored, tmp_path, ROLE="api") as api:
        _until_exported([everything])
        for service in (everything, api):
            checked = promtool("check", "metrics", given=service.get("/metrics").text)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_quantile_that_prometheus_interpolates_is_within_a_bucket_of_the_exact_quantile(
    stored: str, tmp_path: Path
) -> None:
    with serving(stored, tmp_path) as service, scraping([service.url], tmp_path) as prometheus:
        exact = prometheus.until('loopgauge_stage_quantile_seconds{stage="idea_to_answer",team!="_org"}')
        (target,) = prometheus.targets()
        assert (target["health"], target["lastError"]) == ("up", "")
        compared = 0
        for labels, value in exact.items():
            row = dict(labels)
            asked = f'loopgauge_idea_to_answer_seconds_bucket{{team="{row["team"]}",window="{row["window"]}"}}'
            (interpolated,) = prometheus.query(f"histogram_quantile({row['q']}, max by (le, team) ({asked}))").values()
            assert abs(bisect_left(BUCKETS, interpolated) - bisect_left(BUCKETS, value)) <= 1, (
                row,
                interpolated,
                value,
            )
            compared += 1
        # There are three teams, three quantiles, and at least the windows of 30, 90 and 365 days.
        assert compared >= 27


def test_one_of_three_replicas_exports_each_series_and_another_replica_takes_over_after_its_death(
    stored: str, tmp_path: Path
) -> None:
    with (
        serving(stored, tmp_path, ROLE="api") as api,
        serving(stored, tmp_path, ROLE="worker") as one,
        serving(stored, tmp_path, ROLE="worker") as other,
    ):
        before = _until_exported([api, one, other])
        assert set(before.values()) == {1}
        leader = one if series(one) else other
        successor = other if leader is one else one
        leader.end(signal.SIGKILL)
        assert _until_exported([api, successor]) == before

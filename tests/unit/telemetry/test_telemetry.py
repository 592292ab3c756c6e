"""Each process exports metrics about itself."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version

import prometheus_client
import pytest
from prometheus_client import disable_created_metrics

from service.telemetry import RESULTS, VERDICTS, Telemetry
from service.telemetry.backlog import Backlog
from tests.support.builders import at


def _value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"loopgauge_{name}", labels)


def _series(telemetry: Telemetry, name: str) -> list[dict[str, str]]:
    return [
        sample.labels
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == f"loopgauge_{name}"
    ]


def test_every_known_combination_of_labels_begins_at_zero() -> None:
    telemetry = Telemetry(["github", "ci_main"])
    for source in ("github", "ci_main"):
        for result in RESULTS:
            assert _value(telemetry, "deliveries_total", source=source, result=result) == 0
        for verdict in VERDICTS:
            assert _value(telemetry, "interpreted_total", source=source, verdict=verdict) == 0
    assert _value(telemetry, "deliveries_total", source="_unknown", result="refused") == 0


def test_every_kind_of_lifecycle_event_begins_at_zero() -> None:
    telemetry = Telemetry([])
    kinds = (
        *("proposed", "started", "signalled", "concluded", "reopened", "shipped", "active"),
        *("declared", "withdrawn", "refused", "shown"),
    )
    assert _series(telemetry, "lifecycle_events_recorded_total") == [{"kind": kind} for kind in kinds]
    assert {_value(telemetry, "lifecycle_events_recorded_total", kind=kind) for kind in kinds} == {0}


def test_every_pair_of_failure_categories_has_a_count_of_changes_that_begins_at_zero() -> None:
    telemetry = Telemetry([])
    categories = ("intelligent", "basic", "complex", "unclassified")
    changes = [(before, now) for before in categories for now in categories if before != now]
    assert len(changes) == 12
    for before, now in changes:
        assert _value(telemetry, "reclassifications_total", from_category=before, to_category=now) == 0
    assert len(_series(telemetry, "reclassifications_total")) == 12


def test_an_unknown_source_creates_no_series() -> None:
    telemetry = Telemetry(["github"])
    for number in range(100):
        telemetry.count_delivery(f"invented-{number}", "refused")
        telemetry.record_last_delivery(f"invented-{number}", at(2))
    assert _value(telemetry, "deliveries_total", source="_unknown", result="refused") == 100
    samples = [sample for family in telemetry.registry.collect() for sample in family.samples]
    sources = {sample.labels["source"] for sample in samples if "source" in sample.labels}
    assert sources == {"github", "_unknown"}


def test_a_source_without_deliveries_exports_no_last_delivery() -> None:
    telemetry = Telemetry(["github", "jira"])
    telemetry.record_last_delivery("jira", at(2))
    assert _series(telemetry, "source_last_delivery_timestamp_seconds") == [{"source": "jira"}]


def test_the_last_delivery_is_the_newest_delivery_whatever_the_order_of_receipt() -> None:
    telemetry = Telemetry(["github"])
    for day in (3, 4, 2):
        telemetry.record_last_delivery("github", at(day))
    # 2026-03-04T09:00:00Z
    assert _value(telemetry, "source_last_delivery_timestamp_seconds", source="github") == 1772614800


def test_the_backlog_is_absent_until_it_is_measured_and_after_a_failed_measurement() -> None:
    telemetry = Telemetry([])
    names = (
        "inbox_pending",
        "inbox_oldest_pending_seconds",
        "inbox_failed",
        "projection_pending",
        "projection_set_aside",
    )
    assert [_value(telemetry, name) for name in names] == [None] * 5
    telemetry.set_backlog(Backlog(pending=3, oldest_pending_seconds=90.5, failed=2, dirty_subjects=7, set_aside=1))
    assert [_value(telemetry, name) for name in names] == [3, 90.5, 2, 7, 1]
    telemetry.set_backlog(None)
    assert [_value(telemetry, name) for name in names] == [None] * 5


def test_the_build_metric_exports_the_versions_and_the_role() -> None:
    labels = {"version": version("loopgauge"), "python": platform.python_version()}
    assert _value(Telemetry([]), "build_info", **labels, role="all") == 1
    assert _value(Telemetry([], "worker"), "build_info", **labels, role="worker") == 1


def test_a_process_exports_the_size_of_its_memory_and_the_number_of_its_open_files() -> None:
    registry = Telemetry([]).registry
    resident = registry.get_sample_value("process_resident_memory_bytes")
    assert resident is not None
    assert resident > 1_000_000
    descriptors = registry.get_sample_value("process_open_fds")
    assert descriptors is not None
    assert 0 < descriptors <= os.sysconf("SC_OPEN_MAX")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_metrics() -> None:
    disable_created_metrics()
    telemetry = Telemetry(["github"])
    telemetry.record_last_delivery("github", at(2))
    telemetry.set_backlog(Backlog(0, 0.0, 0, 0))
    telemetry.requests.observe("POST", "/webhooks/{source}", 202, 0.004)
    shown = prometheus_client.generate_latest(telemetry.registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=shown, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

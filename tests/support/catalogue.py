"""Every metric that the service exports, as read from a scrape, and a list of the metrics that no panel shows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.view import View
from service.pipeline.exposition import write_text
from service.pipeline.snapshot import ExportedSnapshot, render
from service.telemetry import Telemetry
from service.telemetry.backlog import Backlog
from tests.support.builders import at, experiment, terms

UNUSED: Mapping[str, str] = {
    "loopgauge_experiments_overdue_active": "the alert on overdue experiments counts them",
    "loopgauge_experiment_forgotten_idle_seconds": "the alert on forgotten experiments lists them",
    "loopgauge_forgotten_after_seconds": "the alert on forgotten experiments gives this limit",
    "process_virtual_memory_bytes": "the limit of a container is about resident memory",
    "process_start_time_seconds": "the lines of a process in the panels begin when the process starts",
    "process_open_fds": "it seldom changes, and a process logs an error when too many files are open",
    "process_max_fds": "the operator has set this value",
}
"""Metric families without a panel, each with the reason."""

NOW = at(31)
_Ending: TypeAlias = tuple[Outcome, FailureCategory | None, datetime | None]
_ENDINGS: tuple[_Ending, ...] = (
    *((Outcome.FAILED, category, at(9)) for category in FailureCategory),
    *((outcome, None, None) for outcome in Outcome if outcome is not Outcome.FAILED),
)


def scrape() -> str:
    """Return a scrape that contains a value of every metric of the service."""
    snapshot = render(View.of(_portfolio(), terms("30d", "90d"), NOW))
    exported = ExportedSnapshot.of(snapshot, timedelta(seconds=0.5))
    return exported.text.plain(write_text(_telemetry().registry)).decode()


def labels() -> dict[str, set[str]]:
    """The label names by series name, without the labels that Prometheus adds."""
    labels_of: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scrape()):
        for sample in family.samples:
            labels_of.setdefault(sample.name, set()).update(sample.labels)
    return labels_of


def values() -> dict[tuple[str, str], set[str]]:
    """The label values by series name and label name."""
    values_of: dict[tuple[str, str], set[str]] = {}
    for family in text_string_to_metric_families(scrape()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                values_of.setdefault((sample.name, label), set()).add(value)
    return values_of


def families() -> dict[str, set[str]]:
    """The series names by metric family."""
    names_of: dict[str, set[str]] = {}
    for name in labels():
        names_of.setdefault(_family(name), set()).add(name)
    return names_of


def is_of_one_process(name: str) -> bool:
    """Whether each process exports a value of its own, so that a query can sum the values."""
    shared = ("loopgauge_inbox", "loopgauge_projection", "loopgauge_source")
    return is_of_processes(name) and not name.startswith(shared)


def is_of_processes(name: str) -> bool:
    """Whether the metric is about processes, not about experiments."""
    return name in {sample.name for family in _telemetry().registry.collect() for sample in family.samples}


def _family(name: str) -> str:
    for ending in ("_bucket", "_gcount", "_gsum", "_count", "_sum", "_total", "_created", "_info"):
        name = name.removesuffix(ending)
    return name


def _portfolio() -> list[Experiment]:
    return [made for team in ("search", "checkout") for made in (*_concluded(team), *_open(team))]


def _concluded(team: str) -> list[Experiment]:
    return [
        experiment(
            f"github:acme/{team}#{number}{risk}",
            team=team,
            risk=risk,
            idea_at=at(2),
            started_at=at(3),
            first_signal_at=at(4),
            concluded_at=at(8),
            outcome=outcome,
            failure_category=category,
            shared_at=shared_at,
            shipped_at=at(10),
        )
        for risk in Risk
        for number, (outcome, category, shared_at) in enumerate(_ENDINGS)
    ]


def _open(team: str) -> list[Experiment]:
    """An experiment that is overdue and forgotten, and another one that is overdue and active."""
    return [
        experiment(f"github:acme/{team}#45", team=team, idea_at=at(1)),
        experiment(f"github:acme/{team}#46", team=team, idea_at=at(1), last_activity_at=at(30)),
    ]


def _telemetry() -> Telemetry:
    telemetry = Telemetry(["github"])
    telemetry.record_last_delivery("github", datetime(2026, 3, 30, tzinfo=UTC))
    telemetry.set_backlog(Backlog(pending=3, oldest_pending_seconds=2.0, failed=1, dirty_subjects=4))
    telemetry.observe_visible(2.0)
    telemetry.requests.observe("POST", "/webhooks/{source}", 202, 0.01)
    return telemetry

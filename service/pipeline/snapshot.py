"""Snapshot: the figures of one moment, written once, so that a scrape only hands out bytes."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.metrics import METRICS
from service.metrics.cohort import MeasuredExperiment
from service.metrics.terms import Terms
from service.metrics.view import View
from service.pipeline.exposition import Exposition, Families, write_both, write_openmetrics, write_text
from service.storage import exclusions, experiments
from service.storage.database import Connection, Database

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The experiment metrics of one moment in both exposition formats.

    Attributes:
        taken_at: the moment.
        text: Prometheus text.
        openmetrics: OpenMetrics without its closing line, so that more can follow.
    """

    taken_at: datetime
    text: bytes
    openmetrics: bytes


@dataclass(frozen=True, slots=True)
class ExportedSnapshot:
    """A snapshot as it is handed out, with what tells how old it is.

    Attributes:
        taken_at: the moment that it is of.
        took: how long it took to have it.
        text, openmetrics: the metrics in both formats.
    """

    taken_at: datetime
    took: timedelta
    text: Exposition
    openmetrics: Exposition

    @classmethod
    def of(cls, snapshot: Snapshot, took: timedelta) -> "ExportedSnapshot":
        """The snapshot, compressed: that takes its time."""
        about = Families(_about(snapshot, took))
        return cls(
            snapshot.taken_at,
            took,
            Exposition(snapshot.text + write_text(about)),
            Exposition(snapshot.openmetrics + write_openmetrics(about)),
        )


def _about(snapshot: Snapshot, took: timedelta) -> Iterator[Metric]:
    yield timestamp(snapshot.taken_at)
    yield GaugeMetricFamily(
        "loopgauge_snapshot_duration_seconds",
        "How long it took to have the figures about experiments ready.",
        value=took.total_seconds(),
    )


def timestamp(now: datetime) -> Metric:
    """`loopgauge_snapshot_timestamp_seconds`: the moment of which a snapshot tells, Unix time."""
    return GaugeMetricFamily(
        "loopgauge_snapshot_timestamp_seconds",
        "The moment of which the figures about experiments tell.",
        value=now.timestamp(),
    )


class ExperimentCache:
    """What was read for one snapshot, so that for the next one only what has changed since need be read."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self._experiments: dict[UUID, MeasuredExperiment] = {}
        self._folded = 0

    async def view(self, connection: Connection, terms: Terms, now: datetime, *before: datetime) -> View:
        """The experiments that figures as of `now` need, as they were folded last, and what is left out.

        Args:
            before: further moments, for figures as they would have been then.
        """
        since = min((now, *before)) - max(window.length for window in terms.windows)
        needed: dict[UUID, int] = {}
        for moment in (now, *before):
            needed |= await experiments.select_for_metrics(connection, since, moment)
        await self._read(connection, [one for one, version in needed.items() if self._versions.get(one) != version])
        for one in self._versions.keys() - needed.keys():
            self._forget(one)
        return View(self._experiments.values(), terms, now, await exclusions.list_since(connection, since))

    def warn(self, folded: int, terms: Terms) -> None:
        """Tell of teams without a row of their own, when they become more."""
        if folded > self._folded:
            _log.warning("teams share one row", teams=folded, setting="LOOPGAUGE_MAX_TEAMS", value=terms.max_teams)
        self._folded = folded

    async def _read(self, connection: Connection, changed: Collection[UUID]) -> None:
        stored = await experiments.read(connection, changed)
        for one in changed:
            if (found := stored.get(one)) is not None:
                self._versions[one], self._experiments[one] = found.version, MeasuredExperiment.of(found.experiment)
            elif one in self._versions:
                self._forget(one)

    def _forget(self, one: UUID) -> None:
        del self._versions[one], self._experiments[one]


async def take_snapshot(
    database: Database, terms: Terms, clock: Callable[[], datetime], cache: ExperimentCache
) -> Snapshot:
    """The figures of this moment, from the experiments as they were folded last.

    It computes for as long as there is much to compute, and nothing else runs in the process meanwhile.

    Args:
        clock: the time now, UTC.

    Raises:
        DatabaseUnavailable: the experiments cannot be read.
    """
    async with database.read_transaction() as connection:
        view = await cache.view(connection, terms, clock())
    # After reading, so that nothing that was read lies ahead of the moment that the figures are of.
    view = view.at(clock())
    cache.warn(view.combined_teams, terms)
    return render(view)


def render(view: View) -> Snapshot:
    """The view's figures."""
    return Snapshot(view.now, *write_both(families_of(view)))


def families_of(view: View) -> Iterator[Metric]:
    """The families of the view's figures, in the order of a scrape."""
    for make in METRICS:
        yield from make(view)


def sample_values(view: View) -> dict[str, float]:
    """Every sample of the view's figures, under its name and labels as PromQL writes them."""
    return {
        _written(sample.name, sample.labels): sample.value for family in families_of(view) for sample in family.samples
    }


def _written(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in sorted(labels.items()))}}}"

"""Snapshot: compute the experiment metrics as of one instant, before any scrape asks for them."""

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
    """The experiment metrics as of one moment, in both exposition formats.

    Attributes:
        taken_at: the moment.
        text: the metrics in the Prometheus text format.
        openmetrics: the metrics in OpenMetrics, without its closing line, so that more lines can follow.
    """

    taken_at: datetime
    text: bytes
    openmetrics: bytes


@dataclass(frozen=True, slots=True)
class ExportedSnapshot:
    """A snapshot that is ready to be served, with metrics about the snapshot itself.

    Attributes:
        taken_at: the moment of the snapshot.
        took: how long the snapshot took to compute.
        text, openmetrics: the metrics in both formats.
    """

    taken_at: datetime
    took: timedelta
    text: Exposition
    openmetrics: Exposition

    @classmethod
    def of(cls, snapshot: Snapshot, took: timedelta) -> "ExportedSnapshot":
        """Compress a snapshot, which may take seconds: do not call this on the event loop."""
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
        "How long the snapshot of the experiment metrics took to compute.",
        value=took.total_seconds(),
    )


def timestamp(now: datetime) -> Metric:
    """`loopgauge_snapshot_timestamp_seconds`: the moment of a snapshot, Unix time."""
    return GaugeMetricFamily(
        "loopgauge_snapshot_timestamp_seconds",
        "The moment as of which the experiment metrics were computed, Unix time.",
        value=now.timestamp(),
    )


class ExperimentCache:
    """A cache of the experiments of the last view, so that the next view reads only experiments that changed."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self._experiments: dict[UUID, MeasuredExperiment] = {}
        self._combined = 0

    async def view(self, connection: Connection, terms: Terms, now: datetime, *before: datetime) -> View:
        """Read the view as of `now`: the projected experiments that its metrics need, and the exclusions.

        Args:
            before: earlier moments to which the caller may move the view back. The view then also contains the
                experiments that the metrics need as of these moments.
        """
        since = min((now, *before)) - max(window.length for window in terms.windows)
        needed: dict[UUID, int] = {}
        for moment in (now, *before):
            needed |= await experiments.select_for_metrics(connection, since, moment)
        changed = [experiment for experiment, version in needed.items() if self._versions.get(experiment) != version]
        await self._read(connection, changed)
        for experiment in self._versions.keys() - needed.keys():
            self._evict(experiment)
        return View(self._experiments.values(), terms, now, await exclusions.list_since(connection, since))

    def warn_of_combined_teams(self, combined: int, terms: Terms) -> None:
        """Log a warning when more teams than before share the row `_other`."""
        if combined > self._combined:
            _log.warning("teams share row _other", teams=combined, setting="LOOPGAUGE_MAX_TEAMS", value=terms.max_teams)
        self._combined = combined

    async def _read(self, connection: Connection, changed: Collection[UUID]) -> None:
        stored = await experiments.read(connection, changed)
        for experiment in changed:
            if (row := stored.get(experiment)) is not None:
                self._versions[experiment] = row.version
                self._experiments[experiment] = MeasuredExperiment.of(row.experiment)
            elif experiment in self._versions:
                self._evict(experiment)

    def _evict(self, experiment: UUID) -> None:
        del self._versions[experiment], self._experiments[experiment]


async def take_snapshot(
    database: Database, terms: Terms, clock: Callable[[], datetime], cache: ExperimentCache
) -> Snapshot:
    """Take a snapshot of the metrics as of now, from the projected experiments.

    With many experiments, this blocks the event loop for seconds: call it in a separate process.

    Args:
        clock: returns the current time in UTC.

    Raises:
        DatabaseUnavailable: the experiments cannot be read.
    """
    async with database.read_transaction() as connection:
        view = await cache.view(connection, terms, clock())
    # Read the clock again. An experiment that changed since the first reading of the clock may have an instant after
    # the first reading. A view as of the first reading would have this instant in the future and omit the experiment.
    view = view.at(clock())
    cache.warn_of_combined_teams(view.combined_teams, terms)
    return render(view)


def render(view: View) -> Snapshot:
    """Write the metrics of a view."""
    return Snapshot(view.now, *write_both(families_of(view)))


def families_of(view: View) -> Iterator[Metric]:
    """The metric families of a view, in the order in which a scrape lists them."""
    for make in METRICS:
        yield from make(view)


def sample_values(view: View) -> dict[str, float]:
    """The value of every sample of a view, by the sample's name and labels in PromQL notation."""
    return {
        _written(sample.name, sample.labels): sample.value for family in families_of(view) for sample in family.samples
    }


def _written(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in sorted(labels.items()))}}}"

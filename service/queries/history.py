"""History: export the metrics of past moments, computed from the experiments as they are stored now."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.history import as_of
from service.metrics.cohort import MeasuredExperiment
from service.metrics.terms import Terms
from service.metrics.view import View
from service.pipeline.exposition import OPENMETRICS_END, Families, escape, write_openmetrics
from service.pipeline.snapshot import families_of, timestamp
from service.queries.external_sort import Place, SpillBuffer
from service.storage import exclusions, experiments
from service.storage.database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSETTLED = timedelta(hours=3)

# Cache the text of each number, because the same few values occur many times.
_number = lru_cache(4096)(floatToGoString)

_Labels: TypeAlias = tuple[tuple[str, str], ...]

Progress = Callable[[int, int], None]
"""A function that is called with the number of finished moments, and the number of all moments."""


class TakenLabel(Exception):
    """The metrics have this label already, so it cannot be added to every series; the message names the label."""


@dataclass(frozen=True, slots=True)
class ExperimentHistory:
    """All experiments and exclusions, as they are stored now."""

    experiments: Sequence[Experiment]
    excluded: Sequence[Exclusion] = ()


async def read_history(database: Database) -> ExperimentHistory:
    """Read all experiments and exclusions.

    Raises:
        DatabaseUnavailable: the experiments cannot be read.
    """
    async with database.transaction() as connection:
        return ExperimentHistory(
            await experiments.read_all(connection), await exclusions.list_since(connection, _EPOCH)
        )


def earliest_moment(history: ExperimentHistory, terms: Terms, now: datetime) -> datetime:
    """The default start of an export: the first idea or the beginning of the widest window, whichever is later."""
    widest = now - max(window.length for window in terms.windows)
    first = min((experiment.idea_at for experiment in history.experiments), default=now)
    return max(first, widest)


def export_moments(since: datetime, until: datetime, step: timedelta, now: datetime) -> Sequence[datetime]:
    """The moments of an export, in order: the multiples of `step`, counted from 1970, such as each midnight UTC.

    The last moment is at least three hours before `now`: Prometheus keeps later samples in memory, and an imported
    block would overlap with them.

    Args:
        since, until: the bounds of the moments, both inclusive.
        step: the time between two moments.
        now: the current time in UTC.
    """
    first, last = -((_EPOCH - since) // step), (min(until, now - _UNSETTLED) - _EPOCH) // step
    return [_EPOCH + number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Export:
    """Writes the metrics of many moments.

    Attributes:
        terms: the current windows, thresholds and limits.
        labels: the labels that the user adds to every series (`--label`), such as the labels that a scrape would add.
        progress: called after each moment.
    """

    terms: Terms
    labels: Mapping[str, str]
    progress: Progress

    def write(self, history: ExperimentHistory, moments: Sequence[datetime]) -> Iterator[bytes]:
        """Write the metrics as OpenMetrics, ordered by family, and within each family by metric.

        Args:
            moments: the moments, in order.

        Raises:
            TakenLabel: the metrics already have a label with the name of one of `labels`.
            OSError: there is no disk space for temporary files.
        """
        today = View.of(history.experiments, self.terms, max(moments, default=_EPOCH), history.excluded)
        with SpillBuffer() as buffer:
            transcript = _Transcript(buffer, self.labels)
            for done, then in enumerate(moments, start=1):
                transcript.add(families_as_of(today, then), then)
                self.progress(done, len(moments))
            yield from transcript.read()
        yield OPENMETRICS_END


def families_as_of(today: View, then: datetime) -> Iterator[Metric]:
    """The metric families of a snapshot as of `then`, except the duration of the snapshot."""
    yield from families_of(view_as_of(today, then))
    yield timestamp(then)


def view_as_of(today: View, then: datetime, own_rows: Collection[str] | None = None) -> View:
    """The view as of an earlier moment, from the experiments as they are stored now.

    Args:
        own_rows: the teams that have rows of their own; None for the teams that had such rows at that moment.
    """
    past = (_as_of(experiment, then) for experiment in today.experiments)
    return View((experiment for experiment in past if experiment), today.terms, then, today.exclusions, own_rows)


def _as_of(measured: MeasuredExperiment, then: datetime) -> MeasuredExperiment | None:
    past = as_of(measured.experiment, then)
    # Most experiments of a long history have not changed since `then`: reuse their measurement.
    return measured if past is measured.experiment else MeasuredExperiment.of(past) if past else None


class _Transcript:
    """Collects the samples of each moment, and puts them in the order of OpenMetrics.

    OpenMetrics groups samples by family and by metric, so the samples of one moment are spread over the whole output.
    """

    def __init__(self, buffer: SpillBuffer, labels: Mapping[str, str]) -> None:
        self._buffer = buffer
        self._labels = labels
        self._heads: list[bytes] = []
        self._series: dict[tuple[str, _Labels], tuple[Place, str]] = {}
        self._places: dict[tuple[int, _Labels], Place] = {}

    def add(self, families: Iterable[Metric], then: datetime) -> None:
        """Add the families of the next moment. Moments must be added in order."""
        stamp = f"{then.timestamp():.0f}"
        for number, family in enumerate(families):
            if number == len(self._heads):
                empty = Metric(family.name, family.documentation, family.type)
                self._heads.append(write_openmetrics(Families([empty])))
            for sample in family.samples:
                place, series = self._locate(number, sample)
                self._buffer.add(place, f"{series} {_number(sample.value)} {stamp}\n".encode())

    def read(self) -> Iterator[bytes]:
        """Read all lines in order, without the families that have no samples."""
        for number, metrics in groupby(self._buffer.read(), key=lambda part: part[0][0]):
            yield self._heads[number]
            for _, lines in metrics:
                yield lines

    def _locate(self, family: int, sample: Sample) -> tuple[Place, str]:
        """The place of a sample's line in the output, and the name and labels with which the line begins."""
        key = sample.name, tuple(sample.labels.items())
        located = self._series.get(key)
        if located is None:
            located = self._series[key] = self._place(family, sample), self._write_series(sample)
        return located

    def _place(self, family: int, sample: Sample) -> Place:
        # All buckets of a histogram belong to one metric.
        metric = tuple(label for label in sample.labels.items() if label[0] != "le")
        return self._places.setdefault((family, metric), (family, len(self._places)))

    def _write_series(self, sample: Sample) -> str:
        if taken := self._labels.keys() & sample.labels.keys():
            raise TakenLabel(f"the metrics have a label {min(taken)} of their own")
        labels = sorted({**self._labels, **sample.labels}.items())
        # Prometheus treats an empty label like a missing label.
        written = ",".join(f'{name}="{escape(value)}"' for name, value in labels if value)
        return f"{sample.name}{{{written}}}"

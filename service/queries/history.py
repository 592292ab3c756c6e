"""Export: the figures of the past, as they would have been told then from what is known now."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from service.queries.spill import Place, SpillBuffer
from service.storage import exclusions, experiments
from service.storage.database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSETTLED = timedelta(hours=3)

# The same few counts come again and again.
_number = lru_cache(4096)(floatToGoString)

_Labels: TypeAlias = tuple[tuple[str, str], ...]

Progress = Callable[[int, int], None]
"""Told how many moments are done, and of how many."""


class TakenLabel(Exception):
    """A label that the figures have already cannot be given to all series; the message names it."""


@dataclass(frozen=True, slots=True)
class ExperimentHistory:
    """What is known now of all experiments, and of what figures leave out."""

    experiments: Sequence[Experiment]
    excluded: Sequence[Exclusion] = ()


async def read_history(database: Database) -> ExperimentHistory:
    """What is known now.

    Raises:
        DatabaseUnavailable: it cannot be read.
    """
    async with database.transaction() as connection:
        return ExperimentHistory(
            await experiments.read_all(connection), await exclusions.list_since(connection, _EPOCH)
        )


def earliest_moment(known: ExperimentHistory, terms: Terms, now: datetime) -> datetime:
    """Since when there is something to tell: the first idea, but no longer ago than the widest window reaches."""
    widest = now - max(window.length for window in terms.windows)
    first = min((experiment.idea_at for experiment in known.experiments), default=now)
    return max(first, widest)


def export_moments(since: datetime, until: datetime, step: timedelta, now: datetime) -> Sequence[datetime]:
    """The moments of an export, in order: every multiple of a step, such as midnights UTC.

    They end three hours before `now` at the latest: what is later Prometheus still keeps in memory, and an imported
    block beside that would be at odds with what it scrapes.

    Args:
        since, until: the earliest and the latest that a moment may be.
        step: how far apart they are.
        now: the time now, UTC.
    """
    first, last = -((_EPOCH - since) // step), (min(until, now - _UNSETTLED) - _EPOCH) // step
    return [_EPOCH + number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Export:
    """Writes the figures of many moments.

    Attributes:
        terms: those of the figures, today's.
        labels: what every series carries beside its own, as scraping will give it.
        progress: told after each moment.
    """

    terms: Terms
    labels: Mapping[str, str]
    progress: Progress

    def write(self, known: ExperimentHistory, told: Sequence[datetime]) -> Iterator[bytes]:
        """The figures of moments as OpenMetrics, family by family, and in each family metric by metric.

        Args:
            known: what is known now.
            told: the moments, in order.

        Raises:
            TakenLabel: the figures have one of the labels already.
            OSError: there is no room for temporary files.
        """
        today = View.of(known.experiments, self.terms, max(told, default=_EPOCH), known.excluded)
        with SpillBuffer() as gathering:
            transcript = _Transcript(gathering, self.labels)
            for done, then in enumerate(told, start=1):
                transcript.note(families_as_of(today, then), then)
                self.progress(done, len(told))
            yield from transcript.read()
        yield OPENMETRICS_END


def families_as_of(today: View, then: datetime) -> Iterator[Metric]:
    """The families of a snapshot that had been taken then, but for how long that took: it never was."""
    yield from families_of(view_as_of(today, then))
    yield timestamp(then)


def view_as_of(today: View, then: datetime) -> View:
    """The view as it would have been then, from what is known now."""
    past = (_as_of(experiment, then) for experiment in today.experiments)
    return View((experiment for experiment in past if experiment), today.terms, then, today.exclusions)


def _as_of(measured: MeasuredExperiment, then: datetime) -> MeasuredExperiment | None:
    past = as_of(measured.experiment, then)
    # Most loops of a long history were over by then, and are as they were.
    return measured if past is measured.experiment else MeasuredExperiment.of(past) if past else None


class _Transcript:
    """What is written about moments: the heads of families, and the lines of their metrics.

    OpenMetrics wants each family in one piece, and in it each metric, so that a moment is told all over the text.
    """

    def __init__(self, gathering: SpillBuffer, labels: Mapping[str, str]) -> None:
        self._gathering = gathering
        self._labels = labels
        self._heads: list[bytes] = []
        self._series: dict[tuple[str, _Labels], tuple[Place, str]] = {}
        self._places: dict[tuple[int, _Labels], Place] = {}

    def note(self, families: Iterable[Metric], then: datetime) -> None:
        """Take down the families of a moment that is later than those before."""
        stamp = f"{then.timestamp():.0f}"
        for number, family in enumerate(families):
            if number == len(self._heads):
                empty = Metric(family.name, family.documentation, family.type)
                self._heads.append(write_openmetrics(Families([empty])))
            for sample in family.samples:
                place, series = self._known(number, sample)
                self._gathering.add(place, f"{series} {_number(sample.value)} {stamp}\n".encode())

    def read(self) -> Iterator[bytes]:
        """All of it in order, a family without any sample left out."""
        for number, metrics in groupby(self._gathering.read(), key=lambda part: part[0][0]):
            yield self._heads[number]
            for _, lines in metrics:
                yield lines

    def _known(self, family: int, sample: Sample) -> tuple[Place, str]:
        """Where a sample's line goes, and the series with which it begins."""
        key = sample.name, tuple(sample.labels.items())
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = self._place(family, sample), self._written(sample)
        return known

    def _place(self, family: int, sample: Sample) -> Place:
        # The buckets of one histogram are one metric.
        metric = tuple(label for label in sample.labels.items() if label[0] != "le")
        return self._places.setdefault((family, metric), (family, len(self._places)))

    def _written(self, sample: Sample) -> str:
        if taken := self._labels.keys() & sample.labels.keys():
            raise TakenLabel(f"the figures have a label {min(taken)} of their own")
        labels = sorted({**self._labels, **sample.labels}.items())
        # One that is empty is none to Prometheus.
        written = ",".join(f'{name}="{escape(value)}"' for name, value in labels if value)
        return f"{sample.name}{{{written}}}"

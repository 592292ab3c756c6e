"""Snapshot: the figures of one moment, rendered once, so that a scrape only hands out bytes."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import prometheus_client
from prometheus_client import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from service.metrics import METRICS
from service.metrics.view import Terms, View
from service.storage import experiments
from service.storage.database import Connection, Database

_OPENMETRICS_END = b"# EOF\n"


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


async def take_snapshot(database: Database, terms: Terms, now: datetime) -> Snapshot:
    """The figures as of `now`, from the experiments as they were folded last.

    Raises:
        DatabaseUnavailable: the experiments cannot be read.
    """
    async with database.transaction() as connection:
        view = await read_view(connection, terms)
    # Rendering is pure Python and takes its time: not on the event loop.
    return await asyncio.to_thread(render, view, now)


async def read_view(connection: Connection, terms: Terms) -> View:
    """The experiments as they were folded last."""
    return View.of(await experiments.everything(connection), terms)


def render(view: View, now: datetime) -> Snapshot:
    """The view's figures as of `now`."""
    families = [family for make in METRICS for family in make(view, now)]
    collector = _Families(families)
    return Snapshot(
        taken_at=now,
        text=prometheus_client.generate_latest(collector),
        openmetrics=openmetrics.generate_latest(collector).removesuffix(_OPENMETRICS_END),
    )


def figures(view: View, now: datetime) -> dict[str, float]:
    """Every sample of the view's figures as of `now`, under its name and labels as PromQL writes them."""
    return {
        _written(sample.name, sample.labels): sample.value
        for make in METRICS
        for family in make(view, now)
        for sample in family.samples
    }


def _written(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in sorted(labels.items()))}}}"


class _Families(Collector):
    """Families that are computed already, in the form that the exposition functions take."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

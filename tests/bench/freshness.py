"""Measure the time from the response to a delivery until the metrics reflect the delivery, at 200 deliveries a second.

The load is open-loop: each delivery is sent when it is due, without waiting for earlier responses. One delivery in 50
proposes an experiment, and each of these experiments increases the same series of `loopgauge_experiments_in_flight` by
one. The n-th of these deliveries is visible when the series reaches n.
"""

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from service.metrics.estimators import quantile
from service.settings import given_alone
from tests.bench.posting import Connection
from tests.bench.processes import Service, service
from tests.bench.report import Line
from tests.bench.traffic import traffic
from tests.support.builders import GitHubRequest, Issue

_A_SECOND = 200
_SECONDS = 30
_MARKED_EVERY = 50
_DELIVERIES = _A_SECOND * _SECONDS
_MARKED = _DELIVERIES // _MARKED_EVERY
_SCRAPE_SECONDS = 0.1
_PATIENCE_SECONDS = 20.0
_BEYOND_INTERVAL = 1.0
# The largest accepted delay of a delivery behind its due time, in seconds. With longer delays, the benchmark would send
# fewer than `_A_SECOND` deliveries a second, although its results name this rate.
_LATE = 0.1
_TEAM = "freshness"
_SHOWN = re.compile(rf'^loopgauge_experiments_in_flight{{stage="proposed",team="{_TEAM}"}} (\S+)$', re.MULTILINE)
_TOLD = re.compile(r'^loopgauge_delivery_to_visible_seconds_bucket{le="(\S+)"} (\S+)$', re.MULTILINE)


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure the time until a delivery is visible: from scrapes, and as the service reports it.

    The service reports it in `loopgauge_delivery_to_visible_seconds`.

    Args:
        url: the URL of a migrated database.
        directory: the parent directory of the service's data directory. The data directory is not deleted.
    """
    with service(directory / "data", url) as running:
        before = _visible_within(running.get("/metrics").decode())
        sending = _Sending(running)
        seen = uvloop.run(sending.run())
        after = _visible_within(running.get("/metrics").decode())
    most = given_alone().snapshot_interval.total_seconds() + _BEYOND_INTERVAL
    within = {bound: count - before[bound] for bound, count in after.items()}
    load = f"at {_A_SECOND} deliveries a second"
    for name, share, bound in (("median", 0.5, None), ("99th percentile", 0.99, most)):
        yield Line(
            what=f"response to visible, {name}, {load}", values=[quantile(sorted(seen), share)], unit="s", most=bound
        )
        yield Line(
            what=f"receipt to visible, {name}, by the metric of the service",
            values=[_bound(within, share)],
            unit="s or less",
        )
    late = quantile(sorted(sending.late), 0.99)
    yield Line(what="delay behind the due time, 99th percentile", values=[late * 1e3], unit="ms", most=_LATE * 1e3)


class _Sending:
    """Sends deliveries when they are due, and records when they become visible."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._idle: list[Connection] = []
        self._answered: list[float] = []
        self.late: list[float] = []
        """The delay of each delivery behind its due time, in seconds."""

    async def run(self) -> list[float]:
        """Send all deliveries. For each one that proposes an experiment, return how long the metrics took to show it.

        Each time is in seconds, from the response to the delivery until a scrape shows the delivery.
        """
        requests = list(_deliveries())
        looking = asyncio.create_task(self._poll())
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as sending:
            for number, request in enumerate(requests):
                due = began + number / _A_SECOND
                await asyncio.sleep(due - loop.time())
                self.late.append(loop.time() - due)
                sending.create_task(self._send(request, marks=number % _MARKED_EVERY == 0))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            visible = await looking
        return [seen - answered for answered, seen in zip(sorted(self._answered), visible, strict=True)]

    async def _send(self, request: GitHubRequest, *, marks: bool) -> None:
        connection = self._idle.pop() if self._idle else await Connection.to(self._running)
        await connection.post(request)
        if marks:
            self._answered.append(asyncio.get_running_loop().time())
        self._idle.append(connection)

    async def _poll(self) -> list[float]:
        """For each number of experiments from 1 to `_MARKED`, the time at which a scrape first showed this number."""
        visible: list[float] = []
        connection = await Connection.to(self._running)
        while len(visible) < _MARKED:
            shown = _SHOWN.search(await connection.get("/metrics"))
            now = asyncio.get_running_loop().time()
            visible += [now] * (int(float(shown[1])) - len(visible) if shown else 0)
            await asyncio.sleep(_SCRAPE_SECONDS)
        return visible


def _deliveries() -> Iterator[GitHubRequest]:
    """All deliveries to send; one in `_MARKED_EVERY` proposes an experiment."""
    others = traffic(_DELIVERIES)
    for number in range(_DELIVERIES):
        yield next(others) if number % _MARKED_EVERY else _mark(number)


def _mark(number: int) -> GitHubRequest:
    labels = ("experiment", f"team:{_TEAM}")
    return Issue(number=number + 1, repository="acme/fresh", labels=labels, created_at=datetime.now(UTC)).opened()


def _visible_within(metrics: str) -> dict[float, float]:
    """The buckets of `loopgauge_delivery_to_visible_seconds`: the number of deliveries by upper bound, in seconds."""
    return {float(bound): float(count) for bound, count in _TOLD.findall(metrics)}


def _bound(within: Mapping[float, float], share: float) -> float:
    """The smallest bucket bound, in seconds, within which at least this share of the deliveries was visible."""
    return min(bound for bound, count in within.items() if count >= share * within[math.inf])

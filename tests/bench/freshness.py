"""How long it takes from the answer to a delivery until the figures show what it says, while 200 a second come in.

Deliveries are sent when they are due, whether or not those before are answered. In between, issues that are marked as
experiments make one series count up: the n-th of them is visible when it comes to n.
"""

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from service.metrics.estimate import quantile
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
# Later than this, and fewer would have come in than is said.
_LATE = 0.1
_TEAM = "freshness"
_SHOWN = re.compile(rf'^loopgauge_experiments_in_flight{{stage="proposed",team="{_TEAM}"}} (\S+)$', re.MULTILINE)
_TOLD = re.compile(r'^loopgauge_delivery_to_visible_seconds_bucket{le="(\S+)"} (\S+)$', re.MULTILINE)


def measure(url: str, directory: Path) -> Iterator[Line]:
    """From answered to visible, as it is seen from outside and as the service tells it itself.

    Args:
        url: of a PostgreSQL with our schema.
        directory: for data; what is made there stays.
    """
    with service(directory / "data", url) as running:
        before = _told(running.get("/metrics").decode())
        sending = _Sending(running)
        seen = uvloop.run(sending.run())
        after = _told(running.get("/metrics").decode())
    most = given_alone().snapshot_interval.total_seconds() + _BEYOND_INTERVAL
    within = {bound: count - before[bound] for bound, count in after.items()}
    load = f"at {_A_SECOND} deliveries a second"
    for name, share, bound in (("half", 0.5, None), ("99 of 100", 0.99, most)):
        yield Line(what=f"202 to visible, {name}, {load}", values=[quantile(sorted(seen), share)], unit="s", most=bound)
        yield Line(
            what=f"receipt to visible, {name}, as the service tells it",
            values=[_bound(within, share)],
            unit="s or less",
        )
    late = quantile(sorted(sending.late), 0.99)
    yield Line(what="sent later than due, 99 of 100", values=[late * 1e3], unit="ms", most=_LATE * 1e3)


class _Sending:
    """Deliveries sent when they are due, and what is seen of them."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._idle: list[Connection] = []
        self._answered: list[float] = []
        self.late: list[float] = []
        """How much later than it was due each delivery was sent, in seconds."""

    async def run(self) -> list[float]:
        """Seconds from the answer to each delivery that marks an experiment until it was visible."""
        requests = list(_interspersed())
        looking = asyncio.create_task(self._look())
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

    async def _look(self) -> list[float]:
        """When the series came to one, to two, and so on."""
        visible: list[float] = []
        connection = await Connection.to(self._running)
        while len(visible) < _MARKED:
            shown = _SHOWN.search(await connection.get("/metrics"))
            now = asyncio.get_running_loop().time()
            visible += [now] * (int(float(shown[1])) - len(visible) if shown else 0)
            await asyncio.sleep(_SCRAPE_SECONDS)
        return visible


def _interspersed() -> Iterator[GitHubRequest]:
    """As many deliveries as are sent; one in so many marks an experiment of this moment."""
    others = traffic(_DELIVERIES)
    for number in range(_DELIVERIES):
        yield next(others) if number % _MARKED_EVERY else _mark(number)


def _mark(number: int) -> GitHubRequest:
    labels = ("experiment", f"team:{_TEAM}")
    return Issue(number=number + 1, repository="acme/fresh", labels=labels, created_at=datetime.now(UTC)).opened()


def _told(metrics: str) -> dict[float, float]:
    """How many deliveries were visible within each bound, in seconds, as the service counts them."""
    return {float(bound): float(count) for bound, count in _TOLD.findall(metrics)}


def _bound(within: Mapping[float, float], share: float) -> float:
    """The lowest bound within which so many of all were visible."""
    return min(bound for bound, count in within.items() if count >= share * within[math.inf])

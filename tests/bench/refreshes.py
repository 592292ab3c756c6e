"""Measure scrapes, scorecards and refreshes of the snapshot with a million experiments.

Scrapes are also measured with a thousand experiments, for comparison.

One tenth of the million experiments lies in the longest window, which is a year. In this window, one experiment in 40
is open; of the older experiments, one in 400 is open. The thousand experiments are all from this week. The thousand and
the million give the same series, so their scrapes have the same length.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import uvloop

from service.app import metric_terms
from service.metrics.estimators import quantile
from service.pipeline.snapshot import ExportedSnapshot
from service.runtime.figures_process import FiguresProcess
from service.settings import Settings, load_rules
from service.storage.database import Database
from tests.bench.posting import Connection
from tests.bench.processes import Service, service
from tests.bench.report import Line
from tests.support.builders import github

_MILLION = 1_000_000
_TEAMS = 200
_REFRESHES = 5
_SCRAPES = 15
_FEW = "few"
# The number of experiments that change between two refreshes of a busy service.
_CHANGED = 1_000
_SECONDS = 25.0
_PACE_SECONDS = 0.01

_FILL = """
    INSERT INTO experiments (
        id, root, title, url, team, risk, idea_at, idea_inferred, started_at, first_signal_at, concluded_at, outcome,
        failure_category, shared_at, shipped_at, last_activity_at, title_key
    )
    SELECT gen_random_uuid(), 'github:acme/app#' || number, 'Try idea number ' || number,
        'https://github.com/acme/app/issues/' || number, 'team-' || number % {teams},
        (ARRAY['bold', 'safe', NULL])[1 + number / {teams} % 3], idea, false, idea + taken * 0.2, idea + taken * 0.5,
        CASE WHEN NOT open THEN idea + taken END,
        CASE WHEN NOT open THEN
            (ARRAY['worked', 'failed', 'inconclusive', 'abandoned', 'undeclared'])[1 + place % 5] END,
        CASE WHEN NOT open AND place % 5 = 1 THEN
            (ARRAY['intelligent', 'basic', 'complex', 'unclassified'])[1 + place / 5 % 4] END,
        CASE WHEN NOT open AND place % 3 = 1 THEN idea + taken * 1.05 END,
        CASE WHEN NOT open AND place % 2 = 0 THEN idea + taken * 1.1 END,
        idea + taken * CASE WHEN open THEN 0.6 ELSE 1 END,
        md5((CASE WHEN number % 10 = 0 THEN number / 1000 ELSE -number END)::text)::uuid
    FROM (
        SELECT number, number / {teams} AS place, now() - interval '1 hour' - number * interval '{spacing}' AS idea,
            least(interval '20 days', number * interval '{spacing}') * (0.1 + 0.85 * random()) AS taken,
            number / {teams} % CASE WHEN number > 100000 THEN 400 ELSE 40 END = 4 AS open
        FROM generate_series(1, {count}) AS number
    ) AS ideas
"""


async def fill(url: str, count: int, spacing: str) -> None:
    """Replace all experiments by `count` new ones, whose ideas are one interval (`spacing`) apart."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE experiments")
        await connection.execute(_FILL.format(teams=_TEAMS, count=count, spacing=spacing))
        await connection.execute("VACUUM ANALYZE experiments")
    finally:
        await connection.close()


async def _change(url: str) -> None:
    """Rewrite some experiments, as projection does after new events."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE experiments SET last_activity_at = now() WHERE id IN "
            "(SELECT id FROM experiments WHERE idea_at > now() - interval '365 days' ORDER BY random() LIMIT $1)",
            _CHANGED,
        )
    finally:
        await connection.close()


async def _longest_hold(stop: asyncio.Event) -> float:
    """The longest time for which the event loop was blocked, in seconds."""
    longest, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
    return longest


async def _refresh(url: str) -> tuple[float, list[float], float]:
    """Measure the first refresh, the next ones, and the longest block of the event loop, in seconds."""
    database = Database(url)
    terms = metric_terms(Settings(), load_rules(Settings()))
    figures = FiguresProcess(database, terms, "warning", timedelta(0))
    taken, stop = [], asyncio.Event()
    holding = asyncio.create_task(_longest_hold(stop))
    for _ in range(_REFRESHES + 1):
        began = time.perf_counter()
        snapshot = await figures.take_snapshot()
        await asyncio.to_thread(ExportedSnapshot.of, snapshot, datetime.now(UTC) - snapshot.taken_at)
        taken.append(time.perf_counter() - began)
        await _change(url)
    stop.set()
    await figures.close()
    await database.close()
    return taken[0], taken[1:], await holding


def _scrape(connection: HTTPConnection, encoding: str = "gzip") -> bytes:
    headers = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": encoding}
    connection.request("GET", "/metrics", headers=headers)
    return connection.getresponse().read()


def _until_exported(running: Service) -> HTTPConnection:
    connection = HTTPConnection(running.host, running.port, timeout=60)
    while b"loopgauge_snapshot_timestamp_seconds" not in _scrape(connection, "identity"):
        time.sleep(0.2)
    return connection


async def _database_of_few(url: str) -> str:
    """Create a second database with a thousand experiments, and return its URL."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {_FEW}")
    await connection.close()
    few = url.replace("/postgres?", f"/{_FEW}?")
    database = Database(few)
    await database.migrate()
    await database.close()
    await fill(few, 1_000, "8 minutes")
    return few


def _scrapes(many: str, few: str, directory: Path) -> Iterator[Line]:
    # With this long interval each service refreshes only once, before the scrapes are timed.
    settings = {"SNAPSHOT_INTERVAL": "1h", "MIN_SAMPLE": "1"}
    with service(directory / "many", many, **settings) as large, service(directory / "few", few, **settings) as small:
        connections = [_until_exported(running) for running in (large, small)]
        samples = sum(not line.startswith(b"#") for line in _scrape(connections[0], "identity").splitlines())
        for name, encoding in (("compressed", "gzip"), ("as it is", "identity")):
            rounds = [[_milliseconds(one, encoding) for one in connections] for _ in range(_SCRAPES)]
            of_many, of_few = zip(*rounds, strict=True)
            what = f"scrape, {name}, of {samples:,} samples at 1,000,000 experiments"
            yield Line(what=what, values=of_many, unit="ms", most=50)
            yield Line(what=what, values=of_many, unit="ms", against="at 1,000", references=of_few, most=1.2)
        for connection in connections:
            connection.close()


def _milliseconds(connection: HTTPConnection, encoding: str) -> float:
    began = time.perf_counter()
    _scrape(connection, encoding)
    return (time.perf_counter() - began) * 1e3


async def _latencies(url: str, directory: Path) -> tuple[Sequence[float], Sequence[float]]:
    """The latencies of deliveries outside refreshes and during refreshes, in seconds."""
    answered: list[tuple[float, float]] = []
    refreshes: list[tuple[float, float]] = []
    with service(directory / "service", url, SNAPSHOT_INTERVAL="4s", MIN_SAMPLE="1") as running:
        await asyncio.to_thread(lambda: _until_exported(running).close())
        end = time.time() + _SECONDS
        watching = asyncio.create_task(_watch_refreshes(running, end, refreshes))
        await _post(running, end, answered)
        await watching
    during = [took for at, took in answered if any(began <= at <= ended for began, ended in refreshes)]
    # Omit deliveries within 0.2 seconds before or after a refresh.
    outside = [took for at, took in answered if not any(began - 0.2 <= at <= ended + 0.2 for began, ended in refreshes)]
    return outside, during


async def _watch_refreshes(running: Service, end: float, refreshes: list[tuple[float, float]]) -> None:
    """Read from the metrics when each refresh began and ended. Scrape rarely, to add little load."""
    while time.time() < end + 6:
        await asyncio.sleep(1.9)
        text = (await asyncio.to_thread(running.get, "/metrics")).decode()
        began = float(text.partition("\nloopgauge_snapshot_timestamp_seconds ")[2].partition("\n")[0])
        took = float(text.partition("\nloopgauge_snapshot_duration_seconds ")[2].partition("\n")[0])
        if (began, began + took) not in refreshes:
            refreshes.append((began, began + took))


async def _scorecards(url: str, directory: Path) -> tuple[list[float], Sequence[float], Sequence[float]]:
    """The durations of scorecards, and the latencies of deliveries before and during the scorecards, in seconds."""
    answered: list[tuple[float, float]] = []
    compiled: list[tuple[float, float]] = []
    with service(directory / "service", url, "api", MIN_SAMPLE="1") as running:
        end = time.time() + _SECONDS
        posting = asyncio.create_task(_post(running, end, answered))
        await asyncio.sleep(_SECONDS / 2)
        # Each request asks for another window, because the service caches scorecards.
        for days in range(90, 365):
            if time.time() > end:
                break
            began = time.time()
            assert b'"value"' in await asyncio.to_thread(running.get, f"/scorecard?window={days}d")
            compiled.append((began, time.time()))
        await posting
    during = [took for at, took in answered if any(began <= at <= ended for began, ended in compiled)]
    before = [took for at, took in answered if at < compiled[0][0]]
    return [ended - began for began, ended in compiled], before, during


async def _post(running: Service, end: float, answered: list[tuple[float, float]]) -> None:
    """Post signed pings at a steady rate on one connection. The service stores the pings, but no experiment changes."""
    connection = await Connection.to(running)
    number = 0
    while time.time() < end:
        number += 1
        request = github("ping", {"zen": "Keep it logically awesome.", "hook_id": number})
        at, began = time.time(), time.perf_counter()
        await connection.post(request)
        answered.append((at, time.perf_counter() - began))
        await asyncio.sleep(_PACE_SECONDS)
    connection.close()


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure scrapes, refreshes and scorecards, and the latency of deliveries during them."""
    # The ideas span ten years, so that a tenth lies in the last year.
    asyncio.run(fill(url, _MILLION, "315.36 seconds"))
    yield from _scrapes(url, asyncio.run(_database_of_few(url)), directory)
    first, taken, hold = uvloop.run(_refresh(url))
    yield Line(what="first refresh at 1,000,000 experiments, with the start of its process", values=[first], unit="s")
    yield Line(what=f"refresh with {_CHANGED:,} of them changed", values=taken, unit="s", most=2)
    yield Line(what="the longest block of the event loop during refreshes", values=[hold * 1e3], unit="ms", most=20)
    outside, during = uvloop.run(_latencies(url, directory))
    yield from _noticed("a refresh at 1,000,000 experiments", outside, during)
    compiled, outside, during = uvloop.run(_scorecards(url, directory))
    yield Line(what="uncached scorecard at 1,000,000 experiments", values=compiled, unit="s")
    yield from _noticed("a scorecard", outside, during)


def _noticed(what: str, outside: Sequence[float], during: Sequence[float]) -> Iterator[Line]:
    for name, share in (("median", 0.5), ("99th percentile", 0.99)):
        apart, within = (quantile(sorted(taken), share) * 1e3 for taken in (outside, during))
        yield Line(
            what=f"{name} of the latency of {len(during):,} deliveries during {what}",
            values=[within],
            unit="ms",
            against=f"{len(outside):,} at other times",
            references=[apart],
            most=1.5,
        )

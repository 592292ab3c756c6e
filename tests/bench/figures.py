"""How long refreshes and scrapes take, at a thousand experiments and at a million. Run by `make bench`.

Of the million, 100,000 have something in the widest window of a year; one in 40 of those is open, and one in 400 of the
older ones.
The thousand are all of this week, so that both have the same series. Everything runs on an embedded PostgreSQL of its
own with its ordinary settings.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import SplitResult, urlsplit

import asyncpg
import uvloop

from service.app import figure_terms
from service.metrics.estimate import quantile
from service.pipeline.snapshot import Exported
from service.refresher import Refresher
from service.settings import Settings, load_rules
from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.builders import SECRET, github

_MILLION = 1_000_000
_TEAMS = 200
_REFRESHES = 5
_SCRAPES = 15
# As many as a busy service counts between two refreshes.
_CHANGED = 1_000
_SECONDS = 40.0
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


async def _fill(url: str, count: int, spacing: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE experiments")
        await connection.execute(_FILL.format(teams=_TEAMS, count=count, spacing=spacing))
        await connection.execute("VACUUM ANALYZE experiments")
    finally:
        await connection.close()


async def _change(url: str) -> None:
    """Some experiments are stored anew, as projection does with those of which something is heard."""
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
    """The longest time that the event loop did not come round, in seconds."""
    longest, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
    return longest


async def _refresh(url: str) -> tuple[float, list[float], float]:
    """The first refresh, those after it, and the longest hold of the event loop meanwhile; all in seconds."""
    database = Database(url)
    refresher = Refresher(database, figure_terms(Settings(), load_rules(Settings())), "warning")
    taken, stop = [], asyncio.Event()
    holding = asyncio.create_task(_longest_hold(stop))
    for _ in range(_REFRESHES + 1):
        began = time.perf_counter()
        snapshot = await refresher.refresh()
        await asyncio.to_thread(Exported.of, snapshot, datetime.now(UTC) - snapshot.taken_at)
        taken.append(time.perf_counter() - began)
        await _change(url)
    stop.set()
    await refresher.close()
    await database.close()
    return taken[0], taken[1:], await holding


@contextmanager
def _service(url: str, directory: Path, **variables: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {
        "DATABASE_URL": url,
        "DATA_DIR": str(directory / "service"),
        "PORT": str(port),
        "LOG_LEVEL": "warning",
        "SOURCES__GITHUB__SECRET": SECRET,
        "MIN_SAMPLE": "1",
        **variables,
    }
    environment = {**os.environ, **{f"LOOPGAUGE_{name}": value for name, value in ours.items()}}
    process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _scrape(connection: HTTPConnection, encoding: str = "gzip") -> bytes:
    headers = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": encoding}
    connection.request("GET", "/metrics", headers=headers)
    return connection.getresponse().read()


def _until_exported(url: str) -> HTTPConnection:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    while True:
        time.sleep(0.2)
        try:
            if b"loopgauge_snapshot_timestamp_seconds" in _scrape(connection, "identity"):
                return connection
        except OSError:
            connection.close()


def _scrapes(url: str, directory: Path) -> tuple[float, float, int]:
    """A scrape compressed and as it is, in seconds, and how many samples it has."""
    # One refresh, so that what is timed is the scrape alone.
    with _service(url, directory, SNAPSHOT_INTERVAL="1h") as address:
        connection = _until_exported(address)
        compressed = _timed(lambda: _scrape(connection, "gzip"))
        plain = _timed(lambda: _scrape(connection, "identity"))
        samples = sum(not line.startswith(b"#") for line in _scrape(connection, "identity").splitlines())
        connection.close()
    return compressed, plain, samples


def _timed(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_SCRAPES):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


async def _latencies(url: str, directory: Path) -> tuple[Sequence[float], Sequence[float]]:
    """How long deliveries waited for their answer while no snapshot was taken, and while one was, in seconds."""
    answered: list[tuple[float, float]] = []
    refreshes: list[tuple[float, float]] = []
    with _service(url, directory, SNAPSHOT_INTERVAL="4s") as address:
        await asyncio.to_thread(lambda: _until_exported(address).close())
        end = time.time() + _SECONDS
        watching = asyncio.create_task(_watch_refreshes(address, end, refreshes))
        await _post(urlsplit(address), end, answered)
        await watching
    during = [took for at, took in answered if any(began <= at <= ended for began, ended in refreshes)]
    # What came in between a refresh that was seen and the next is known to have been outside.
    outside = [took for at, took in answered if not any(began - 0.2 <= at <= ended + 0.2 for began, ended in refreshes)]
    return outside, during


async def _watch_refreshes(address: str, end: float, refreshes: list[tuple[float, float]]) -> None:
    """Note from when to when each snapshot was taken, as the metrics tell it; scraped seldom, to be in nobody's way."""
    while time.time() < end + 6:
        await asyncio.sleep(1.9)
        text = await asyncio.to_thread(_metrics, address)
        began = float(text.partition("\nloopgauge_snapshot_timestamp_seconds ")[2].partition("\n")[0])
        took = float(text.partition("\nloopgauge_snapshot_duration_seconds ")[2].partition("\n")[0])
        if (began, began + took) not in refreshes:
            refreshes.append((began, began + took))


def _metrics(address: str) -> str:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        return _scrape(connection, "identity").decode()
    finally:
        connection.close()


async def _scorecards(url: str, directory: Path) -> tuple[list[float], Sequence[float], Sequence[float]]:
    """How long scorecards took, and deliveries while none was compiled and while one was, in seconds."""
    answered: list[tuple[float, float]] = []
    compiled: list[tuple[float, float]] = []
    with _service(url, directory, ROLE="api") as address:
        await asyncio.to_thread(lambda: _until_ready(address).close())
        end = time.time() + _SECONDS
        posting = asyncio.create_task(_post(urlsplit(address), end, answered))
        await asyncio.sleep(_SECONDS / 2)
        # Each of another window, since the same one is told again for a while.
        for days in range(90, 365):
            if time.time() > end:
                break
            began = time.time()
            await asyncio.to_thread(_scorecard, address, days)
            compiled.append((began, time.time()))
        await posting
    during = [took for at, took in answered if any(began <= at <= ended for began, ended in compiled)]
    before = [took for at, took in answered if at < compiled[0][0]]
    return [ended - began for began, ended in compiled], before, during


def _until_ready(address: str) -> HTTPConnection:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    while True:
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().read() and connection.sock:
                return connection
        except OSError:
            connection.close()
        time.sleep(0.2)


def _scorecard(address: str, days: int) -> None:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("GET", f"/scorecard?window={days}d")
    answer = connection.getresponse()
    assert answer.status == HTTPStatus.OK, answer.read()
    assert b'"value"' in answer.read()
    connection.close()


async def _post(address: SplitResult, end: float, answered: list[tuple[float, float]]) -> None:
    """Post signed pings at a steady pace on one connection: durable, and without a word about any experiment."""
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    number = 0
    while time.time() < end:
        number += 1
        request = github("ping", {"zen": "Keep it logically awesome.", "hook_id": number})
        headers = {**request.headers(), "host": "bench", "content-length": str(len(request.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        at, began = time.time(), time.perf_counter()
        writer.write(f"POST /webhooks/github HTTP/1.1\r\n{head}\r\n".encode() + request.body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 202"), answer
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        answered.append((at, time.perf_counter() - began))
        await asyncio.sleep(_PACE_SECONDS)
    writer.close()


def _verdict(value: float, bound: float) -> str:
    return "within" if value < bound else "OVER"


def main() -> None:
    """Print each figure with its bound."""
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-bench-"))
    server = EmbeddedServer(directory / "data")
    server.start()
    try:
        _measure(server.url, directory)
    finally:
        server.release()
        shutil.rmtree(directory)


def _measure(url: str, directory: Path) -> None:
    async def migrate() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    asyncio.run(migrate())
    asyncio.run(_fill(url, 1_000, "8 minutes"))
    small = _scrapes(url, directory)
    # A tenth of ten years is a year.
    asyncio.run(_fill(url, _MILLION, "315.36 seconds"))
    large = _scrapes(url, directory)
    for name, before, after in zip(("compressed", "plain"), small[:2], large[:2], strict=True):
        print(
            f"scrape, {name}: {before * 1e3:.1f} ms at 1,000 experiments ({small[2]} samples), {after * 1e3:.1f} ms at "
            f"1,000,000 ({large[2]} samples), {_verdict(after, 0.05)} 50 ms; ratio {after / before:.2f}, "
            f"{_verdict(after / before, 1.2)} 1.2"
        )
    first, taken, hold = uvloop.run(_refresh(url))
    print(f"first refresh at 1,000,000 experiments, with the start of its process: {first:.2f} s")
    print(
        f"refresh with {_CHANGED} of them changed: {median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f}), "
        f"{_verdict(median(taken), 2)} 2 s; the event loop was held for {hold * 1e3:.1f} ms at most, "
        f"{_verdict(hold, 0.02)} 20 ms"
    )
    outside, during = uvloop.run(_latencies(url, directory))
    for name, share in (("half", 0.5), ("99 of 100", 0.99)):
        apart, within = (quantile(sorted(taken), share) for taken in (outside, during))
        print(
            f"{name} of the signed deliveries are answered within {apart * 1e3:.2f} ms, during a refresh within "
            f"{within * 1e3:.2f} ms ({len(outside)} and {len(during)} of them): ratio {within / apart:.2f}, "
            f"{_verdict(within / apart, 1.5)} 1.5"
        )
    _measure_scorecards(url, directory)


def _measure_scorecards(url: str, directory: Path) -> None:
    compiled, outside, during = uvloop.run(_scorecards(url, directory))
    first, half = compiled[0], median(compiled)
    print(f"scorecards, each of a window of its own: {first:.2f} s for the first, half of them within {half:.2f} s")
    for name, share in (("half", 0.5), ("99 of 100", 0.99)):
        apart, within = (quantile(sorted(taken), share) for taken in (outside, during))
        print(
            f"{name} of the signed deliveries are answered within {apart * 1e3:.2f} ms, during a scorecard within "
            f"{within * 1e3:.2f} ms ({len(outside)} and {len(during)} of them): ratio {within / apart:.2f}, "
            f"{_verdict(within / apart, 1.5)} 1.5"
        )


if __name__ == "__main__":
    main()

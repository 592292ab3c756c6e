"""Stories of experiments under kill -9, freezes and full disks, compared with a run without faults."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from service.storage.errors import DatabaseUnavailable
from tests.support.pgbouncer import Mode
from tests.support.road import parse_samples
from tests.support.waiting import PATIENCE_SECONDS
from tests.system.faults.fleet import Fleet, Member, Postgres
from tests.system.faults.outage import Cluster, migrate
from tests.system.faults.outcome import Outcome
from tests.system.faults.random_faults import Tormentor
from tests.system.faults.senders import Senders
from tests.system.faults.state import opened, quiet_run, read_state
from tests.system.faults.stories import Told, posting, schedule, stories

SETTLE_SECONDS = PATIENCE_SECONDS
_LOOK_SECONDS = 0.5
_EXPERIMENT_METRIC = "loopgauge_experiments_in_flight{"

Progress = Callable[[str], None]


def trial(
    seed: int, seconds: float, count: int, gap: float, directory: Path, progress: Progress = lambda _: None
) -> Outcome:
    """Send `count` stories within `seconds`, inject faults meanwhile, and compare the result with a run without faults.

    Args:
        gap: seconds between two faults, on average.
        directory: the directory of the database, the spool and the logs. Its path must be short enough for a Unix
            socket.
    """
    script = _Script(seed, seconds, count)
    data_dir = directory / "data"
    # Create the directory first, because the path of PostgreSQL's socket depends on whether the directory exists.
    (data_dir / "postgres").mkdir(parents=True)
    url = EmbeddedServer(data_dir).url
    workers, apis = _members(directory, data_dir, url)
    postgres = Postgres(data_dir)
    tormentor = Tormentor(script.rng, apis, workers, postgres, gap)
    try:
        return _play(script, url, workers, apis, tormentor, progress)
    finally:
        # After a complete trial, the last process that used PostgreSQL has stopped it. A failed trial may leave it
        # running.
        postgres.kill_all()


def pooled_trial(seed: int, seconds: float, count: int, gap: float, directory: Path, mode: Mode) -> Outcome:
    """Do the same as `trial` behind a PgBouncer, and kill only processes of the service and PgBouncer itself.

    Args:
        mode: the mode of PgBouncer.
    """
    script = _Script(seed, seconds, count)
    with contextlib.closing(Cluster(directory / "cluster")) as cluster, cluster.behind(mode) as pooled:
        asyncio.run(migrate(pooled))
        shared = {"DATABASE_URL": pooled, "DATA_DIR": str(directory / "data"), "SNAPSHOT_INTERVAL": "1s"}
        workers, apis = (
            [Member(f"{role}-{place}", directory, ROLE=role, **shared) for place in (1, 2)]
            for role in ("worker", "api")
        )
        tormentor = Tormentor(script.rng, apis, workers, cluster.postgres, gap, cluster.pooler)
        return _play(script, cluster.url, workers, apis, tormentor, lambda _: None)


class _Script:
    """The stories of a trial, and the times of their requests. The same seed gives the same script."""

    def __init__(self, seed: int, seconds: float, count: int) -> None:
        self.rng = random.Random(seed)
        self.seconds = seconds
        told = stories(self.rng, count)
        self.told = [one for story in told for one in story]
        self.due = schedule(self.rng, told, seconds)
        self.outcome = Outcome(seed, postings=len(self.due), genuine=len(self.told))


def _play(
    script: _Script,
    url: str,
    workers: Sequence[Member],
    apis: Sequence[Member],
    tormentor: Tormentor,
    progress: Progress,
) -> Outcome:
    """Send the stories of a script under faults, and compare the result with a run without faults.

    Args:
        url: the URL of PostgreSQL itself, without a pooler.
    """
    outcome = script.outcome
    with Fleet([*workers, *apis]) as fleet:
        with Senders(script.due, [api.url for api in apis], script.rng) as senders:
            _under_fire(outcome, fleet, tormentor, senders, script.seconds, progress)
        _settle(outcome, url, fleet, progress)
        progress("comparing with a run without faults")
        asyncio.run(_compare(outcome, url, script.told))
        outcome.exporters = _exporters(fleet.members)
    return outcome


def _members(directory: Path, data_dir: Path, url: str) -> tuple[list[Member], list[Member]]:
    """Two workers and two APIs on one data directory."""
    shared = {"DATA_DIR": str(data_dir), "SNAPSHOT_INTERVAL": "1s"}
    workers = [Member(f"worker-{place}", directory, ROLE="worker", **shared) for place in (1, 2)]
    # The second API gets the URL of PostgreSQL, so that it never starts the server: the simulated full disk of this API
    # would otherwise apply to the server too.
    apis = [
        Member("api-1", directory, ROLE="api", **shared),
        Member("api-2", directory, ROLE="api", DATABASE_URL=url, **shared),
    ]
    return workers, apis


def _under_fire(
    outcome: Outcome, fleet: Fleet, tormentor: Tormentor, senders: Senders, seconds: float, progress: Progress
) -> None:
    """Send the requests while faults happen, and repeat each request until it is answered."""
    counting = _SpoolCount(fleet.members)
    tormentor.start()
    try:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1, left))
            counting.look()
            struck, waiting = tormentor.done.total(), senders.unanswered
            progress(f"{seconds - left:.0f} of {seconds:.0f} s, {struck} faults, {waiting} requests to go")
    finally:
        tormentor.stop()
    assert not tormentor.broken, tormentor.broken
    outcome.calm_since = time.monotonic()
    fleet.wait_until_served(fleet.members)
    senders.finish(SETTLE_SECONDS)
    counting.look()
    outcome.unanswered = senders.unanswered
    outcome.sent, outcome.faults, outcome.spooled = senders.sent, tormentor.done, counting.total()


class _SpoolCount:
    """Counts spooled deliveries, but misses those that a process spools between its last scrape and its death."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._seen: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        for member in self._members:
            incarnation = (member.name, member.pid)
            shown = parse_samples(member.scrape(timeout=0.5))
            total = sum(value for name, value in shown.items() if name[:2] == ("deliveries_total", "spooled"))
            self._seen[incarnation] = max(total, self._seen.get(incarnation, 0))

    def total(self) -> int:
        return int(sum(self._seen.values()))


def _settle(outcome: Outcome, url: str, fleet: Fleet, progress: Progress) -> None:
    """Wait until no work is left, or the time is up."""
    outcome.unsettled = asyncio.run(_unsettled(url, outcome.genuine, fleet.members, progress))
    outcome.settle_seconds = time.monotonic() - outcome.calm_since
    outcome.starts = sum(member.starts for member in fleet.members)
    outcome.not_begun = sum(member.not_begun for member in fleet.members)
    outcome.fell = [words for member in fleet.members for words in member.fell]


async def _unsettled(url: str, expected: int, members: Sequence[Member], progress: Progress) -> str:
    """Wait until no work is left or the time is up. Return a description of the work that is left; empty if none is."""
    deadline = time.monotonic() + SETTLE_SECONDS
    async with opened(url) as database:
        while left := await _left(database, expected, members):
            if time.monotonic() > deadline:
                break
            progress(left)
            await asyncio.sleep(_LOOK_SECONDS)
    return left


_UNFINISHED = text(
    """
    SELECT (SELECT count(*) FROM deliveries) AS stored,
        (SELECT count(*) FROM deliveries WHERE verdict IS NULL) AS pending,
        (SELECT count(*) FROM touched) AS touched
    """
)


async def _left(database: Database, expected: int, members: Sequence[Member]) -> str:
    try:
        async with database.transaction() as connection:
            stored, pending, touched = (await connection.execute(_UNFINISHED)).one()
    except DatabaseUnavailable as error:
        return str(error)
    scraped = [await asyncio.to_thread(member.scrape) for member in members]
    spooled = sum(value for one in scraped for name, value in parse_samples(one).items() if name == ("spool_pending",))
    if stored == expected and not pending and not touched and not spooled and all(scraped):
        return ""
    return f"{stored} of {expected} stored, {pending} pending, {touched} touched, {spooled:.0f} in the spool"


async def _compare(outcome: Outcome, url: str, told: Sequence[Told]) -> None:
    noisy = await read_state(url)
    outcome.stored = len(noisy.deliveries)
    outcome.failed.extend(noisy.failed)
    expected = {one.delivery: one for one in map(posting, told)}
    stored = {one.id: one for one in noisy.deliveries}
    outcome.lost = [delivery for delivery in outcome.sent.acknowledged if UUID(delivery) not in stored]
    outcome.foreign = [
        str(one.id) for one in noisy.deliveries if one.id not in expected or expected[one.id].body != one.body
    ]
    bodies = Counter((one.source, sha256(one.body).hexdigest()) for one in noisy.deliveries)
    outcome.doubled = [f"{source} {body}" for (source, body), number in bodies.items() if number > 1]
    quiet = await quiet_run(url, told)
    outcome.differences = [
        f"{name}: {noisy.facts.get(name)} instead of {quiet.facts.get(name)}"
        for name in sorted({*noisy.facts, *quiet.facts})
        if noisy.facts.get(name) != quiet.facts.get(name)
    ]


def _exporters(members: Sequence[Member]) -> list[str]:
    """Wait until exactly one process exports experiment metrics, and return the names of the exporting processes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [member.name for member in members if _EXPERIMENT_METRIC in member.scrape()]
        if len(found) == 1 or time.monotonic() > deadline:
            return found
        time.sleep(_LOOK_SECONDS)

"""The fuzz test: random requests to every source and route of one process. The test prints a table of the results.

`make fuzz` runs this test. The exit status is 1 if the service answered with a 5xx, dropped a connection without an
answer, met a fault of its own, stopped processing, or kept using more memory.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import h11
import httpx
from sqlalchemy import text

from tests.support.road import parse_samples
from tests.support.signing import SOURCES
from tests.support.waiting import PATIENCE_SECONDS
from tests.system.faults.fleet import Fleet, Member
from tests.system.faults.fuzz_requests import Fuzzer, FuzzRequest, operations
from tests.system.faults.long_run import Table
from tests.system.faults.outage import Cluster, migrate
from tests.system.faults.state import opened

_CONNECTIONS = 8
_SAMPLE_SECONDS = 1.0
_TOKENS = {"READ": "a-read-token", "WRITE": "a-write-token", "ADMIN": "an-admin-token"}
# The memory of a process that leaks nothing still varies by this much, for example with the bodies being received.
_GROWTH_BYTES = 32 * 1024 * 1024
_RECEIVE_BYTES = 65_536
# A malformed request may also be unfinished. Then the service waits for the rest of the request, and need not answer.
_UNFINISHED_SECONDS = 2.0
_NO_ANSWER = 0
# The right answer to a request of HTTP/2, which is malformed for HTTP/1.1.
_VERSION_NOT_SUPPORTED = 505


@dataclass(slots=True)
class Fuzzed:
    """The results of a fuzz test.

    Attributes:
        answers: the number of answers, by kind of request and status.
        wrong: requests with a 5xx or no answer, with what happened.
        memory: the resident memory of the process in bytes, once a second.
        faults: errors of the service itself in its log, and verdicts that name such an error.
        verdicts: the number of deliveries by verdict and reason.
        pending: how many deliveries and subjects were still pending after `PATIENCE_SECONDS`.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    pending: int = 0

    @property
    def growth(self) -> int:
        """How much more memory the process used in the last quarter of the time than in the second one, in bytes."""
        quarter = len(self.memory) // 4
        if not quarter:
            return 0
        return round(statistics.median(self.memory[-quarter:]) - statistics.median(self.memory[quarter : 2 * quarter]))

    def problems(self) -> dict[str, object]:
        """The faults by name; a fault that did not occur has a false value."""
        return {
            "5xx or no answer": self.wrong[:20],
            "faults": dict(self.faults),
            "not processed": self.pending,
            "more memory, bytes": self.growth if self.growth > _GROWTH_BYTES else 0,
        }


def fuzz(directory: Path, seed: int, seconds: float) -> Fuzzed:
    """Send random requests to a process, and return what happened."""
    settings = {
        f"SOURCES__{name.upper()}__{key.upper()}": value for name, one in SOURCES.items() for key, value in one.items()
    }
    tokens = {f"API_TOKENS__{name}": value for name, value in _TOKENS.items()}
    with contextlib.closing(Cluster(directory / "cluster")) as cluster:
        asyncio.run(migrate(cluster.url))
        member = Member(
            "fuzzed", directory, DATABASE_URL=cluster.url, DATA_DIR=str(directory / "data"), **settings, **tokens
        )
        with Fleet([member]):
            pid = member.pid
            document = httpx.get(f"{member.url}/openapi.json", headers=_bearer("READ"), timeout=PATIENCE_SECONDS).json()
            fuzzer = Fuzzer(random.Random(seed), operations(document), [*_TOKENS.values(), "unknown"], _TOKENS["WRITE"])
            fuzzed = asyncio.run(_send(member, fuzzer, seconds))
            fuzzed.pending = _left(member)
            if member.starts > 1 or member.pid != pid:
                fuzzed.wrong.append(f"the process ended {member.starts - 1} times: {member.fell}")
        fuzzed.faults.update(_logged_faults(member.log))
        fuzzed.verdicts.update(asyncio.run(_verdicts(cluster.url)))
    fuzzed.faults.update({reason: n for reason, n in fuzzed.verdicts.items() if "fault in loopgauge" in reason})
    return fuzzed


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {_TOKENS[token]}"}


async def _send(member: Member, fuzzer: Fuzzer, seconds: float) -> Fuzzed:
    fuzzed = Fuzzed()
    requests, deadline = fuzzer.requests(), time.monotonic() + seconds
    watching = asyncio.create_task(_watch(member.pid, fuzzed.memory))
    await asyncio.gather(*(_sender(member.port, requests, deadline, fuzzed) for _ in range(_CONNECTIONS)))
    watching.cancel()
    return fuzzed


async def _watch(pid: int, memory: list[int]) -> None:
    while True:
        memory.extend(_resident(pid))
        await asyncio.sleep(_SAMPLE_SECONDS)


def _resident(pid: int) -> list[int]:
    """The resident memory of a process in bytes; nothing if the process has ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    return []


async def _sender(port: int, requests: Iterator[FuzzRequest], deadline: float, fuzzed: Fuzzed) -> None:
    connection: _Connection | None = None
    while time.monotonic() < deadline:
        request = next(requests)
        connection = connection or await _Connection.open(port)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                status = await connection.exchange(request)
        except (OSError, TimeoutError, EOFError, h11.RemoteProtocolError) as error:
            fuzzed.wrong.append(f"{type(error).__name__} {error}: {request.frame[:300]!r}")
            connection.close()
            connection = None
            continue
        fuzzed.answers[request.kind, status] += 1
        if status >= 500 and not (status == _VERSION_NOT_SUPPORTED and not request.is_http):
            fuzzed.wrong.append(f"{status}: {request.frame[:300]!r}")
        if connection.ended or not request.is_http:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


@dataclass(slots=True)
class _Connection:
    """A connection on which h11 reads the answers; the requests go out as they are."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: bool = False

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def exchange(self, request: FuzzRequest) -> int:
        """Send a request, and return the status of its answer."""
        self.writer.write(request.frame)
        reading = asyncio.create_task(self._status(request.method))
        # A service that refuses a request early answers before it has read everything.
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()
        if not request.is_http and not (await asyncio.wait({reading}, timeout=_UNFINISHED_SECONDS))[0]:
            # The service may wait for the rest of the request: tell it that nothing follows.
            self.writer.write_eof()
        try:
            return await reading
        except (EOFError, ConnectionError):
            if request.is_http:
                raise
            return _NO_ANSWER

    async def _status(self, method: str) -> int:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        status = 0
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                received = await self.reader.read(_RECEIVE_BYTES)
                if not received and not status:
                    raise EOFError("the connection ended without an answer")
                parser.receive_data(received)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                self.ended = parser.their_state is not h11.DONE
                return status

    def close(self) -> None:
        self.writer.close()


def _left(member: Member) -> int:
    """Wait until the service has no pending work, for at most `PATIENCE_SECONDS`.

    Returns:
        How many deliveries and subjects are still pending.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := _waiting(member)) and time.monotonic() < deadline:
        time.sleep(1)
    return left


def _waiting(member: Member) -> int:
    samples = parse_samples(member.scrape())
    return int(sum(samples.get((name,), 1) for name in ("inbox_pending", "projection_pending")))


def _logged_faults(log: Path) -> Iterator[str]:
    """The errors in the log: the event of each, and the last line of its exception, so that equal errors have equal
    texts.
    """
    for line in log.read_text().splitlines():
        entry = json.loads(line) if line.startswith("{") else {"level": "error", "event": line}
        if entry["level"] in {"error", "critical"}:
            last = str(entry.get("exception", "")).strip().splitlines()[-1:]
            yield " ".join([entry["event"], *last])[:200]


async def _verdicts(url: str) -> Mapping[str, int]:
    async with opened(url) as database, database.read_transaction() as connection:
        rows = await connection.execute(text("SELECT verdict || ': ' || reason, count(*) FROM deliveries GROUP BY 1"))
        return {str(reason): number for reason, number in rows}


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="The duration, in seconds.")
@click.option("--seed", type=int, help="Seed of the requests; random by default.")
def main(seconds: float, seed: int | None) -> None:
    """Run the fuzz test, and print its results."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in [name for name in os.environ if name.startswith("LOOPGAUGE_")]:
        del os.environ[name]
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-fuzz-"))
    fuzzed = fuzz(directory, seed, seconds)
    table = Table()
    table.part(f"fuzz for {seconds:g} s, seed {seed}", _rows(fuzzed), fuzzed.problems())
    table.show()
    if table.wrong:
        print(f"the log is in {directory}")
        sys.exit(1)
    shutil.rmtree(directory)


def _rows(fuzzed: Fuzzed) -> Sequence[tuple[str, object]]:
    verdicts: Counter[str] = Counter()
    for reason, number in fuzzed.verdicts.items():
        verdicts[f"verdict {reason.partition(':')[0]}"] += number
    return [
        *((f"{kind} {status}", number) for (kind, status), number in sorted(fuzzed.answers.items())),
        *sorted(verdicts.items()),
        ("memory of the process at the start, MB", round(fuzzed.memory[0] / 1e6)),
        ("memory of the process at the end, MB", round(fuzzed.memory[-1] / 1e6)),
        ("growth from the second to the last quarter, MB", round(fuzzed.growth / 1e6, 1)),
    ]


if __name__ == "__main__":
    main()

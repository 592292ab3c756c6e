"""The long fault test: random faults, outages and floods. The test prints a table of the results.

`make torture` runs this test. The exit status is 1 if anything was lost, duplicated, or different from a run without
faults.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.system.faults.attacks import attack
from tests.system.faults.outage import Away, Cluster, Outage, crowd, flood, migrate, outage
from tests.system.faults.trial import trial

MEBIBYTE = 1024 * 1024
INFLIGHT_BYTES = 64 * MEBIBYTE
CROWDED_BYTES = INFLIGHT_BYTES + 150 * MEBIBYTE
ATTACKED_BYTES = 350 * MEBIBYTE
FLOODED_BYTES = 200_000_000

_STORIES_A_SECOND = 2
_GAP_SECONDS = 2.0
_OUTAGE_SECONDS = 60.0
_OUTAGE_RATE = 200
_OUTAGE_PATIENCE = 60.0
_FLOOD_SECONDS = 30.0
_FLOOD_RATE = 5000
_FLOOD_PATIENCE = 300.0
_CROWD_SECONDS = 30.0
_ATTACK_SECONDS = 60.0
_ATTACKED_ANSWER_SECONDS = 2.0


@dataclass(slots=True)
class Table:
    """The table to print at the end."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def part(self, title: str, rows: Sequence[tuple[str, object]], wrong: dict[str, object]) -> None:
        """Add the rows and the errors of one part of the long fault test."""
        self.rows += [(title, ""), *((f"  {name}", str(value)) for name, value in rows)]
        self.wrong += [f"{title}: {name}: {value}" for name, value in wrong.items() if value]

    def show(self) -> None:
        width = max(len(name) for name, _ in self.rows)
        for name, value in self.rows:
            print(f"{name:{width}}  {value:>12}".rstrip())
        for line in self.wrong:
            print(f"WRONG {line}")


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="The duration of the random faults, in seconds.")
@click.option("--seed", type=int, help="Seed of the stories and faults; random by default.")
def main(seconds: float, seed: int | None) -> None:
    """Run the long fault test, and print its results."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in [name for name in os.environ if name.startswith("LOOPGAUGE_")]:
        del os.environ[name]
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-faults-"))
    table = Table()
    _try_faults(table, _room(directory, "faults"), seed, seconds)
    _try_outage(table, _room(directory, "frozen"), "PostgreSQL frozen", Cluster.frozen)
    _try_outage(table, _room(directory, "killed"), "PostgreSQL killed and away", Cluster.killed)
    _try_crowd(table, _room(directory, "crowd"))
    _try_attacks(table, _room(directory, "attacks"))
    _try_flood(table, _room(directory, "flood"))
    _progress("")
    table.show()
    if table.wrong:
        print(f"the logs are in {directory}")
        sys.exit(1)
    shutil.rmtree(directory)


def _room(directory: Path, name: str) -> Path:
    _progress(name)
    room = directory / name
    room.mkdir()
    return room


def _progress(now: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{now}", end="", file=sys.stderr, flush=True)


def _try_faults(table: Table, directory: Path, seed: int, seconds: float) -> None:
    outcome = trial(seed, seconds, int(_STORIES_A_SECOND * seconds), _GAP_SECONDS, directory, _progress)
    table.part(f"faults for {seconds:g} s, seed {seed}", outcome.rows(), outcome.wrong())


def _try_outage(table: Table, directory: Path, title: str, away: Away) -> None:
    seen = outage(directory, away, _OUTAGE_SECONDS, _OUTAGE_RATE, _OUTAGE_PATIENCE)
    wrong: dict[str, object] = {
        "answered with another status, or not at all": dict(seen.offered.others),
        "lost": len(seen.offered.acknowledged) - seen.stored,
        f"not counted within {_OUTAGE_PATIENCE:g} s": seen.stored - seen.counted,
    }
    table.part(f"{title} for {_OUTAGE_SECONDS:g} s, {_OUTAGE_RATE} deliveries/s", _outage_rows(seen), wrong)


def _try_flood(table: Table, directory: Path) -> None:
    seen = flood(directory, _FLOOD_SECONDS, _FLOOD_RATE, _FLOOD_PATIENCE)
    wrong: dict[str, object] = {
        "lost": len(seen.offered.acknowledged) - seen.stored,
        "memory over 200 MB": seen.memory if seen.memory > FLOODED_BYTES else 0,
    }
    rows = [*_outage_rows(seen), ("not sent, because every connection was busy", seen.offered.not_taken)]
    table.part(f"PostgreSQL frozen for {_FLOOD_SECONDS:g} s, {_FLOOD_RATE} deliveries/s offered", rows, wrong)


def _outage_rows(seen: Outage) -> list[tuple[str, object]]:
    return [
        ("acknowledged", len(seen.offered.acknowledged)),
        ("answered with another status, or not at all", seen.offered.others.total()),
        ("slowest answer, seconds", round(seen.offered.slowest, 1)),
        ("stored", seen.stored),
        ("counted at the end", seen.counted),
        ("peak memory of the API, MB", round(seen.memory / 1e6)),
        ("losses", len(seen.offered.acknowledged) - seen.stored),
    ]


def _try_crowd(table: Table, directory: Path) -> None:
    with contextlib.closing(Cluster(directory / "cluster")) as cluster:
        asyncio.run(migrate(cluster.url))
        seen = crowd(directory, cluster.url, _CROWD_SECONDS, INFLIGHT_BYTES)
    refused = sum(status != 202 for status in seen.honest)
    rows: list[tuple[str, object]] = [
        ("megabytes sent slowly", seen.dribbled["bytes"] // 1_000_000),
        ("honest deliveries acknowledged", len(seen.honest) - refused),
        ("slowest honest answer, seconds", round(seen.slowest, 1)),
        ("peak memory of the API, MB", round(seen.memory / 1e6)),
    ]
    wrong: dict[str, object] = {
        "honest deliveries not acknowledged": refused,
        "memory over 64 + 150 MiB": seen.memory if seen.memory > CROWDED_BYTES else 0,
    }
    table.part("40 connections that slowly send unsigned bodies of 25 MB", rows, wrong)


def _try_attacks(table: Table, directory: Path) -> None:
    with contextlib.closing(Cluster(directory / "cluster")) as cluster:
        asyncio.run(migrate(cluster.url))
        seen = attack(directory, cluster.url, _ATTACK_SECONDS)
    rows: list[tuple[str, object]] = [
        *((f"connections ended: {name}", number) for name, number in sorted(seen.ended.items())),
        ("idle connections, at most", seen.idle),
        ("honest deliveries acknowledged", seen.acknowledged),
        ("slowest honest answer, seconds", round(seen.slowest, 1)),
        ("peak memory of the API, MB", round(seen.memory / 1e6)),
        ("lines in the log", seen.lines),
    ]
    wrong: dict[str, object] = {
        "honest deliveries not acknowledged": dict(seen.statuses) if set(seen.statuses) != {"202"} else {},
        "lost": seen.acknowledged - seen.stored,
        f"an answer took more than {_ATTACKED_ANSWER_SECONDS:g} s": max(seen.slowest - _ATTACKED_ANSWER_SECONDS, 0),
        "memory over 350 MiB": seen.memory if seen.memory > ATTACKED_BYTES else 0,
    }
    table.part("attacks on the HTTP server", rows, wrong)


if __name__ == "__main__":
    main()

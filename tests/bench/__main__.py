"""Run all benchmarks, or the named ones, and print one table: `python -m tests.bench ingest starting`."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import uvloop

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.bench import busy, core, freshness, ingest, interpret, lists, memory, pooler, refreshes, replay, starting
from tests.bench.report import Line, as_json, machine, replace_results, table
from tests.support.paths import REPOSITORY

_PAGE = REPOSITORY / "docs" / "benchmarks.md"
"""The page with the results of the last run of all benchmarks."""

Measure: TypeAlias = Callable[[str, Path], Iterable[Line]]
"""A function that runs a benchmark.

It takes the URL of a migrated database without rows, and a scratch directory.
"""

BENCHMARKS: Mapping[str, Measure] = {
    "ingest": ingest.measure,
    "pooler": pooler.measure,
    "interpret": interpret.measure,
    "replay": replay.measure,
    "freshness": freshness.measure,
    "starting": starting.measure,
    "memory": memory.measure,
    "refreshes": refreshes.measure,
    "lists": lists.measure,
    "core": core.measure,
    "busy": busy.measure,
}


def main() -> int:
    """Run the chosen benchmarks, print the table, and return the exit status: 1 if a line breaks its bound.

    A run of all benchmarks also writes the table to `docs/benchmarks.md`.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"benchmarks to run: {', '.join(BENCHMARKS)}; all by default"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=Path("bench.json"),
        help="the file for the results; %(default)s by default",
    )
    parser.add_argument(
        "--deliveries",
        type=int,
        default=replay.DELIVERIES,
        help="the number of deliveries to replay; %(default)s by default",
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    lines: list[Line] = []
    for name in given.names or BENCHMARKS:
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        began = time.monotonic()
        measure = BENCHMARKS[name]
        lines += _measured(partial(measure, number=given.deliveries) if measure is replay.measure else measure)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    results = ", ".join(f"{name} {value}" for name, value in machine().items()) + "\n\n" + table(lines)
    print(results)
    if not given.names:
        _PAGE.write_text(replace_results(_PAGE.read_text(), results))
    given.json.write_text(as_json(lines) + "\n")
    print(f"\nThe results of each round and a description of the machine are in {given.json}.")
    return any(line.met is False for line in lines)


def _measured(measure: Measure) -> list[Line]:
    """Run one benchmark on its own embedded PostgreSQL, with PostgreSQL's default settings."""
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-bench-"))
    server = EmbeddedServer(directory / "postgresql")
    try:
        server.start()
        uvloop.run(_migrate(server.url))
        return list(measure(server.url, directory))
    finally:
        server.release()
        shutil.rmtree(directory, ignore_errors=True)


async def _migrate(url: str) -> None:
    database = Database(url)
    await database.migrate()
    await database.close()


if __name__ == "__main__":
    sys.exit(main())

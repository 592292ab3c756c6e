"""Measure the time from the start of the service until it is ready and has accepted a delivery.

The reference, measured alternately, is the time that Python takes to import the same libraries.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.processes import service
from tests.bench.report import Line

_EXTERNAL_ROUNDS = 5
_EMBEDDED_ROUNDS = 4
_FIRST_ROUNDS = 3
_EXTERNAL_SECONDS = 2.0
_EMBEDDED_SECONDS = 5.0
_IMPORTS = "import fastapi, sqlalchemy, uvicorn"


def measure(url: str, directory: Path) -> Iterator[Line]:
    """Measure starts on a running PostgreSQL, on an embedded one, and on an embedded one that is created first.

    Args:
        url: the URL of a migrated database.
        directory: the parent directory of the service's data directories. The data directories are not deleted.
    """
    yield from _lines(
        "a PostgreSQL that runs", _EXTERNAL_SECONDS, [_start(directory / "data", url) for _ in range(_EXTERNAL_ROUNDS)]
    )
    first = [_start(directory / f"embedded-{number}", None) for number in range(_FIRST_ROUNDS)]
    again = [_start(directory / "embedded-0", None) for _ in range(_EMBEDDED_ROUNDS)]
    yield from _lines("the embedded PostgreSQL", _EMBEDDED_SECONDS, again)
    yield from _lines("the embedded PostgreSQL, created first", _EMBEDDED_SECONDS, first)


def _start(directory: Path, url: str | None) -> tuple[float, float]:
    """The seconds until the service is ready, and the seconds that the imports take."""
    with service(directory, url) as started:
        ready_after = started.ready_after
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return ready_after, time.perf_counter() - began


def _lines(on: str, most: float, rounds: list[tuple[float, float]]) -> Iterator[Line]:
    starts, imports = zip(*rounds, strict=True)
    what = f"start to ready, on {on}"
    yield Line(what=what, values=starts, unit="s", most=most)
    yield Line(what=what, values=starts, unit="s", against=f"python -c '{_IMPORTS}'", references=imports)

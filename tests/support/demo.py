"""The command `loopgauge demo` in a real process."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.serving import COMMAND, UNREACHABLE

# Settings that the user's environment may contain; the demo must ignore them.
_INHERITED = {
    "LOOPGAUGE_DATABASE_URL": UNREACHABLE,
    "LOOPGAUGE_SOURCES__GITHUB__SECRET": "theirs",
    "LOOPGAUGE_PORT": "1",
    "LOOPGAUGE_RULES": "/nowhere.yaml",
    "LOOPGAUGE_API_TOKENS__READ": "theirs",
}


@contextmanager
def demo(directory: Path, *arguments: str, path: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a demo with two weeks of history and without Prometheus, and kill it when the context ends.

    Args:
        arguments: options, which take precedence over these defaults.
        path: the value of `PATH`; by default the inherited one.
    """
    command = [*COMMAND, "demo", "--port", "0", "--weeks", "2", "--data-dir", str(directory), "--no-prometheus"]
    environment = {**os.environ, **_INHERITED, "LOOPGAUGE_DATA_DIR": str(directory / "theirs")}
    environment["PATH"] = path or environment["PATH"]
    with subprocess.Popen(
        [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """Read lines of standard output until a line starts with `beginning`, and return all lines read."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(beginning):
            return lines
    assert process.stderr is not None
    pytest.fail(f"the demo ended before a line that starts with {beginning!r}: {lines} {process.stderr.read()}")

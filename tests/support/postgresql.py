"""A PostgreSQL that is installed on this machine, started for the tests and stopped after them."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

OLDEST = Path("/usr/lib/postgresql/15/bin")
"""The programs of the oldest supported PostgreSQL, in the directory of Debian's package."""

# PostgreSQL does not run as root; the package creates this user.
_USER = "postgres"
_PATIENCE = 60


def oldest() -> Path:
    """The directory of the oldest PostgreSQL's programs.

    Without this directory the test is skipped, or fails in continuous integration.
    """
    if not (OLDEST / "postgres").exists():
        missing = f"PostgreSQL is not in {OLDEST}; it comes with the package postgresql-15"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return OLDEST


@contextmanager
def running(programs: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Start a server with a new cluster, which listens on a socket only, and yield its URL.

    This server sorts text by English rules; the embedded server sorts by bytes. No metric may depend on the collation.

    Args:
        programs: the directory of `initdb` and `pg_ctl`.
        settings: PostgreSQL's own settings.
    """
    # A socket's path must be short.
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-postgresql-"))
    cluster = directory / "cluster"
    options = ["-h", "", "-k", str(directory)]
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, _USER, _USER)
        text = ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
        _run(programs / "initdb", f"--pgdata={cluster}", "--username=postgres", "--auth=trust", "--no-sync", *text)
        control = (programs / "pg_ctl", f"--pgdata={cluster}", "--wait", f"--timeout={_PATIENCE}")
        _run(*control, f"--log={directory / 'log'}", "--options", shlex.join(options), "start")
        try:
            yield f"postgresql://postgres@/postgres?host={directory}"
        finally:
            _run(*control, "--mode=fast", "stop")
    finally:
        shutil.rmtree(directory)


def _run(*command: str | Path) -> None:
    user = _USER if os.geteuid() == 0 else None
    ended = subprocess.run(
        command,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        # Use no pipes: the server inherits these files, and would keep a pipe open.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=2 * _PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, f"{shlex.join(map(str, command))} ended with status {ended.returncode}"

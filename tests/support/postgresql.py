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
"""The directory in which Debian's package installs the programs of the oldest supported PostgreSQL."""

# PostgreSQL refuses to run as root. If root runs the tests, this user, which Debian's package creates, runs PostgreSQL.
_USER = "postgres"
_PATIENCE = 60


def oldest() -> Path:
    """The directory of the programs of the oldest supported PostgreSQL.

    If the directory is missing, skip the test, or fail it in continuous integration.
    """
    if not (OLDEST / "postgres").exists():
        missing = f"PostgreSQL is not in {OLDEST}; it comes with the package postgresql-15"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return OLDEST


@contextmanager
def running(programs: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Create a cluster, start a server that listens on a Unix socket only, and yield the server's URL.

    This server sorts text by English rules, while the embedded server sorts by bytes: tests that run on both show that
    no metric depends on the collation.

    Args:
        programs: the directory of `initdb` and `pg_ctl`.
        settings: settings of PostgreSQL, not of the service.
    """
    # Use a directory with a short path, because the path of a Unix socket must be short.
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
        # Use no pipes: the server would inherit them and keep them open, so `run` would wait until the server ends.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=2 * _PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, f"{shlex.join(map(str, command))} ended with status {ended.returncode}"

"""PgBouncer, Debian's package `pgbouncer`, in front of a PostgreSQL of the tests."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.support.waiting import PATIENCE_SECONDS

Mode = Literal["session", "transaction"]

_PROGRAM = Path("/usr/sbin/pgbouncer")
_SOCKET = ".s.PGSQL.5432"
FEW = 3
"""A number of sessions that is smaller than the number of clients: consecutive transactions of a client get different
sessions.
"""
_MANY = 40


class PgBouncer:
    """A PgBouncer that listens on a Unix socket. Clients connect to its attribute `url`.

    If it ends by itself, it is started again, as a service manager does it: releases before 1.21 may end on a cancel
    request while PostgreSQL does not answer (pgbouncer/pgbouncer#801).

    Args:
        url: the URL of a PostgreSQL that listens on a Unix socket.
        sessions: how many sessions of PostgreSQL the clients share.
        directory: the directory of PgBouncer's socket and log; its path must be short.
    """

    def __init__(self, url: str, mode: Mode, sessions: int, directory: Path) -> None:
        [host] = parse_qs(urlsplit(url).query)["host"]
        self.url = f"{url.partition('?')[0]}?host={quote(str(directory))}"
        self._directory = directory
        # PgBouncer refuses to run as root, and the embedded PostgreSQL admits its own user only.
        owner = (Path(host) / _SOCKET).stat()
        self._user = owner.st_uid if os.geteuid() == 0 else None
        self._group = owner.st_gid if os.geteuid() == 0 else None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "pgbouncer.ini").write_text(
            f"""
            [databases]
            * = host={host} port=5432 user=postgres
            [pgbouncer]
            listen_addr =
            listen_port = 5432
            unix_socket_dir = {directory}
            auth_type = any
            pool_mode = {mode}
            default_pool_size = {sessions}
            max_client_conn = 500
            server_login_retry = 1
            query_wait_timeout = 30
            logfile = {directory}/log
            """.replace("            ", "")
        )
        if os.geteuid() == 0:
            os.chown(directory, owner.st_uid, owner.st_gid)

    def start(self) -> None:
        """Start PgBouncer, and wait until it listens."""
        process = self._process = self._launch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._listens():
            assert process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        threading.Thread(target=self._restart, args=[process], daemon=True).start()

    def _launch(self) -> subprocess.Popen[bytes]:
        (self._directory / _SOCKET).unlink(missing_ok=True)
        return subprocess.Popen(
            [_PROGRAM, "--quiet", self._directory / "pgbouncer.ini"],
            user=self._user,
            group=self._group,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _restart(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            process.wait()
            with self._lock:
                if self._process is not process:
                    return
                process = self._process = self._launch()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._directory / _SOCKET)) == 0

    def kill(self) -> None:
        """Kill PgBouncer: connections break, and new ones are refused."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill PgBouncer, and start it again."""
        self.kill()
        self.start()


@contextmanager
def pooling(url: str, mode: Mode, sessions: int | None = None) -> Iterator[PgBouncer]:
    """Run PgBouncer until the context ends. If it is missing, skip the test, or fail it in continuous integration.

    Args:
        sessions: how many sessions of PostgreSQL the clients share. By default there is one for each client in session
            mode, and few in transaction mode.
    """
    if not _PROGRAM.exists():
        missing = f"PgBouncer is not at {_PROGRAM}; it comes with the package pgbouncer"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-pgbouncer-"))
    pooler = PgBouncer(url, mode, sessions or (FEW if mode == "transaction" else _MANY), directory)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.kill()
        shutil.rmtree(directory)

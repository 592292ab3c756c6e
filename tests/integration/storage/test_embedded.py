"""Processes share the embedded server.

If the server is killed, the next process that needs it starts it again. The last process that uses the server stops it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from service.storage.embedded import EmbeddedServer, EmbeddedUnavailable
from tests.support.outage import until
from tests.support.waiting import wait_for


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A new directory, with a path short enough for a Unix socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-embedded-"))
    yield directory
    shutil.rmtree(directory)


@contextmanager
def _using(data_dir: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(data_dir)
    server.start()
    try:
        yield server
    finally:
        server.release()


async def _answer(server: EmbeddedServer) -> int:
    connection = await asyncpg.connect(server.url)
    try:
        return int(await connection.fetchval("SELECT 42"))
    finally:
        await connection.close()


def _postmaster(data_dir: Path) -> int | None:
    file = data_dir / "postgres" / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


async def test_two_users_share_one_server_and_the_last_user_stops_it(data_dir: Path) -> None:
    with _using(data_dir) as second:
        with _using(data_dir) as first:
            assert first.url == second.url
        assert await _answer(second) == 42
    assert _postmaster(data_dir) is None


async def test_a_killed_process_does_not_keep_the_server_running(data_dir: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from service.storage.embedded import EmbeddedServer; "
        "server = EmbeddedServer(Path(sys.argv[1])); server.start(); print('started', flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    with killed, killed.stdout:
        assert killed.stdout.readline() == b"started\n"
        killed.kill()
    with _using(data_dir) as server:
        assert await _answer(server) == 42
    assert _postmaster(data_dir) is None


async def test_a_killed_server_is_started_again_by_its_next_user(data_dir: Path) -> None:
    with _using(data_dir):
        killed = _postmaster(data_dir)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        _wait_until_refused(data_dir / "postgres" / ".s.PGSQL.5432")
        with _using(data_dir) as second:
            assert await _answer(second) == 42
            assert _postmaster(data_dir) != killed


async def test_a_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    with _using(data_dir / ("long" * 25)) as server:
        assert await _answer(server) == 42


async def test_a_path_with_spaces_and_special_characters_works(data_dir: Path) -> None:
    with _using(data_dir / "a b+c%20'd") as server:
        assert await _answer(server) == 42


def test_the_error_for_an_unusable_directory_names_the_remedy(data_dir: Path) -> None:
    in_the_way = data_dir / "file"
    in_the_way.touch()
    with pytest.raises(EmbeddedUnavailable, match=r"set LOOPGAUGE_DATA_DIR .*, or LOOPGAUGE_DATABASE_URL"):
        EmbeddedServer(in_the_way).start()


def _wait_until_refused(address: Path) -> None:
    # A signal takes a moment to arrive; until then, the kernel still accepts connections.
    def refused() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(address)) != 0

    wait_for(refused, "end of the server")


async def test_a_frozen_server_with_a_full_queue_of_connections_counts_as_running(data_dir: Path) -> None:
    with _using(data_dir) as server:
        assert await _answer(server) == 42
        postmaster = _postmaster(data_dir)
        assert postmaster is not None
        waiting: list[socket.socket] = []
        os.kill(postmaster, signal.SIGSTOP)
        try:
            full = False
            # The kernel queues connections until the queue is full.
            while not full:
                probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                probe.settimeout(0)
                waiting.append(probe)
                full = probe.connect_ex(str(_socket(server))) != 0
                assert len(waiting) < 5000
            assert server.answers()
        finally:
            os.kill(postmaster, signal.SIGCONT)
            for probe in waiting:
                probe.close()

        async def answered() -> bool:
            # After the freeze, the server first handles the queued connections, and may refuse new ones meanwhile.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return await _answer(server) == 42
            return False

        await until(answered)


def _socket(server: EmbeddedServer) -> Path:
    [host] = parse_qs(urlsplit(server.url).query)["host"]
    return Path(host) / ".s.PGSQL.5432"

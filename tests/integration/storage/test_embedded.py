"""Processes share the embedded server.

If the server is killed, the next process that needs it starts it again. The last process that uses the server stops it.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
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


@contextmanager
def _killed_user(data_dir: Path) -> Iterator[None]:
    """Start a process that uses the server, and kill it at the end."""
    program = (
        "import sys, time; from pathlib import Path; from service.storage.embedded import EmbeddedServer; "
        "server = EmbeddedServer(Path(sys.argv[1])); server.start(); print('started', flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    with killed, killed.stdout:
        assert killed.stdout.readline() == b"started\n"
        yield
        killed.kill()


async def test_a_killed_process_does_not_keep_the_server_running(data_dir: Path) -> None:
    with _killed_user(data_dir):
        pass
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


def _long(data_dir: Path) -> Path:
    """A directory whose path is too long for a Unix socket."""
    return data_dir / ("long" * 25)


async def test_a_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    with _using(_long(data_dir)) as server:
        assert await _answer(server) == 42


def test_no_other_user_can_enter_the_directory_of_the_socket(data_dir: Path) -> None:
    for directory in (data_dir, _long(data_dir)):
        with _using(directory) as server:
            status = _socket(server).parent.stat()
            assert stat.S_IMODE(status.st_mode) == 0o700
            assert status.st_uid == (directory / "postgres").stat().st_uid


async def test_a_second_process_finds_the_socket_and_the_last_process_removes_it(data_dir: Path) -> None:
    with _using(_long(data_dir)) as first:
        with _using(_long(data_dir)) as second:
            assert _socket(second) == _socket(first)
            assert await _answer(second) == 42
        directory = _socket(first).parent
    assert not directory.exists()


def _tampered(change: Callable[[Path], object], data_dir: Path) -> tuple[Path, Path]:
    """Change the directory of the socket between two runs of the server, and return the directories of both runs."""
    server = EmbeddedServer(_long(data_dir))
    before = _socket(server).parent
    change(before)
    with _using(_long(data_dir)) as again:
        return before, _socket(again).parent


def test_a_directory_that_others_can_enter_is_not_used(data_dir: Path) -> None:
    before, after = _tampered(lambda directory: directory.chmod(0o777), data_dir)
    assert after != before
    before.rmdir()


def test_a_link_in_place_of_the_directory_is_not_used(data_dir: Path) -> None:
    other = data_dir / "other"
    other.mkdir(mode=0o700)

    def replace(directory: Path) -> None:
        directory.rmdir()
        directory.symlink_to(other)

    before, after = _tampered(replace, data_dir)
    assert (before.is_symlink(), after != before, list(other.iterdir())) == (True, True, [])
    before.unlink()


def test_a_deleted_directory_is_created_again_with_its_name(data_dir: Path) -> None:
    before, after = _tampered(Path.rmdir, data_dir)
    assert after == before


def test_a_user_of_the_machine_that_is_not_in_the_map_is_refused(data_dir: Path) -> None:
    # As root, let a process of the user `nobody` reach the socket of the server.
    if os.geteuid() != 0:
        pytest.skip("only root can run a process as another user")
    program = (
        "import asyncio, asyncpg, sys\n"
        "try: asyncio.run(asyncpg.connect(sys.argv[1]))\n"
        "except asyncpg.PostgresError as error: print(type(error).__name__, error)"
    )
    with _using(data_dir) as server:
        data_dir.chmod(0o755)
        _socket(server).parent.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        tried = subprocess.run(
            ["/usr/bin/python3", "-c", program, server.url],
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=True,
        )
        _socket(server).parent.chmod(0o700)
    assert "peer authentication failed" in tried.stdout.lower(), tried


def test_the_server_gets_no_variable_of_the_service_and_no_group_of_root(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPGAUGE_API_TOKENS__ADMIN", "a-secret-token")
    monkeypatch.setenv("ANOTHER_SECRET", "another-secret")
    with _using(data_dir):
        process = Path(f"/proc/{_postmaster(data_dir)}")
        environment = (process / "environ").read_bytes().split(b"\0")
        assert [one for one in environment if b"secret" in one.lower()] == []
        assert [one for one in environment if one.startswith(b"PATH=")] != []
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        owner = (data_dir / "postgres").stat()
        assert status["Gid"].split() == [str(owner.st_gid)] * 4
        if os.geteuid() == 0:
            assert status["Groups"].strip() == ""
            assert owner.st_gid != 0


async def test_the_server_ends_after_its_last_user_was_killed(data_dir: Path) -> None:
    for directory in (data_dir, _long(data_dir)):
        with _killed_user(directory):
            server = EmbeddedServer(directory)
            address = _socket(server)
            assert await _answer(server) == 42
        wait_for(partial(_has_ended, directory), "end of the server")
        wait_for(partial(_is_missing, address.parent if directory != data_dir else address), "removal of the socket")


def _has_ended(data_dir: Path) -> bool:
    return _postmaster(data_dir) is None


def _is_missing(path: Path) -> bool:
    return not path.exists()


async def test_the_server_stays_while_another_process_uses_it_after_one_was_killed(data_dir: Path) -> None:
    with _using(data_dir) as server:
        before = _postmaster(data_dir)
        with _killed_user(data_dir):
            pass
        # The keeper waits three seconds for the next user. It must not stop the server after this time.
        await asyncio.sleep(4)
        assert (await _answer(server), _postmaster(data_dir)) == (42, before)
        with _killed_user(data_dir):
            pass
    assert _postmaster(data_dir) is None


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

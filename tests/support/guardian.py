"""The guardian: a process that runs PostgreSQL during one run of the tests.

The main process of pytest holds a lock on a file. The kernel releases the lock however that process ends, even if it is
killed. The guardian waits for the lock, then stops the server and removes its files.
"""

import asyncio
import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import asyncpg

from service.storage.database import Database
from service.storage.embedded import EmbeddedServer
from tests.support.paths import REPOSITORY
from tests.support.postgresql import running

TEMPLATE = "loopgauge_template"
"""A migrated database, which each test copies."""

# Turn durability off: the data of the tests need not survive a crash of the machine. Limit the write-ahead log, because
# its files may be in memory.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "128MB",
}
_MEMORY = Path("/dev/shm")  # noqa: S108 - each run creates its own directory there
_MEMORY_BYTES = 2 << 30


class Run:
    """One run of the tests. It ends with a call of `end`, or with the process that created this object.

    Attributes:
        directory: the parent directory of the servers' files. It is in memory if there is room, because each test
            copies a database of 8 MB.
    """

    def __init__(self) -> None:
        roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES
        self.directory = Path(tempfile.mkdtemp(prefix="loopgauge-tests-", dir=_MEMORY if roomy else None))
        # Let other users enter the directory, because PostgreSQL may run as another user.
        self.directory.chmod(0o755)
        self._lock = _locked(self.directory / "run.lock")

    def end(self) -> None:
        """Let the guardians stop their servers, and wait until they have done so."""
        guardians = [path.open("a") for path in self.directory.glob("*/guardian.lock")]
        self._lock.close()
        for guardian in guardians:
            with guardian:
                fcntl.flock(guardian, fcntl.LOCK_EX)
        shutil.rmtree(self.directory, ignore_errors=True)


def server_url(directory: Path, programs: Path | None) -> str:
    """Return the URL of the run's PostgreSQL server. The first call for each `programs` starts a server.

    Args:
        directory: the directory of the `Run`.
        programs: the directory with the programs of an installed PostgreSQL; `None` for the embedded one.
    """
    kind = "-".join(programs.parts[1:]) if programs else "embedded"
    home, url = directory / kind, directory / f"{kind}.url"
    with _locked(directory / f"{kind}.lock"):
        if not url.exists():
            home.mkdir(mode=0o755)
            url.write_text(_start(home, programs))
    return url.read_text()


def _start(home: Path, programs: Path | None) -> str:
    """Start a guardian, and return the URL of its server."""
    command = [sys.executable, "-m", "tests.support.guardian", str(home), *([str(programs)] if programs else [])]
    # Start the guardian in a session of its own: Ctrl-C must not end it before it has stopped its server.
    guardian = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert guardian.stdout is not None
    with guardian.stdout as stdout:
        url = stdout.readline().strip()
    assert url, f"PostgreSQL does not start: {guardian.wait()}"
    # The guardian outlives this process. Set a return code: without one, `Popen` would warn that the guardian is still
    # running.
    guardian.returncode = 0
    return url


def _locked(path: Path) -> IO[str]:
    """Open a file with an exclusive lock, which is released when the file is closed."""
    file = path.open("a")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _guard(home: Path, programs: Path | None) -> None:
    """Run a server, print its URL, and stop the server when the run of the tests has ended."""
    with ExitStack() as guarded:
        guarded.enter_context(_locked(home / "guardian.lock"))
        guarded.callback(shutil.rmtree, home, ignore_errors=True)
        tempfile.tempdir = str(home)
        url = guarded.enter_context(running(programs, _SETTINGS) if programs else _embedded(home))
        asyncio.run(_make_template(url))
        print(url, flush=True)
        with _locked(home.parent / "run.lock"):
            pass
    # Usually the main process of pytest removes the run's directory. If that process was killed, the last guardian
    # removes it.
    with suppress(FileNotFoundError):
        if not [path for path in home.parent.iterdir() if path.is_dir()]:
            shutil.rmtree(home.parent, ignore_errors=True)


@contextmanager
def _embedded(home: Path) -> Iterator[str]:
    server = EmbeddedServer(home, _SETTINGS)
    try:
        server.start()
        yield server.url
    finally:
        server.release()


async def _make_template(server: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await connection.close()
    database = Database(server.replace("/postgres?", f"/{TEMPLATE}?"))
    await database.migrate()
    await database.close()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

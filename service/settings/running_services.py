"""The services that run with a data directory. Each leaves a file there, in which commands find its address.

A service locks its file as long as it runs, and the operating system releases the lock even if the service is killed.
The file contains no secret. It names the variables that the service was started with, but not their values.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from service.settings.in_force import describe_database
from service.settings.model import Role, Settings

Reads = Literal["made", "set", "open", "closed"]
"""The guard of the reads of a service: the token that it made in its data directory, the token in its settings, none,
or a refusal of all reads.
"""

_DIRECTORY = "running"
_SUFFIX = ".json"
_OTHERS = 0o077
_LARGEST = 1 << 20


class RunningService(msgspec.Struct, frozen=True):
    """A service that runs with a data directory.

    Attributes:
        url: the address of its home page, without the last slash, as a client on this machine opens it.
        database: its database in words, without a user and a password.
        sources: the provider of each source.
        variables: the variables that configure it.
    """

    url: str
    role: Role
    reads: Reads
    database: str
    sources: Mapping[str, str]
    variables: Sequence[str]

    @property
    def answers_reads(self) -> bool:
        """Whether the service has the API. A worker has none."""
        return self.role != "worker"


def describe_running(settings: Settings, url: str, variables: Sequence[str], *, made: bool) -> RunningService:
    """Describe a service that runs with these settings.

    Args:
        made: whether its read token is the one in its data directory.
    """
    reads: Reads = "open" if settings.open_reads else "closed"
    if settings.api_tokens.read is not None:
        reads = "made" if made else "set"
    sources = {name: source.provider for name, source in settings.sources.items()}
    return RunningService(url, settings.role, reads, describe_database(settings), sources, variables)


@contextmanager
def recorded(data_dir: Path, service: RunningService) -> Iterator[None]:
    """Record a running service in its data directory until the context ends.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = data_dir / _DIRECTORY
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(prefix=".", dir=directory)
    file = Path(written)
    try:
        # Lock the file before it has its name: a command takes an unlocked file for that of a service that was killed.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, msgspec.json.encode(service))
        file = file.rename(directory / f"{file.name.removeprefix('.')}{_SUFFIX}")
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        os.close(descriptor)


def find_running(data_dir: Path) -> list[RunningService]:
    """Find the services of this user that run with a data directory."""
    try:
        files = sorted(data_dir.joinpath(_DIRECTORY).glob(f"*{_SUFFIX}"))
    except OSError:
        return []
    found = (service for file in files if (service := _read(file)) is not None)
    return sorted(found, key=lambda service: service.url)


def _read(file: Path) -> RunningService | None:
    """The service that holds the lock of a file. The file of a service that was killed is removed.

    A file of another user is ignored: a command could otherwise send its token to that user's program.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not _is_own(os.fstat(descriptor)):
            return None
        if _lock(descriptor):
            file.unlink(missing_ok=True)
            return None
        return msgspec.json.decode(os.read(descriptor, _LARGEST), type=RunningService)
    except (OSError, msgspec.DecodeError):
        return None
    finally:
        os.close(descriptor)


def _is_own(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS


def _lock(descriptor: int) -> bool:
    """Lock a file for a moment. Return whether no running service has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

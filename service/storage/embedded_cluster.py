"""The cluster of the embedded PostgreSQL: its files, the start and the stop of its server, and access to it."""

import os
import pwd
import shlex
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - to wait between attempts
from collections.abc import Mapping
from pathlib import Path

import structlog

from service.storage import embedded_keeper
from service.storage.embedded_programs import Programs, passed_on
from service.storage.embedded_socket import SOCKET, answers

_START_SECONDS = "60"
_START_ATTEMPTS = 20
_START_PAUSE_SECONDS = 0.25
_OUTPUT_BYTES = 4000
# PostgreSQL asks the kernel which user is at the other end of the socket (`peer`). The users in the map `loopgauge` may
# take every role.
_ACCESS = "local all all peer map=loopgauge\nlocal replication all peer map=loopgauge\n"
_MADE = "# loopgauge writes this file at each start of the embedded PostgreSQL.\n"

_log = structlog.get_logger(__name__)


def create_cluster(cluster: Path, programs: Programs) -> None:
    """Create the cluster unless it exists, and let the system user that runs the server reach its directory.

    Raises:
        OSError, CalledProcessError: the cluster cannot be created.
    """
    programs.open_to_system_user(cluster)
    if (cluster / "PG_VERSION").exists():
        return
    with tempfile.TemporaryFile() as output:
        try:
            # `start_server` gives the server other rules of access than those that initdb writes.
            arguments = ("--auth=reject", "--encoding=utf8", "--username=postgres", "-D", str(cluster))
            programs.run("initdb", *arguments, output=output.fileno())
        except subprocess.CalledProcessError:
            output.seek(0)
            _log.error("initdb failed", output=output.read(_OUTPUT_BYTES).decode(errors="replace"))
            raise


def start_server(cluster: Path, programs: Programs, sockets: Path, settings: Mapping[str, str]) -> None:
    """Start the server, unless it runs.

    Args:
        sockets: the directory of the server's socket.
        settings: PostgreSQL's own settings.

    Raises:
        OSError, CalledProcessError: the server does not start.
    """
    if answers(sockets):
        return
    options = ["-h", "", "-k", str(sockets)]
    for name, value in {**_write_access(cluster, programs), **settings}.items():
        options += ["-c", f"{name}={value}"]
    start = ("-w", "-t", _START_SECONDS, "-l", str(cluster / "log"), "-o", shlex.join(options), "start")
    for attempt in range(_START_ATTEMPTS):
        try:
            programs.run("pg_ctl", "-D", str(cluster), *start)
        except subprocess.CalledProcessError:
            # The child processes of a killed server hold its shared memory for a moment. Until they release it, no new
            # server can start on the cluster.
            if attempt + 1 == _START_ATTEMPTS:
                raise
            time.sleep(_START_PAUSE_SECONDS)
        else:
            return


def stop_server(cluster: Path, programs: Programs, sockets: Path | None, patience: int) -> None:
    """Stop the server, if it runs.

    Raises:
        OSError, CalledProcessError: the server has not stopped after `patience` seconds.
    """
    if not answers(sockets):
        return
    try:
        programs.run("pg_ctl", "-D", str(cluster), "-w", "-t", str(patience), "-m", "fast", "stop")
    except subprocess.CalledProcessError:
        # The server may have stopped by itself meanwhile.
        if answers(sockets):
            raise


def start_keeper(cluster: Path, programs: Programs, sockets: Path, held: int) -> None:
    """Start the process that stops the server after its last user has been killed.

    Args:
        held: the descriptor of a locked file, which the keeper keeps open.
    """
    user = programs.system_user
    ids = (os.geteuid(), os.getegid()) if user is None else (user.pw_uid, user.pw_gid)
    paths = (str(cluster), str(programs.directory / "pg_ctl"), str(sockets / SOCKET))
    try:
        subprocess.run(  # noqa: S603 - runs this Python
            [sys.executable, "-I", "-S", embedded_keeper.__file__, str(held), *paths, *map(str, ids)],
            check=True,
            pass_fds=(held,),
            # A signal to the service, such as Ctrl-C, must not end the keeper.
            start_new_session=True,
            cwd="/",
            env=passed_on(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("if this process is killed, the embedded PostgreSQL keeps running", cause=str(error))


def _write_access(cluster: Path, programs: Programs) -> dict[str, str]:
    """Write the server's rules of access: the users of its socket are its own user, this process's user, and root.

    The files lie beside the cluster, because root must not write to a directory of another user.

    Returns:
        The settings of PostgreSQL that name the files.
    """
    names = {pwd.getpwuid(user).pw_name for user in {programs.user_id, os.geteuid(), 0}}
    users = "".join(f'loopgauge "{name}" all\n' for name in sorted(names))
    settings = {}
    for setting, rules in (("hba_file", _ACCESS), ("ident_file", users)):
        file = cluster.with_name(f"{cluster.name}.{setting.removesuffix('_file')}.conf")
        file.write_text(f"{_MADE}{rules}")
        # The system user must be able to read the file, whatever the umask of this process.
        file.chmod(0o644)
        settings[setting] = str(file)
    return settings

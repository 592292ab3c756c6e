"""The keeper: a process that stops the embedded server after its last user has ended, even if `kill -9` ended it.

Each user of the server holds a shared lock on a file. The kernel releases the lock however the process ends. The keeper
waits for an exclusive lock on this file. It runs as a script that imports no package of loopgauge, so that it is small.
"""

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time  # noqa: TID251 - to wait for the next user
from pathlib import Path

# A service that was killed usually starts again at once. It then finds the server still running.
_GRACE_SECONDS = 3.0
_PROBE_SECONDS = 1.0
_STOP = ("-w", "-t", "60", "-m", "fast", "stop")


def main(held: str, cluster: str, control: str, address: str, user: str, group: str) -> None:
    """Wait until the server has no user, and stop it.

    Args:
        held: the descriptor of the lock that shows that the keeper runs.
        cluster: the directory of the cluster. The lock files lie beside it.
        control: the path of `pg_ctl`.
        address: the path of the server's socket.
        user: the id of the user as which the keeper runs, because it does not need the rights of root.
        group: the id of this user's group.
    """
    with (
        Path(f"{cluster}.watch.lock").open("a") as watch,
        Path(f"{cluster}.users.lock").open("a") as users,
        Path(f"{cluster}.start.lock").open("a") as start,
    ):
        _become(int(user), int(group))
        while True:
            _wait_for_last_user(watch.fileno(), Path(cluster, "postmaster.pid"))
            fcntl.flock(start, fcntl.LOCK_EX)
            if _is_free(users.fileno()):
                break
            fcntl.flock(start, fcntl.LOCK_UN)
        if _answers(address):
            subprocess.run([control, "-D", cluster, *_STOP], check=False)  # noqa: S603 - the service chose the command
            if Path(address).parent != Path(cluster):
                shutil.rmtree(Path(address).parent, ignore_errors=True)
        # Release this lock before the lock of the start: the next user starts another keeper only if it finds this lock
        # free.
        os.close(int(held))


def _become(user: int, group: int) -> None:
    if os.geteuid() != user:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def _wait_for_last_user(watch: int, running: Path) -> None:
    fcntl.flock(watch, fcntl.LOCK_EX)
    fcntl.flock(watch, fcntl.LOCK_UN)
    if running.exists():
        # The last user was killed, perhaps before its server answered.
        time.sleep(_GRACE_SECONDS)


def _is_free(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        return probe.connect_ex(address) not in (errno.ENOENT, errno.ECONNREFUSED)


if __name__ == "__main__" and os.fork() == 0:
    # The keeper is the child of this fork. Its parent ends here, so the process that started the parent does not wait.
    main(*sys.argv[1:])

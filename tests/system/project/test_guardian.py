"""The guardian stops PostgreSQL when the run of the tests ends, even if pytest is killed."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.waiting import wait_for

_RUN = """
import sys
from tests.support.guardian import Run, server_url
run = Run()
print(run.directory, flush=True)
print(server_url(run.directory, None), flush=True)
sys.stdin.read()
run.end()
"""


def _run_with_a_server() -> tuple[subprocess.Popen[str], Path]:
    pipe = subprocess.PIPE
    run = subprocess.Popen([sys.executable, "-c", _RUN], cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)
    assert run.stdout is not None
    directory = Path(run.stdout.readline().strip())
    assert run.stdout.readline().startswith("postgresql://")
    return run, directory


def test_the_server_ends_when_the_run_ends() -> None:
    run, directory = _run_with_a_server()
    assert (directory / "embedded" / "postgres" / "postmaster.pid").exists()
    run.communicate()
    assert run.returncode == 0
    assert not directory.exists()


def test_the_server_ends_when_the_run_is_killed() -> None:
    run, directory = _run_with_a_server()
    postmaster = int((directory / "embedded" / "postgres" / "postmaster.pid").read_text().split()[0])
    run.send_signal(signal.SIGKILL)
    run.communicate()
    wait_for(lambda: not directory.exists())
    wait_for(lambda: not Path(f"/proc/{postmaster}").exists())

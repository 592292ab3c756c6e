"""A service creates the embedded PostgreSQL, restarts it after a crash, and stops it when the service ends."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import COMMAND, IN_FLIGHT, environment, opened, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.system.image.stage import needs_root


def test_the_embedded_database_is_made_at_the_start_and_stopped_at_the_end(tmp_path: Path) -> None:
    with serving(None, tmp_path) as service:
        assert service.get("/readyz").json()["status"] == "ready"
        assert service.post(opened()).status_code == 202
        assert service.end(signal.SIGTERM) == 0
    # On a busy machine PostgreSQL may finish its checkpoint after the service has ended.
    wait_for(lambda: not (tmp_path / "data" / "postgres" / "postmaster.pid").exists())


@pytest.fixture
def without_umask() -> Iterator[None]:
    """Let programs create files that every user may write, unless they do something about it."""
    mask = os.umask(0)
    yield
    os.umask(mask)


@pytest.mark.usefixtures("without_umask")
def test_no_other_user_can_change_a_file_or_hold_a_lock_whatever_the_umask_is(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(None, tmp_path):
        modes = {path: path.lstat().st_mode for path in [data_dir, *data_dir.rglob("*")]}
    files = {path: stat.S_IMODE(mode) for path, mode in modes.items() if not stat.S_ISSOCK(mode)}
    assert [path for path, mode in files.items() if mode & 0o022] == []
    private = {path.name for path in data_dir.iterdir() if not files[path] & 0o077}
    locks = {f"postgres.{name}.lock" for name in ("keeper", "start", "users", "watch")}
    assert private >= {*locks, "postgres", "read-token", "spool"}


def _postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def test_an_embedded_database_that_is_killed_is_restarted(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(None, tmp_path, SPOOL="false") as service:
        service.post_all([opened()])
        os.kill(_postmaster(data_dir), signal.SIGKILL)
        wait_for(lambda: service.get("/readyz").status_code == 503)
        wait_for(lambda: service.get("/readyz").status_code == 200)
        service.post_all([opened(46)])
        assert wait_for(lambda: service.samples().get(IN_FLIGHT) == 2)
        assert service.end(signal.SIGTERM) == 0, service.log()


@pytest.mark.parametrize(
    ("reached", "signals"),
    [
        ("postgres.start.lock", 1),
        ("postgres/PG_VERSION", 2),
        ("postgres/log", 1),
        ("postgres/postmaster.pid", 1),
        ("postgres/postmaster.pid", 2),
    ],
)
def test_a_service_that_is_asked_to_end_while_it_starts_leaves_no_database_running(
    tmp_path: Path, reached: str, signals: int
) -> None:
    data_dir = tmp_path / "data"
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment(DATA_DIR=str(data_dir)), stderr=subprocess.PIPE) as process:
        wait_for((data_dir / reached).exists)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) in (0, -signal.SIGTERM)
    # A program that creates the database, such as `initdb`, may outlive the service for a moment.
    wait_for(lambda: not (data_dir / "postgres" / "postmaster.pid").exists())


def _start_in_a_namespace(mount: str, directory: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Mount a file system that only this service sees, and start the service, which fails."""
    needs_root()
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mount}; PATH={path} exec "$@"', "sh", *COMMAND, "serve", "--port", "0"],
        cwd=directory,
        env=environment(DATA_DIR=str(directory / "data")),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_root_gets_a_remedy_if_the_system_user_for_postgresql_cannot_be_created(tmp_path: Path) -> None:
    users = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("pgserver:")]
    (tmp_path / "passwd").write_text("\n".join([*users, ""]))
    ended = _start_in_a_namespace("mount --bind passwd /etc/passwd", tmp_path, "/nowhere")
    assert ended.returncode == 1
    assert ended.stderr == (
        "loopgauge: PostgreSQL refuses to run as root, and the system user to run it cannot be created; "
        "run loopgauge as an ordinary user, or set LOOPGAUGE_DATABASE_URL\n"
    )


def test_a_database_that_cannot_be_created_is_reported_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ended = _start_in_a_namespace("mount -t tmpfs -o size=4m none data", tmp_path, os.environ["PATH"])
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert ended.stderr.splitlines()[-1] == (
        f"loopgauge: the embedded PostgreSQL cannot create {tmp_path}/data/postgres, as the error above says; "
        "set LOOPGAUGE_DATA_DIR to another directory, or LOOPGAUGE_DATABASE_URL"
    )

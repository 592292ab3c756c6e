"""The commands of the documentation copy the embedded database to another server, back it up, and restore it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import example
from tests.support.paths import REPOSITORY
from tests.support.serving import environment, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for

_PLACEHOLDER = "postgresql://loopgauge:change-me@db.example.com/loopgauge"


def _serve(directory: Path, *numbers: int) -> None:
    """Run a service with the embedded database until it has counted the proposals of experiments."""
    with serving(None, directory) as service:
        service.post_all([opened(number) for number in numbers])
        wait_for(lambda: service.get("/deliveries?verdict=counted").text.count('"counted"') >= len(numbers))
        assert service.end(signal.SIGTERM) == 0


def _run(script: str, directory: Path) -> str:
    """Run commands of the documentation in a directory with the embedded database, and return what they print."""
    # The working directory of a test is not the checkout, as that of a user is not.
    begin = f'loopgauge() {{ PYTHONPATH="{REPOSITORY}" "{sys.executable}" -m service "$@"; }}\n'
    ended = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", begin + script],
        cwd=directory,
        env=environment(DATA_DIR=str(directory / "data")),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _references(directory: Path, **variables: str) -> set[str]:
    ended = run_command("experiments", "list", "--all", "--json", DATA_DIR=str(directory / "data"), **variables)
    return {shown["root"] for shown in json.loads(ended.stdout)}


@pytest.mark.oldest_postgresql_too
def test_the_embedded_database_moves_to_another_server_with_all_that_it_has(
    empty_database_url: str, tmp_path: Path
) -> None:
    _serve(tmp_path, 1, 2)
    move = example("move the embedded database").replace(_PLACEHOLDER, f"'{empty_database_url}'")
    assert empty_database_url in move
    assert _run(move + example("compare the databases"), tmp_path) == "the schema is at revision " + _revision() + "\n"
    assert _references(tmp_path, DATABASE_URL=empty_database_url) == {"github:acme/app#1", "github:acme/app#2"}
    with serving(empty_database_url, tmp_path) as service:
        service.post_all([opened(3)])
        wait_for(lambda: service.get("/experiments?ref=github:acme/app%233").text.count("acme/app#3"))


def test_a_backup_of_the_embedded_database_is_restored_in_place_of_what_came_later(tmp_path: Path) -> None:
    _serve(tmp_path, 1)
    _run(example("back up the embedded database"), tmp_path)
    _serve(tmp_path, 2)
    assert _references(tmp_path) == {"github:acme/app#1", "github:acme/app#2"}
    _run(example("restore the embedded database"), tmp_path)
    assert _references(tmp_path) == {"github:acme/app#1"}
    # The tool sends again what came after the backup, and what the backup has.
    _serve(tmp_path, 1, 2)
    assert _references(tmp_path) == {"github:acme/app#1", "github:acme/app#2"}


def test_a_backup_works_while_the_service_runs(tmp_path: Path) -> None:
    with serving(None, tmp_path) as service:
        service.post_all([opened(1)])
        _run(example("back up the embedded database"), tmp_path)
        assert service.get("/readyz").status_code == 200
    assert (tmp_path / "loopgauge.dump").stat().st_size > 1000


def test_the_program_gets_its_arguments_and_decides_the_exit_status(tmp_path: Path) -> None:
    _serve(tmp_path)
    where = {"DATA_DIR": str(tmp_path / "data")}
    shown = run_command("postgres", "psql", "--tuples-only", "--no-align", "--command", "SELECT 6 * 7", **where)
    assert (shown.returncode, shown.stdout.strip(), shown.stderr) == (0, "42", "")
    refused = run_command("postgres", "psql", "--set=ON_ERROR_STOP=1", "--command", "SELECT nothing", **where)
    assert (refused.returncode, "nothing" in refused.stderr) == (1, True)
    assert run_command("postgres", "psql", "--command", "\\! exit 3", **where).returncode == 0
    # The command has stopped the server that it started.
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_without_an_embedded_database_the_command_names_the_directory_and_creates_nothing(tmp_path: Path) -> None:
    ended = run_command("postgres", "pg_dump", DATA_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"loopgauge: there is no embedded database in {tmp_path}: the first start of ")
    assert [*tmp_path.iterdir()] == []


def _revision() -> str:
    return max(path.stem[:4] for path in (REPOSITORY / "migrations" / "versions").glob("0*.py"))

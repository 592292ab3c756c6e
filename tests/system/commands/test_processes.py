"""Commands as real processes: imports, exit status, pipes, terminals and signals.

`serve`, `demo`, `replay` and `export-history` have tests with real processes elsewhere.
"""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import click
import pytest
from sqlalchemy import text

from service.storage.database import Database
from tests.support.builders import Issue, at
from tests.support.paths import REPOSITORY
from tests.support.road import deliver, store_deliveries
from tests.support.rules_files import BETS
from tests.support.serving import COMMAND, environment, run_command
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as usual. Otherwise, child processes ignore it if a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _probe(script: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.stderr == ""
    return ended.stdout


@pytest.mark.parametrize(
    "words",
    [
        *(["migrate"], ["experiments", "list"], ["scorecard"], ["deliveries", "list"], ["deliveries", "retry"]),
        *(["explain"], ["classify"], ["replay"], ["export-history"], ["rules", "check"], ["serve"], ["demo"]),
    ],
    ids=" ".join,
)
def test_the_help_of_a_command_imports_neither_the_service_nor_an_http_client(words: list[str]) -> None:
    printed = _probe(
        "import sys; from service.cli import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)",
        *words,
        "--help",
    )
    assert printed.startswith(f"Usage: {' '.join(['-c', *words])} ")
    slow = {"sqlalchemy", "asyncpg", "fastapi", "uvicorn", "alembic", "httpx", "prometheus_client", "service.app"}
    assert not slow & set(printed.split("\n")[-2].split())


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_the_help_imports_no_slow_library(arguments: list[str]) -> None:
    printed = _probe(
        "import sys; from service.cli import main; main(standalone_mode=False); print(*sys.modules)", *arguments
    )
    assert printed.startswith("Usage: ")
    assert printed.index("demo") < printed.index("deliveries") < printed.index("export-history")
    assert not {"sqlalchemy", "fastapi", "pydantic", "structlog"} & set(printed.split("\n")[-2].split())


def test_checking_rules_imports_neither_the_database_nor_the_server() -> None:
    printed = _probe("import sys, service.commands.rules; print(*sys.modules)")
    assert not {"sqlalchemy", "fastapi", "uvicorn", "alembic"} & set(printed.split())


@pytest.mark.parametrize(
    ("arguments", "status", "printed", "error"),
    [
        (["migrate"], 0, "the schema is at revision ", ""),
        (["scorecard"], 0, "", ""),
        (["explain", "github:acme/app#1"], 1, "", "loopgauge: nothing is stored about github:acme/app#1: "),
        (["rules", "check", "rules.yaml"], 0, "rules.yaml: ", ""),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_prints_results_and_errors_to_different_streams(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    printed: str,
    error: str,
) -> None:
    (tmp_path / "rules.yaml").write_text(BETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    ended = run_command(*arguments, DATABASE_URL=database_url)
    assert ended.returncode == status
    assert ended.stdout.startswith(printed)
    assert ended.stderr.startswith(error)
    assert (ended.stdout == "", ended.stderr == "") == (status != 0, status == 0)
    # The output goes to a pipe, so it has no colours.
    assert "\x1b" not in ended.stdout


async def _store(database: Database, count: int) -> None:
    deliveries = [
        Issue(number=number, created_at=at(2)).opened().delivery(at(2) + timedelta(minutes=number))
        for number in range(1, count + 1)
    ]
    await store_deliveries(database, *deliveries)


async def test_a_reader_that_closes_the_pipe_is_not_an_error(database: Database, database_url: str) -> None:
    await _store(database, 1201)
    for options in ([], ["--json"]):
        with _start("deliveries", "list", "--all", *options, DATABASE_URL=database_url) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            error = process.stderr.read()
            process.wait(PATIENCE_SECONDS)
        assert error == ""


@pytest.mark.usefixtures("interruptible")
async def test_an_interrupted_command_ends_without_a_traceback(database: Database, database_url: str) -> None:
    async with database.transaction() as connection:
        # The lock makes the command wait until this transaction ends.
        await connection.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
        # Let this transaction stay idle for any time: on a busy machine, the command may start only after the usual
        # timeout, which would end the transaction.
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        with _start("deliveries", "list", DATABASE_URL=database_url) as process:
            await _until_a_lock_is_awaited(database)
            process.send_signal(signal.SIGINT)
            printed, error = await asyncio.to_thread(process.communicate, timeout=PATIENCE_SECONDS)
    assert (process.returncode, printed, error.strip()) == (1, "", "Aborted!")


async def _until_a_lock_is_awaited(database: Database) -> None:
    awaited = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        async with database.transaction() as connection:
            if await connection.scalar(awaited):
                return
        await asyncio.sleep(0.05)
    pytest.fail("no process waits for a lock")


def test_a_terminal_shows_the_help() -> None:
    assert _lines_on_a_terminal()[0].startswith("Usage: loopgauge")


async def test_lists_fit_the_terminal_and_show_ids_and_references_whole(database: Database, database_url: str) -> None:
    issue = Issue(number=4500, created_at=at(2), labels=("experiment", "team:search"), title="A long title " * 9)
    await deliver(database, issue.opened(), issue.labeled("experiment", at(3))[1], Issue(created_at=at(2)).opened())
    async with database.transaction() as connection:
        ids = [str(found) for found in await connection.scalars(text("SELECT id FROM deliveries"))]
    for arguments, wanted in (
        (["deliveries", "list"], [*ids, "github:acme/app#4500"]),
        (["experiments", "list"], ["github:acme/app#4500", "github:acme/app#45 ", "A long title"]),
    ):
        lines = await asyncio.to_thread(_lines_on_a_terminal, *arguments, DATABASE_URL=database_url)
        assert max(map(len, lines)) <= 80
        assert [word for word in wanted if word not in "\n".join(lines)] == []
        assert "\x1b" not in "".join(lines)


def test_the_first_lines_of_the_service_fit_the_terminal(database_url: str, tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path / "data"),
        "SOURCES__GITHUB__SECRET": "bars-secret",
        "SOURCES__JIRA_CLOUD__PROVIDER": "jira",
        "SOURCES__JIRA_CLOUD__SECRET": "bars-secret",
        "API_TOKENS__WRITE": "short",
    }
    terminal, end = pty.openpty()
    variables = {**environment(**settings), "COLUMNS": "80"}
    with subprocess.Popen([*COMMAND, "serve", "--port", "0"], stdout=end, stderr=end, env=variables) as process:
        os.close(end)
        shown = b""
        while b"leading" not in shown and (chunk := _read(terminal)):
            shown += chunk
        process.terminate()
        while chunk := _read(terminal):
            shown += chunk
        assert process.wait(PATIENCE_SECONDS) == 0
    os.close(terminal)
    lines = click.unstyle(shown.decode()).splitlines()
    assert [line for line in lines if len(line) > 80 and "/sign-in?token=" not in line] == []
    assert lines[0].startswith("loopgauge listens on 127.0.0.1:")
    text = " ".join(" ".join(lines).split())
    for told in ("webhooks of jira_cloud (jira)", "LOOPGAUGE_API_TOKENS__WRITE is short", "but LOOPGAUGE_SOURCES__"):
        assert told in text


def _lines_on_a_terminal(*arguments: str, **variables: str) -> Sequence[str]:
    """The lines that a command writes to a terminal of 80 columns."""
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=end, stderr=end, env={**environment(**variables), "COLUMNS": "80"}
    ) as process:
        os.close(end)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
        assert process.wait(PATIENCE_SECONDS) == 0
    os.close(terminal)
    return shown.decode().splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # On Linux, reading fails once the other end of the terminal is closed.
        return b""

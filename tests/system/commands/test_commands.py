"""The command line as a whole: what it helps with, how it fails, and what it prints for machines."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from sqlalchemy import text

from service.cli import main
from service.storage import inbox
from service.storage.database import Database
from tests.support.builders import Issue, at
from tests.support.paths import REPOSITORY

_PATIENCE = 60.0
_NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
# These print nothing but where they listen, and what Prometheus reads.
_WITHOUT_JSON = {"serve", "demo", "export-history"}


def _started(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    ours = {f"LOOPGAUGE_{name}": value for name, value in variables.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "service", *arguments],
        env={**{name: value for name, value in os.environ.items() if not name.startswith("LOOPGAUGE_")}, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """The exit status of a command, and what it wrote to standard output and to standard error."""
    with _started(*arguments, **variables) as process:
        printed, said = process.communicate(timeout=_PATIENCE)
    return process.returncode, printed, said


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command, by the words that call it."""
    waiting: list[tuple[list[str], click.Command]] = [([], main)]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None, name
                waiting.append(([*words, name], found))


def test_the_commands_are_listed_as_they_say_themselves_and_none_is_forgotten() -> None:
    listed = {words[0] for words, _ in _commands() if words}
    files = {one.stem for one in (REPOSITORY / "service" / "commands").glob("*.py")}
    assert {name.replace("-", "_") for name in listed} == files - {"__init__", "helping", "options", "running"}


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_without_arguments_it_helps_at_once(arguments: list[str]) -> None:
    probe = "import sys; from service.cli import main; main(standalone_mode=False); print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True, timeout=_PATIENCE
    )
    assert (ended.stdout.startswith("Usage: "), ended.stderr) == (True, "")
    assert ended.stdout.index("demo") < ended.stdout.index("deliveries") < ended.stdout.index("export-history")
    assert max(map(len, ended.stdout.split("\n")[:-2])) <= 80
    assert not {"sqlalchemy", "fastapi", "pydantic", "structlog"} & set(ended.stdout.split("\n")[-2].split())


def test_a_rehearsal_of_a_rule_imports_neither_a_database_nor_a_server() -> None:
    probe = "import sys, service.commands.rules; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=_PATIENCE)
    assert not {"sqlalchemy", "fastapi", "uvicorn", "alembic"} & set(ended.stdout.split())


@pytest.mark.parametrize("words", [words for words, _ in _commands()], ids=" ".join)
def test_each_command_helps_in_eighty_columns(words: list[str]) -> None:
    status, printed, said = _run(*words, "-h")
    assert (status, said) == (0, "")
    assert printed.startswith("Usage: ")
    assert max(map(len, printed.splitlines())) <= 80


def test_each_command_that_prints_prints_json() -> None:
    assert {
        " ".join(words)
        for words, command in _commands()
        if not isinstance(command, click.Group) and "as_json" not in {one.name for one in command.params}
    } == _WITHOUT_JSON


def test_a_command_that_is_misspelt_is_told_the_nearest() -> None:
    status, printed, said = _run("deliverys", "list")
    assert (status, printed) == (2, "")
    assert "Did you mean 'deliveries'?" in said


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"path": "/not_there"}, "create it, or name another one in LOOPGAUGE_DATABASE_URL"),
        ({"path": "/template1"}, "run: loopgauge migrate"),
        ({}, "check that PostgreSQL runs at LOOPGAUGE_DATABASE_URL"),
    ],
    ids=["no such database", "not migrated", "not there"],
)
def test_a_database_that_is_not_as_it_should_be_is_told_with_what_to_do(
    database_url: str, change: dict[str, str], advice: str
) -> None:
    url = urlsplit(database_url)._replace(**change).geturl() if change else _NOWHERE
    status, printed, said = _run("deliveries", "list", "--json", DATABASE_URL=url)
    assert (status, printed) == (1, "")
    assert said.startswith("loopgauge: PostgreSQL is not available: ")
    assert said.endswith(f"; {advice}\n")
    assert said.count("\n") == 1


async def test_a_wrong_password_is_told_with_what_to_do(tmp_path: Path) -> None:
    from service.storage.embedded import EmbeddedServer  # noqa: PLC0415 - this test alone

    server = EmbeddedServer(tmp_path / "own")
    server.start()
    try:
        access = tmp_path / "own" / "postgres" / "pg_hba.conf"
        database = Database(server.url)
        async with database.transaction() as connection:
            await connection.execute(text("CREATE USER reader PASSWORD 'the right one'"))
        access.write_text(f"local all reader scram-sha-256\n{access.read_text()}")
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_reload_conf()"))
        await database.close()
        url = server.url.replace("postgres@", "reader:the-wrong-one@")
        status, printed, said = _run("deliveries", "list", DATABASE_URL=url)
    finally:
        server.release()
    assert (status, printed, said.count("\n")) == (1, "", 1)
    assert said.endswith("; check the user and the password in LOOPGAUGE_DATABASE_URL\n")
    assert "the-wrong-one" not in said


async def test_a_schema_of_a_newer_version_is_left_as_it_is(database: Database, database_url: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert _run("migrate", DATABASE_URL=database_url) == (0, "the schema is at revision 9999\n", "")


def test_what_it_printed_for_people_it_prints_for_machines(empty_database_url: str, tmp_path: Path) -> None:
    status, printed, said = _run("migrate", "--json", DATABASE_URL=empty_database_url)
    assert (status, list(json.loads(printed)), said) == (0, ["revision"], "")
    rules = tmp_path / "rules.yaml"
    rules.write_text("teams: {ML: ml-platform}\n")
    status, printed, said = _run("rules", "check", "--json", str(rules))
    assert (status, json.loads(printed)["file"], said) == (0, str(rules), "")
    assert json.loads(printed)["rules"] > 1


async def _keep(database: Database, count: int) -> list[str]:
    """Keep deliveries, each a minute after the one before it; their ids, newest first."""
    kept = [
        Issue(number=number, created_at=at(2)).opened().delivery(at(2) + timedelta(minutes=number))
        for number in range(1, count + 1)
    ]
    async with database.transaction() as connection:
        await inbox.store(connection, kept)
    return [str(one.id) for one in reversed(kept)]


async def test_all_deliveries_are_listed_page_after_page(database: Database, database_url: str) -> None:
    ids = await _keep(database, 1201)

    def listed(*options: str) -> list[str]:
        status, printed, said = _run("deliveries", "list", "--json", *options, DATABASE_URL=database_url)
        assert (status, said) == (0, "")
        return [one["id"] for one in json.loads(printed)]

    assert listed() == ids[:20]
    assert listed("--limit", "1100") == ids[:1100]
    assert listed("--all") == ids
    assert listed("--all", "--since", "2026-03-03T05:00:00") == ids[:2]
    assert listed("--all", "--since", "2026-03-03T06:02:00+01:00") == []
    assert listed("--source", "jira") == []


async def test_a_reader_that_has_seen_enough_is_no_error(database: Database, database_url: str) -> None:
    await _keep(database, 1201)
    for options in ([], ["--json"]):
        with _started("deliveries", "list", "--all", *options, DATABASE_URL=database_url) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            said = process.stderr.read()
            process.wait(_PATIENCE)
        assert said == ""


async def test_interrupted_it_ends_without_a_traceback(database: Database, database_url: str) -> None:
    async with database.transaction() as connection:
        # The command waits for this transaction to end.
        await connection.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
        with _started("deliveries", "list", DATABASE_URL=database_url) as process:
            await _until_somebody_waits(database)
            process.send_signal(signal.SIGINT)
            printed, said = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, printed, said.strip()) == (1, "", "Aborted!")


async def _until_somebody_waits(database: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
    )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        async with database.transaction() as connection:
            if await connection.scalar(waiting):
                return
        await asyncio.sleep(0.05)
    pytest.fail("nobody waits")


def test_what_is_unknown_is_told_with_what_to_try(database_url: str) -> None:
    advice = "`loopgauge deliveries list` or GET /deliveries tells what became of each"
    status, printed, said = _run("explain", "github:acme/app#1", "--json", DATABASE_URL=database_url)
    known = "nothing is known of github:acme/app#1: deliveries are interpreted within moments"
    assert (status, printed, said) == (1, "", f"loopgauge: {known}, and {advice}\n")
    status, _, said = _run("explain", "number one", DATABASE_URL=database_url)
    assert (status, "expected a form such as github:acme/app#45" in said) == (1, True)


def _on_a_terminal(*arguments: str) -> Sequence[str]:
    """The lines that a command writes to a terminal of 80 columns."""
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "service", *arguments], stdout=end, stderr=end, env={**os.environ, "COLUMNS": "80"}
    ) as process:
        os.close(end)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
        assert process.wait(_PATIENCE) == 0
    os.close(terminal)
    return shown.decode().splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # On Linux a terminal whose other end is closed cannot be read.
        return b""


def test_on_a_terminal_it_helps_too() -> None:
    assert _on_a_terminal()[0].startswith("Usage: loopgauge")

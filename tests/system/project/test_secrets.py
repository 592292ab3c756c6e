"""Secrets and tokens appear in no log, answer, error or command output, not even at level debug."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from sqlalchemy import text

from service.storage.database import Database
from tests.support.builders import Issue, at, github
from tests.support.serving import run_command, serving
from tests.support.signing import SIGNING_KEY
from tests.support.waiting import PATIENCE_SECONDS, wait_for

_MARK = "hush"
_TOKENS = {name: f"{_MARK}-{name.lower()}-token" for name in ("READ", "WRITE", "ADMIN")}


async def test_no_secret_is_revealed(database: Database, database_url: str, tmp_path: Path) -> None:
    # The PostgreSQL of the tests requires no password, but this URL contains one.
    url = database_url.replace("postgres@", f"postgres:{_MARK}-password@")
    variables = {
        "SOURCES__GITHUB__PREVIOUS_SECRET": f"{_MARK}-previous-secret",
        "SOURCES__CLOUDEVENTS__SECRET": SIGNING_KEY,
        "METRICS_TOKEN": f"{_MARK}-metrics-token",
        "LOG_LEVEL": "debug",
        **{f"API_TOKENS__{name}": token for name, token in _TOKENS.items()},
    }
    with serving(url, tmp_path, **variables) as service:
        answers = await asyncio.to_thread(_ask_everything, service.url)
        service.post_all([Issue(created_at=at(2)).opened(), github("issues", b"{")])
        # Break the database: from now on reads and writes fail. Rename each table in a transaction of its own, because
        # a transaction that locks both tables could deadlock with the service.
        for table in ("experiments", "touched"):
            async with database.transaction() as connection:
                await connection.execute(text(f"ALTER TABLE {table} RENAME TO gone_{table}"))
        service.post_all([Issue(number=46, created_at=at(2)).opened()])
        failing = await asyncio.to_thread(_ask_everything, service.url)
        log: list[str] = []

        def has_failed() -> bool:
            log.extend(json.dumps(line) for line in service.log())
            return any("experiments" in line for line in log)

        await asyncio.to_thread(wait_for, has_failed, "failure in the log")
        service.end(signal.SIGTERM)
        log.extend(json.dumps(line) for line in service.log())
    assert {status for status, _ in answers} >= _SEEN
    commands = [
        ["explain", "github:acme/app#45"],
        ["deliveries", "list"],
        ["replay", "--dry-run"],
        ["serve", "--port", "0", "--role", "nothing"],
    ]
    printed = [_output(command, url, variables) for command in commands]
    for written in (*log, *(answer for _, answer in (*answers, *failing)), *printed):
        assert _MARK not in written
        assert SIGNING_KEY not in written


_SEEN = {200, 401, 404, 422}


def _ask_everything(url: str) -> list[tuple[int, str]]:
    """Read every kind of path with every token, and return the answers."""
    paths = ["/deliveries", "/openapi.json", "/docs", "/metrics", "/readyz", "/deliveries/1", "/nothing"]
    paths += ["/experiments/github:acme%2Fapp%2345/explain"]
    tokens = [*_TOKENS.values(), f"{_MARK}-metrics-token", f"{_MARK}-wrong"]
    with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
        answers = [client.get(path, headers={"authorization": f"Bearer {token}"}) for path in paths for token in tokens]
        answers += [client.get("/deliveries", headers={"authorization": f"Basic {_MARK}"})]
    return [(answer.status_code, answer.text + str(answer.headers)) for answer in answers]


def _output(command: Sequence[str], url: str, variables: Mapping[str, str]) -> str:
    """The standard output and error of a command."""
    ended = run_command(*command, **{**variables, "DATABASE_URL": url})
    output = ended.stdout + ended.stderr
    assert output
    return output

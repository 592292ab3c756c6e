"""No log, response, error or command reveals a secret or a token, not even at the level debug."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from sqlalchemy import text

from service.storage.database import Database
from tests.support.builders import Issue, at, github
from tests.support.serving import serving
from tests.support.signing import SIGNING_KEY
from tests.support.waiting import PATIENCE_SECONDS

_MARK = "hush"
_TOKENS = {name: f"{_MARK}-{name.lower()}-token" for name in ("READ", "WRITE", "ADMIN")}


async def test_no_secret_is_revealed(database: Database, database_url: str, tmp_path: Path) -> None:
    # The test server ignores the password of the URL.
    url = database_url.replace("postgres@", f"postgres:{_MARK}-password@")
    variables = {
        "SOURCES__GITHUB__PREVIOUS_SECRET": f"{_MARK}-previous-secret",
        "SOURCES__CLOUDEVENTS__SECRET": SIGNING_KEY,
        "METRICS_TOKEN": f"{_MARK}-metrics-token",
        "LOG_LEVEL": "debug",
        **{f"API_TOKENS__{name}": token for name, token in _TOKENS.items()},
    }
    with serving(url, tmp_path, **variables) as service:
        told = await asyncio.to_thread(_ask_everything, service.url)
        service.post_all([Issue(created_at=at(2)).opened(), github("issues", b"{")])
        async with database.transaction() as connection:
            # From here on, reads and writes fail.
            await connection.execute(text("ALTER TABLE experiments RENAME TO gone"))
            await connection.execute(text("ALTER TABLE touched RENAME TO gone_too"))
        service.post_all([Issue(number=46, created_at=at(2)).opened()])
        failing = await asyncio.to_thread(_ask_everything, service.url)
        service.end(signal.SIGTERM)
        log = [json.dumps(line) for line in service.log()]
    assert any("experiments" in line for line in log), "nothing failed"
    assert {status for status, _ in told} >= _SEEN
    commands = [
        ["explain", "github:acme/app#45"],
        ["deliveries", "list"],
        ["replay", "--dry-run"],
        ["serve", "--port", "0", "--role", "nothing"],
    ]
    printed = [_printed(one, url, variables) for one in commands]
    for said in (*log, *(answer for _, answer in (*told, *failing)), *printed):
        assert _MARK not in said
        assert SIGNING_KEY not in said


_SEEN = {200, 401, 404, 422}


def _ask_everything(url: str) -> list[tuple[int, str]]:
    """Read every kind of path with every token and with a wrong one, and return the responses."""
    paths = ["/deliveries", "/openapi.json", "/docs", "/metrics", "/readyz", "/deliveries/1", "/nothing"]
    paths += ["/experiments/github:acme%2Fapp%2345/explain"]
    shown = [*_TOKENS.values(), f"{_MARK}-metrics-token", f"{_MARK}-wrong"]
    with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
        answers = [client.get(path, headers={"authorization": f"Bearer {one}"}) for path in paths for one in shown]
        answers += [client.get("/deliveries", headers={"authorization": f"Basic {_MARK}"})]
    return [(answer.status_code, answer.text + str(answer.headers)) for answer in answers]


def _printed(command: list[str], url: str, variables: dict[str, str]) -> str:
    """Run a command, and return its output and errors."""
    environment = {f"LOOPGAUGE_{name}": value for name, value in {**variables, "DATABASE_URL": url}.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "service", *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.stdout
    return ended.stdout

"""No person is measured, and none is told of: not by a figure, a read answer, a command, a log or a table.

The one place where persons are is what was delivered, as it came: its body and headers, behind the admin token.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx
from sqlalchemy import Column, select

from service.storage.database import Database
from service.storage.tables import deliveries, events, experiments, metadata
from tests.support.persons import ACCOUNT, MARK
from tests.support.planted import Planted, built, kept
from tests.support.road import Samples, parse_samples
from tests.support.serving import serving
from tests.support.signing import SOURCES
from tests.support.waiting import PATIENCE_SECONDS

_AT_ONCE = 8
# After one that began when all was there comes another that ends after it.
_SNAPSHOTS = 3
_READ_ALONE = 100
_OF_FORKS = ("github:acme/app!7", "github:acme/app!9", "github:acme/app#45")
_DELIVERED = {("deliveries", "headers"), ("deliveries", "body")}
_DELIVERED_LINE = re.compile(r"\s*\"?(headers|body|body_base64)\b")
Told: TypeAlias = tuple[str, str]
"""Where something is told, and its text."""

# What was pushed to a fork can find the change that it serves by this alone; no answer shows whose the fork is.
_BRANCH_OF_A_FORK = re.compile(rf"(?<=')branch:{ACCOUNT}/[^@']+@")
_COMMANDS = """
import json, sys
from service.cli import main
for arguments in json.loads(sys.argv[1]):
    main(arguments, standalone_mode=False)
"""
_RULES = """
extends: defaults
teams: {"*": everybody}
"""


async def test_no_output_and_no_table_but_the_inbox_itself_carries_a_person(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """See that nobody who is in what was delivered is in anything that is told or kept of it.

    What is planted where, and what stays as it is and why, `tests.support.persons` tells.
    """
    story, corpus = list(built()), list(kept())
    # Of GitHub's many kinds of events, the story has those that are read at all.
    kinds = _each_kind([*story, *(one for one in corpus if one.scheme.provider != "github")])
    sent = [*story, *corpus, *(broken for kind in kinds for broken in kind.unreadable())]
    assert [one.path for one in sent if MARK not in one.body.decode(errors="replace").lower()] == []
    with serving(
        database_url, tmp_path, LOG_LEVEL="debug", SNAPSHOT_INTERVAL="1s", WINDOWS="30d,3650d", **_sources()
    ) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_SECONDS) as client:
            answers = await _send(client, sent)
            figures = await _settled(client)
            told = [*answers, *await _everything_read(client, database)]
        # What it says last is that it has stopped.
        service.end(signal.SIGTERM)
        told += [("the log", json.dumps(line)) for line in service.log()]
    told += [*await _rows(database), *await _printed(database, database_url, tmp_path)]
    assert [(where, _around(text)) for where, text in told if MARK in text.lower()] == []
    assert {where for where, _ in told} >= {"the log", "a command", "/metrics", "/deliveries"}
    _assert_that_much_counts(figures, story)


def _assert_that_much_counts(figures: Samples, story: Sequence[Planted]) -> None:
    """See that of every source that tells the story something counts, and that what nobody can read fails."""
    verdicts = {key[1:]: number for key, number in figures.items() if key[0] == "interpreted_total"}
    sources = {one.path.removeprefix("/webhooks/").replace("-", "_") for one in story}
    assert [source for source in sources if not verdicts[source, "counted"]] == []
    assert sum(number for (_, verdict), number in verdicts.items() if verdict == "failed") > len(story)
    assert sum(number for key, number in figures.items() if key[0] == "experiments_in_flight") > 0
    assert sum(number for key, number in figures.items() if key[0] == "experiments_concluded") > 0


def _sources() -> Mapping[str, str]:
    return {
        f"SOURCES__{name.upper()}__{field.upper()}": value
        for name, configured in SOURCES.items()
        for field, value in configured.items()
    }


def _each_kind(requests: Iterable[Planted]) -> Iterable[Planted]:
    """One request of every kind of event that a provider sends."""
    kinds: dict[tuple[str, str], Planted] = {}
    for one in requests:
        event = next((value for name, value in one.headers.items() if name.endswith(("-event", "-event-type"))), "")
        payload = json.loads(one.body)
        kind = event or payload.get("webhookEvent") or payload.get("type")
        kinds.setdefault((one.scheme.provider, str(kind)), one)
    return kinds.values()


async def _send(client: httpx.AsyncClient, requests: Sequence[Planted]) -> list[Told]:
    """Send requests, a few at once, and return the answers; only an event that cannot be read may be refused."""
    told: list[Told] = []
    waiting = iter(requests)

    async def sender() -> None:
        for one in waiting:
            response = await one.send(client)
            assert response.status_code == 202 or one.path == "/events", (one.path, response.text)
            told.append((f"{response.status_code} {one.path}", response.text))

    await asyncio.gather(*(sender() for _ in range(_AT_ONCE)))
    return told


async def _settled(client: httpx.AsyncClient) -> Samples:
    """Wait until everything is interpreted and projected, and return the figures that tell of all of it."""
    figures: Samples = {}
    moments: set[float] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(moments) < _SNAPSHOTS:
            figures = parse_samples((await client.get("/metrics")).text)
            waits = [figures.get((name,)) for name in ("inbox_pending", "projection_pending")]
            if waits == [0, 0] and ("snapshot_timestamp_seconds",) in figures:
                moments.add(figures["snapshot_timestamp_seconds",])
            await asyncio.sleep(0.1)
    return figures


async def _everything_read(client: httpx.AsyncClient, database: Database) -> list[Told]:
    """Every answer to a reader without the admin token, under its path."""
    # One by one deliveries tell what their list tells.
    some = (await _column(database, deliveries.c.id))[:_READ_ALONE]
    named = {"delivery": some, "experiment": await _references(database)}
    paths = []
    for template, methods in (await client.get("/openapi.json")).json()["paths"].items():
        described = methods.get("get", {"parameters": ()}).get("parameters", ())
        wanted = [one["name"] for one in described if one["in"] == "path"]
        assert set(wanted) <= set(named), f"{template}: tell this test what to read it with"
        filled = [template.replace(f"{{{name}}}", quote(value, safe="")) for name in wanted for value in named[name]]
        paths += (filled or [template]) if "get" in methods else []
    told: list[Told] = []
    waiting = iter(paths)

    async def reader() -> None:
        for path in waiting:
            told.extend([(path, page) async for page in _pages(client, path)])

    await asyncio.gather(*(reader() for _ in range(_AT_ONCE)))
    assert {path.split("/")[1] for path, _ in told} >= {"metrics", "deliveries", "experiments", "readyz"}
    openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    return [*told, ("/metrics, OpenMetrics", openmetrics.text)]


async def _pages(client: httpx.AsyncClient, path: str) -> AsyncIterator[str]:
    """The answer to a path, and where it has pages each of them."""
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(path, params={"cursor": cursor} if cursor else {})
        # Evidence is no experiment, and is told what it serves.
        known = {200, 404} if path.startswith("/experiments/") else {200}
        assert answer.status_code in known, (path, answer.text)
        yield answer.text
        listed = answer.json() if answer.headers["content-type"] == "application/json" else None
        cursor = listed.get("next") if isinstance(listed, dict) else None


async def _references(database: Database) -> list[str]:
    """What can be asked of by its reference; whoever asks for somebody's fork knows whose it is."""
    subjects = await _column(database, events.c.subject)
    return [*(one for one in subjects if MARK not in one), *await _column(database, experiments.c.id)]


async def _column(database: Database, column: Column[Any]) -> list[str]:
    async with database.transaction() as connection:
        return sorted({str(value) for value in (await connection.execute(select(column))).scalars()})


async def _rows(database: Database) -> list[Told]:
    """Every row of every table, but for what was delivered."""
    told: list[Told] = []
    async with database.transaction() as connection:
        for table in metadata.sorted_tables:
            columns = [one for one in table.c if (table.name, one.name) not in _DELIVERED]
            rows = await connection.execute(select(*columns))
            told += [(table.name, _BRANCH_OF_A_FORK.sub("", str(tuple(row)))) for row in rows]
    assert {table for table, _ in told} >= {"deliveries", "events", "event_deliveries", "links", "experiments"}
    return told


async def _printed(database: Database, database_url: str, directory: Path) -> list[Told]:
    """What the commands print, but for what was delivered; a replay under other rules has much to tell."""
    roots = await _column(database, experiments.c.root)
    shown = [["deliveries", "show", one] for one in (await _column(database, deliveries.c.id))[:3]]
    lists = [["deliveries", "list", "--limit", "1000"], ["replay", "--dry-run"]]
    plain = [*lists, *shown, *(["explain", root] for root in [*roots[:3], *roots[-3:], *_OF_FORKS])]
    rules = directory / "rules.yaml"
    rules.write_text(_RULES)
    variables = {"DATABASE_URL": database_url, "RULES": str(rules), "DATA_DIR": str(directory / "data")}
    environment = {**os.environ, **{f"LOOPGAUGE_{name}": value for name, value in variables.items()}}
    as_json = [[*one, "--json"] for one in plain]
    printed = "\n".join(await asyncio.gather(_run(plain, environment), _run(as_json, environment)))
    assert int(re.findall(r"([0-9]+) samples would change", printed)[0]) > 0
    return [("a command", line) for line in printed.splitlines() if not _DELIVERED_LINE.match(line)]


async def _run(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> str:
    """What commands print and log, all run by one interpreter."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMANDS, json.dumps(commands)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


def _around(text: str) -> str:
    """The text about the first mark in it."""
    place = text.lower().index(MARK)
    return text[max(0, place - 150) : place + 60]

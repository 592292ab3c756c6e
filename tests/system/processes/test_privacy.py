"""No person appears in metrics, responses, commands, logs or tables.

There are two exceptions: the bodies and headers of deliveries, which require the admin token, and the names of forks'
branches in tables.
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

from service.lifecycle.containers import is_container
from service.lifecycle.references import Ref
from service.storage import aliases
from service.storage.database import Database
from service.storage.tables import deliveries, events, experiments, metadata
from tests.support.persons import ACCOUNT, MARK
from tests.support.planted import Planted, built, kept
from tests.support.road import Samples, parse_samples
from tests.support.serving import serving
from tests.support.signing import SOURCES
from tests.support.waiting import PATIENCE_SECONDS

_AT_ONCE = 8
# Wait for this many snapshots, so that the last snapshot begins after every delivery was processed.
_SNAPSHOTS = 3
_READ_ALONE = 100
_OF_FORKS = ("github:acme/app!7", "github:acme/app!9", "github:acme/app#45")
_DELIVERED = {("deliveries", "headers"), ("deliveries", "body")}
_DELIVERED_LINE = re.compile(r"\s*\"?(headers|body|body_base64)\b")
Output: TypeAlias = tuple[str, str]
"""The place where a text was found, and the text."""

# The name of a fork's branch contains the name of the fork's owner. Tables may contain it nevertheless, because nothing
# else links a push to its change. Responses must not contain it.
_BRANCH_OF_A_FORK = re.compile(rf"(?<=')branch:{ACCOUNT}/[^@']+@")
_COMMANDS = """
import json, sys
from service.cli import main
for arguments in json.loads(sys.argv[1]):
    main(arguments, standalone_mode=False)
"""
_RULES = """
extends: defaults
teams: {"*": all}
"""


async def test_no_output_and_no_table_except_the_inbox_contains_a_person(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Post deliveries with a planted person, and search all outputs and tables for that person.

    See `tests.support.persons`.
    """
    story, corpus = list(built()), list(kept())
    # `story` contains every kind of GitHub event that the service reads, so make no unreadable variants of the GitHub
    # payloads in the corpus.
    kinds = _each_kind([*story, *(one for one in corpus if one.scheme.provider != "github")])
    sent = [*story, *corpus, *(broken for kind in kinds for broken in kind.unreadable())]
    assert [one.path for one in sent if MARK not in one.body.decode(errors="replace").lower()] == []
    with serving(
        database_url, tmp_path, LOG_LEVEL="debug", SNAPSHOT_INTERVAL="1s", WINDOWS="30d,3650d", **_sources()
    ) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_SECONDS) as client:
            answers = await _send(client, sent)
            figures = await _settled(client)
            client.headers["authorization"] = f"Bearer {service.token}"
            told = [*answers, *await _everything_read(client, database)]
        # The log is complete only after the service has ended.
        service.end(signal.SIGTERM)
        told += [("the log", json.dumps(line)) for line in service.log()]
    told += [*await _rows(database), *await _printed(database, database_url, tmp_path)]
    assert [(where, _around(text)) for where, text in told if MARK in text.lower()] == []
    assert {where for where, _ in told} >= {"the log", "a command", "/metrics", "/deliveries"}
    _assert_that_much_counts(figures, story)


def _assert_that_much_counts(figures: Samples, story: Sequence[Planted]) -> None:
    """Check that deliveries of every source are counted, and that unreadable ones fail."""
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
    """One request for each kind of event of each provider."""
    kinds: dict[tuple[str, str], Planted] = {}
    for one in requests:
        event = next((value for name, value in one.headers.items() if name.endswith(("-event", "-event-type"))), "")
        payload = json.loads(one.body)
        if isinstance(payload, list):
            # A batch of CloudEvents.
            payload = payload[0]
        kind = event or payload.get("webhookEvent") or payload.get("type")
        kinds.setdefault((one.scheme.provider, str(kind)), one)
    return kinds.values()


async def _send(client: httpx.AsyncClient, requests: Sequence[Planted]) -> list[Output]:
    """Send requests concurrently, and return the responses.

    Only `/events` may refuse a request, because it checks events before it stores them.
    """
    told: list[Output] = []
    waiting = iter(requests)

    async def sender() -> None:
        for one in waiting:
            response = await one.send(client)
            assert response.status_code == 202 or one.path == "/events", (one.path, response.text)
            told.append((f"{response.status_code} {one.path}", response.text))

    await asyncio.gather(*(sender() for _ in range(_AT_ONCE)))
    return told


async def _settled(client: httpx.AsyncClient) -> Samples:
    """Wait until every delivery is processed and every experiment is updated.

    Return the metrics a few snapshots later.
    """
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


async def _everything_read(client: httpx.AsyncClient, database: Database) -> list[Output]:
    """Read every path that needs no admin token, and return the responses."""
    # The response about one delivery shows the same as the list, so a limited number of such responses is enough.
    some = (await _column(database, deliveries.c.id))[:_READ_ALONE]
    named = {"delivery": some, "experiment": await _references(database), "source": list(SOURCES)}
    paths = []
    for template, methods in (await client.get("/openapi.json")).json()["paths"].items():
        described = methods.get("get", {"parameters": ()}).get("parameters", ())
        wanted = [one["name"] for one in described if one["in"] == "path"]
        assert set(wanted) <= set(named), f"{template}: add values for its parameters to this test"
        filled = [template.replace(f"{{{name}}}", quote(value, safe="")) for name in wanted for value in named[name]]
        paths += (filled or [template]) if "get" in methods else []
    told: list[Output] = []
    waiting = iter(paths)

    async def reader() -> None:
        for path in waiting:
            told.extend([(path, page) async for page in _pages(client, path)])

    await asyncio.gather(*(reader() for _ in range(_AT_ONCE)))
    assert {path.split("/")[1] for path, _ in told} >= {"metrics", "deliveries", "experiments", "readyz"}
    openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    return [*told, ("/metrics, OpenMetrics", openmetrics.text)]


async def _pages(client: httpx.AsyncClient, path: str) -> AsyncIterator[str]:
    """Read a path, and yield each of its pages."""
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(path, params={"cursor": cursor} if cursor else {})
        # For evidence, which is not an experiment, the response is a 404 that names the experiment.
        # `/sign-in` needs the token in its query.
        known = {200, 404} if path.startswith("/experiments/") else {401} if path == "/sign-in" else {200}
        assert answer.status_code in known, (path, answer.text)
        yield answer.text
        listed = answer.json() if answer.headers["content-type"] == "application/json" else None
        cursor = listed.get("next") if isinstance(listed, dict) else None


async def _references(database: Database) -> list[str]:
    """The references of subjects and experiments, except references of forks, which contain the owner's name."""
    stored = [Ref(one) for one in await _column(database, events.c.subject)]
    async with database.transaction() as connection:
        names = await aliases.read_all(connection)
    subjects = {names.canonical(one) for one in stored if not is_container(one)}
    return [*(one for one in subjects if MARK not in one), *await _column(database, experiments.c.id)]


async def _column(database: Database, column: Column[Any]) -> list[str]:
    async with database.transaction() as connection:
        return sorted({str(value) for value in (await connection.execute(select(column))).scalars()})


async def _rows(database: Database) -> list[Output]:
    """Read every row of every table, except the bodies and headers of deliveries."""
    told: list[Output] = []
    async with database.transaction() as connection:
        for table in metadata.sorted_tables:
            columns = [one for one in table.c if (table.name, one.name) not in _DELIVERED]
            rows = await connection.execute(select(*columns))
            told += [(table.name, _BRANCH_OF_A_FORK.sub("", str(tuple(row)))) for row in rows]
    assert {table for table, _ in told} >= {"deliveries", "events", "event_deliveries", "links", "experiments"}
    return told


async def _printed(database: Database, database_url: str, directory: Path) -> list[Output]:
    """The output of the commands, except the bodies and headers of deliveries."""
    roots = await _column(database, experiments.c.root)
    shown = [["deliveries", "show", one] for one in (await _column(database, deliveries.c.id))[:3]]
    lists = [[name, "list", "--limit", "1000"] for name in ("deliveries", "experiments")]
    lists += [["deliveries", "list", "--ref", root] for root in roots[:3]]
    lists += [["sources"], ["replay", "--dry-run"]]
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
    """Run commands in one interpreter, and return their output and log."""
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
    """The text around the first mention of the planted person."""
    place = text.lower().index(MARK)
    return text[max(0, place - 150) : place + 60]

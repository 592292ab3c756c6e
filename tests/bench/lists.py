"""Measure the lists of experiments and of deliveries, with 1,000 and with 100,000 rows.

For each list, with every filter and in every order, the benchmark requests the first page and the page after the first
500 rows. It reports the slowest request for experiments and the slowest one for deliveries.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import asyncpg
import httpx
import uvloop

from service.app import create_app
from service.settings import load_rules
from service.storage.database import Database
from tests.bench.refreshes import fill
from tests.bench.report import Line
from tests.support.road import settings

_FEW, _MANY = 1_000, 100_000
_ROUNDS = 5
_Taken: TypeAlias = Mapping[tuple[str, str], float]
_MOST_MILLISECONDS = 50.0
_SORTS = ("idea_at", "-idea_at", "concluded_at", "-concluded_at", "last_activity_at", "-last_activity_at")
_OLD = (datetime.now(UTC) - timedelta(days=300)).isoformat()
_OF_EXPERIMENTS: tuple[Mapping[str, str], ...] = (
    {},
    *({"team": team} for team in ("team-7", "unknown", "_none")),
    *({"state": state} for state in ("proposed", "running", "concluded")),
    *({"outcome": outcome} for outcome in ("worked", "undeclared")),
    {"failure_category": "complex"},
    *({name: value} for name in ("overdue", "forgotten") for value in ("true", "false")),
    {"until": _OLD},
    {"since": _OLD},
    {"team": "team-7", "failure_category": "complex"},
    {"team": "team-7", "overdue": "true", "forgotten": "true"},
    {"until": _OLD, "forgotten": "true", "team": "team-7"},
    {"outcome": "failed", "failure_category": "intelligent", "since": _OLD},
    {"ref": "github:acme/app#77"},
)
_OF_DELIVERIES: tuple[Mapping[str, str], ...] = (
    {},
    *({"source": source} for source in ("github", "jira", "unknown")),
    *({"verdict": verdict} for verdict in ("pending", "counted", "ignored", "failed")),
    {"source": "jira", "verdict": "counted"},
    {"since": _OLD},
)
# Each delivery has a compressed body of 3 KB and headers like GitHub's; one in 100 is from another source.
_FILL_DELIVERIES = """
    INSERT INTO deliveries (
        id, source, provider, provider_id, headers, body, body_bytes, received_at, verdict, reason, interpreted_at
    )
    SELECT gen_random_uuid(), CASE WHEN number % 100 = 0 THEN 'jira' ELSE 'github' END, 'github', number,
        jsonb_build_object('content-type', 'application/json', 'x-github-event', 'issues', 'x-github-delivery', number),
        decode(repeat(md5(number::text), 192), 'hex'), 12000, now() - number * interval '315 seconds',
        CASE WHEN number > 50 THEN CASE WHEN hashint4(number) % 20 = 0 THEN 'counted' ELSE 'ignored' END END,
        CASE WHEN number > 50 THEN 'no label `experiment`; labels were bug, docs' END,
        CASE WHEN number > 50 THEN now() - number * interval '315 seconds' END
    FROM generate_series(1, {count}) AS number
"""


async def _fill_deliveries(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE deliveries")
        await connection.execute(_FILL_DELIVERIES.format(count=count))
        await connection.execute("VACUUM ANALYZE deliveries")
    finally:
        await connection.close()


def _queries() -> Iterator[tuple[str, Mapping[str, str]]]:
    for sort in _SORTS:
        for filters in _OF_EXPERIMENTS:
            yield "/experiments", {"sort": sort, **filters}
    for filters in _OF_DELIVERIES:
        yield "/deliveries", filters


async def _taken(url: str) -> _Taken:
    """For each list, by its path and query, the seconds for the slower of the two pages that are requested."""
    database = Database(url)
    app = create_app(settings(), load_rules(settings()), database)
    taken = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60) as client:
        for path, query in _queries():
            first = await _least(client, path, query)
            # Request the largest page, to get the cursor of the page after it.
            answer = await client.get(path, params={**query, "limit": "500"})
            cursor = answer.json()["next"]
            later = await _least(client, path, {**query, "cursor": cursor}) if cursor else 0.0
            taken[path, "&".join(f"{name}={value}" for name, value in query.items())] = max(first, later)
    await database.close()
    return taken


async def _least(client: httpx.AsyncClient, path: str, query: Mapping[str, str]) -> float:
    """The seconds of the fastest of several rounds: other work on the machine disturbed this round least."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        answer = await client.get(path, params=query)
        rounds.append(time.perf_counter() - began)
        assert answer.status_code == httpx.codes.OK, answer.text
    return min(rounds)


def measure(url: str, _directory: Path) -> Iterator[Line]:
    """Measure each list at both sizes, and report the slowest list of each path."""
    small, large = uvloop.run(_measured(url))
    for path in ("/experiments", "/deliveries"):
        slowest = max((one for one in large if one[0] == path), key=lambda one: large[one])
        yield Line(
            what=f"the slowest of {sum(one[0] == path for one in large)} lists at {path}, of {_MANY:,}",
            values=[large[slowest] * 1e3],
            unit="ms",
            most=_MOST_MILLISECONDS,
        )
        yield Line(
            what=f"the same: {slowest[1] or 'without a filter'}",
            values=[large[slowest] * 1e3],
            unit="ms",
            against=f"of {_FEW:,}",
            references=[small[slowest] * 1e3],
        )


async def _measured(url: str) -> tuple[_Taken, _Taken]:
    """Measure the lists with few rows and with many."""
    await fill(url, _FEW, "8 minutes")
    await _fill_deliveries(url, _FEW)
    small = await _taken(url)
    await fill(url, _MANY, "315.36 seconds")
    await _fill_deliveries(url, _MANY)
    return small, await _taken(url)

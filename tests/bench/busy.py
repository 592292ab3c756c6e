"""Measure what one more delivery costs on a subject with 40,000 events, compared with a subject with 100 events.

The cost is the time from the stored delivery until the experiment is up to date, in one process and without pauses.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from service.lifecycle.events import Active, Declared, LifecycleEvent, Proposed, Signalled
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_pending
from service.pipeline.project import project_dirty
from service.storage import inbox, recording
from service.storage.database import Database
from service.storage.recording import InterpretedDelivery
from service.telemetry import Telemetry
from tests.bench.report import Line
from tests.support.builders import Issue, at
from tests.support.road import RULES

_ROUNDS = 25
_BATCH = 250
FEW, MANY = 100, 40_000


def measure(url: str, _directory: Path) -> Iterator[Line]:
    """Measure one delivery on a subject with few events and one on a subject with many events, in each round.

    Args:
        url: the URL of a migrated database without rows.
    """
    few, many = asyncio.run(_measure(url))
    yield Line(
        what=f"one more delivery on a subject with {MANY:,} events",
        values=many,
        unit="ms",
        against=f"on a subject with {FEW} events",
        references=few,
        most=2,
    )


async def _measure(url: str) -> tuple[list[float], list[float]]:
    database = Database(url)
    try:
        await _fill(database, 1, FEW)
        await _fill(database, 2, MANY)
        await _project(database)
        few: list[float] = []
        many: list[float] = []
        for place in range(_ROUNDS):
            few.append(await _milliseconds(database, 1, place))
            many.append(await _milliseconds(database, 2, place))
        return few, many
    finally:
        await database.close()


async def _fill(database: Database, number: int, count: int) -> None:
    """Record the events of an issue whose deliveries, one a minute, repeat its labels and its title."""
    subject, begin = Ref(f"github:acme/app#{number}"), at(2)
    events: list[LifecycleEvent] = [Proposed(subject, begin)]
    for minute in range(count // 4):
        events += _stated(subject, begin + timedelta(minutes=minute), minute)
    for start in range(0, count, _BATCH):
        some = dict.fromkeys(events[start : start + _BATCH], "a rule")
        delivery = InterpretedDelivery(uuid5(NAMESPACE_OID, f"{number} {start}"), begin, some)
        async with database.transaction() as connection:
            await recording.record_deliveries(connection, [delivery])


def _stated(subject: Ref, when: datetime, minute: int) -> list[LifecycleEvent]:
    return [
        Declared(subject, when, "experiment", "true", "label", overheard=True, label="experiment"),
        Declared(subject, when, "title", f"Try {minute % 7}", "item"),
        Signalled(subject, when, "success" if minute % 3 else "failure"),
        Active(subject, when) if minute % 10 == 0 else Declared(subject, when, "team", "search", "derived"),
    ]


async def _project(database: Database) -> None:
    while await project_dirty(database, lambda: at(28)):
        pass


async def _milliseconds(database: Database, number: int, place: int) -> float:
    """The time to process one delivery about an issue, which changes the title of the issue."""
    issue = Issue(number=number, created_at=at(2), title=f"Title {place}")
    delivery = issue.assigned(at(28) + timedelta(minutes=place)).delivery(at(28))
    async with database.transaction() as connection:
        await inbox.store(connection, [delivery])
    began = time.perf_counter()
    await interpret_pending(database, RULES, Telemetry(["github"]), lambda: at(28))
    await _project(database)
    return (time.perf_counter() - began) * 1000

"""Subjects with too many links are set aside, and delay neither other subjects nor the event loop."""

import threading
from collections.abc import Collection, Iterable
from datetime import timedelta
from types import ModuleType
from uuid import NAMESPACE_OID, uuid5

import pytest
from sqlalchemy import text

from service.lifecycle.events import Active, Declared, LifecycleEvent, Proposed
from service.lifecycle.evidence import LinkSet
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.pipeline import linked, surroundings
from service.pipeline import project as projection
from service.pipeline.project import project_dirty
from service.pipeline.surroundings import Surroundings
from service.storage import recording
from service.storage.database import Connection, Database
from service.storage.errors import DatabaseUnavailable
from service.storage.recording import InterpretedDelivery
from tests.support.builders import at
from tests.support.road import all_experiments, api, project

HONEST, LAST = Ref("jira:OK-1"), Ref("jira:ML-29")
DENSE = [Ref(f"jira:ML-{number:02}") for number in range(30)]


def _marked(subject: Ref) -> list[LifecycleEvent]:
    return [Proposed(subject, at(2)), Declared(subject, at(2), "experiment", "true", "label")]


async def _record(database: Database, events: Iterable[LifecycleEvent], links: Iterable[LinkSet] = ()) -> None:
    brought = dict.fromkeys(events, "a rule")
    delivery = InterpretedDelivery(uuid5(NAMESPACE_OID, repr(brought)), at(2), brought, list(links))
    async with database.transaction() as connection:
        await recording.record_deliveries(connection, [delivery])


def _links(evidence: Ref, targets: Collection[Ref]) -> LinkSet:
    return LinkSet(evidence, "issue links", evidence, frozenset(targets), at(2))


async def _record_dense(database: Database) -> None:
    """Record subjects of which each links to all later ones: 435 links."""
    links = [_links(subject, DENSE[number + 1 :]) for number, subject in enumerate(DENSE)]
    await _record(database, [event for subject in DENSE for event in _marked(subject)], links)


async def _set_aside(database: Database) -> dict[str, tuple[int, str]]:
    async with database.transaction() as connection:
        rows = await connection.execute(text("SELECT subject, attempts, error FROM touched"))
        return {row.subject: (row.attempts, row.error) for row in rows}


async def test_dense_links_within_the_limit_give_one_experiment(database: Database) -> None:
    await _record_dense(database)
    await project(database)
    assert set(await all_experiments(database)) == {LAST}


async def test_subjects_with_too_many_links_are_set_aside_together_and_stop_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "MOST_LINKS", 400)
    monkeypatch.setattr(projection, "MOST_LINKS", 400)
    read = _count_readings(monkeypatch)
    await _record_dense(database)
    await _record(database, _marked(HONEST))
    await project(database)
    assert set(await all_experiments(database)) == {HONEST}
    reason = "set aside: more than 400 links connect the subject with others"
    assert await _set_aside(database) == dict.fromkeys(DENSE, (1, reason))
    # The batch, the first of the dense subjects, and the two readings of the other subject.
    assert read == [31, 1, 1, 1]


def _count_readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    readings: list[int] = []
    read = surroundings.read_surroundings

    async def counted(connection: Connection, subjects: Collection[Ref]) -> Surroundings:
        readings.append(len(subjects))
        return await read(connection, subjects)

    monkeypatch.setattr(projection, "read_surroundings", counted)
    return readings


async def test_a_subject_that_is_set_aside_stays_so_when_more_is_said_about_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "MOST_LINKS", 400)
    await _record_dense(database)
    await project(database)
    await _record(database, [Active(DENSE[0], at(3, "00:00:00"))])
    assert await project_dirty(database, lambda: at(2)) == 0
    async with api(database) as client:
        answer = await client.get(f"/experiments/{DENSE[0]}/explain")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "more than 400 links connect the subject with others",
    )


async def test_a_subject_that_was_set_aside_is_projected_once_it_has_few_links(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as limited:
        limited.setattr(linked, "MOST_LINKS", 400)
        await _record_dense(database)
        await project(database)
    while await project_dirty(database, lambda: at(3)):
        pass
    assert set(await all_experiments(database)) == {LAST}
    assert await _set_aside(database) == {}


async def test_evidence_of_an_unmarked_subject_with_much_evidence_is_projected(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "MOST_LINKS", 10)
    hub, change = Ref("jira:NONE-1"), Ref("github:acme/app!7")
    await _record(database, [], [_links(Ref(f"commit:{number:040}"), [hub]) for number in range(100)])
    while await project_dirty(database, lambda: at(2)):
        pass
    await _record(database, [*_marked(HONEST), Active(change, at(5, "00:00:00"))], [_links(change, [hub, HONEST])])
    await project(database)
    assert (await all_experiments(database))[HONEST].last_activity_at == at(5, "00:00:00")


@pytest.mark.parametrize(
    ("place", "bound", "reason"),
    [
        (surroundings, "MOST_EVENTS", "the linked subjects have more than 6 events"),
        (projection, "MOST_EFFORT", "its experiments have more than 6 events together"),
    ],
)
async def test_a_subject_with_too_many_events_is_set_aside_and_stops_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: ModuleType, bound: str, reason: str
) -> None:
    monkeypatch.setattr(place, bound, 6)
    busy = DENSE[0]
    await _record(database, [*_marked(busy), *(Active(busy, at(day, "00:00:00")) for day in range(3, 8))])
    await _record(database, _marked(HONEST))
    await project(database)
    assert set(await all_experiments(database)) == {HONEST}
    assert await _set_aside(database) == {busy: (1, f"set aside: {reason}")}


async def test_a_subject_whose_projection_ends_the_connection_does_so_once_and_stops_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, ended = DENSE[0], []
    project_subjects = projection.project

    async def end_connection(connection: Connection, dirty: Collection[Ref]) -> projection.Projection:
        if poison in dirty:
            ended.append(len(dirty))
            raise DatabaseUnavailable("the connection was lost")
        return await project_subjects(connection, dirty)

    monkeypatch.setattr(projection, "project", end_connection)
    await _record(database, [*_marked(poison), *_marked(HONEST)])
    # A worker that is killed remembers nothing, so each of these attempts is the first one of a worker.
    for _ in range(3):
        try:
            await project_dirty(database, lambda: at(2), each_alone=True)
        except DatabaseUnavailable:
            continue
    assert ended == [1]
    assert set(await all_experiments(database)) == {HONEST}
    assert await _set_aside(database) == {poison: (1, "set aside: its last projection did not end")}


@pytest.mark.parametrize(("days", "in_thread"), [(10, False), (1000, True)])
async def test_a_long_fold_runs_in_a_thread_so_that_the_event_loop_is_not_blocked(
    database: Database, monkeypatch: pytest.MonkeyPatch, days: int, *, in_thread: bool
) -> None:
    threads: set[threading.Thread] = set()
    fold = Surroundings.fold

    def watched(self: Surroundings, root: Ref) -> Experiment:
        threads.add(threading.current_thread())
        return fold(self, root)

    monkeypatch.setattr(Surroundings, "fold", watched)
    daily = [Active(HONEST, at(2, "00:00:00") + timedelta(days=day)) for day in range(days)]
    await _record(database, [*_marked(HONEST), *daily])
    await project(database)
    assert (threading.main_thread() not in threads) == in_thread

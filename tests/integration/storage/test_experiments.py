"""The storage selects the experiments that metrics need, and returns them as they were stored."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.lifecycle.experiment import Experiment, Restart
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.view import View
from service.pipeline.snapshot import sample_values
from service.storage import experiments
from service.storage.database import Database
from tests.support.builders import at, experiment, taken_up, terms

pytestmark = pytest.mark.oldest_postgresql_too
NOW = at(20)
A_WEEK_AGO = at(13)
A_MICROSECOND = timedelta(microseconds=1)
BEFORE = A_WEEK_AGO - A_MICROSECOND


async def _store(database: Database, *stored: Experiment) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE experiments"))
        await experiments.replace(connection, stored, [])


async def _needed(database: Database, *stored: Experiment) -> set[str]:
    """Store experiments, and return the roots of those that are selected for metrics whose widest window is a week."""
    await _store(database, *stored)
    async with database.transaction() as connection:
        ids = await experiments.select_for_metrics(connection, A_WEEK_AGO, NOW)
        found = await experiments.read(connection, ids)
    assert {id_: one.version for id_, one in found.items()} == ids
    return {one.experiment.root for one in found.values()}


def _crowd(*given: Experiment) -> tuple[Experiment, ...]:
    """Add an experiment with an early idea and one with a late conclusion.

    Metrics always need the first and the last experiment of a team, so the given experiments should be neither.
    """
    first = experiment("key:first", idea_at=at(1) - timedelta(days=300), concluded_at=at(1) - timedelta(days=299))
    last = experiment(
        "key:last", idea_at=at(1), concluded_at=BEFORE, shared_at=BEFORE, outcome=Outcome.FAILED, title="The last"
    )
    return (first, last, *given)


async def test_a_stored_experiment_is_read_unchanged(database: Database) -> None:
    full = experiment(
        "key:full",
        idea_at=at(1),
        started_at=at(2),
        first_signal_at=at(3),
        concluded_at=at(4),
        shared_at=at(5),
        shipped_at=at(6),
        risk=Risk.BOLD,
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.COMPLEX,
        restarts=(taken_up(at(7), timedelta(days=2, microseconds=1)), taken_up(at(8), timedelta(0), concluded=False)),
    )
    bare = experiment("key:bare", idea_at=at(1), title="")
    await _store(database, full, bare)
    async with database.transaction() as connection:
        read = await experiments.read(connection, [full.id, bare.id, experiment_id(Ref("key:unknown"))])
        assert {id_: one.experiment for id_, one in read.items()} == {full.id: full, bare.id: bare}
        assert await experiments.read_all(connection) == [bare, full]


async def test_the_version_of_a_row_changes_only_with_its_content(database: Database) -> None:
    one, other = experiment("key:one", idea_at=at(1)), experiment("key:other", idea_at=at(1))
    await _store(database, one, other)
    async with database.transaction() as connection:
        before = await experiments.select_for_metrics(connection, A_WEEK_AGO, NOW)
    async with database.transaction() as connection:
        await experiments.replace(connection, [replace(one, title="Another"), other], [])
    async with database.transaction() as connection:
        after = await experiments.select_for_metrics(connection, A_WEEK_AGO, NOW)
    assert after[one.id] != before[one.id]
    assert after[other.id] == before[other.id]


async def test_a_read_sees_the_changes_of_its_own_transaction(database: Database) -> None:
    one = experiment("key:one", idea_at=at(1))
    async with database.transaction() as connection:
        await experiments.replace(connection, [one], [])
        assert [stored.experiment for stored in (await experiments.read(connection, [one.id])).values()] == [one]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (experiment("key:it", idea_at=at(2)), True),
        (experiment("key:it", idea_at=at(2), concluded_at=at(13) - 2 * A_MICROSECOND), False),
        (experiment("key:it", idea_at=at(2), concluded_at=at(13), outcome=Outcome.ABANDONED), True),
        (experiment("key:it", idea_at=at(14), concluded_at=at(3)), True),
        (experiment("key:it", idea_at=at(1), concluded_at=at(2), shared_at=at(13)), True),
        (experiment("key:it", idea_at=at(1), concluded_at=at(2), shipped_at=at(25)), True),
        (experiment("key:it", idea_at=at(1), concluded_at=at(2), restarts=(taken_up(at(13)),)), True),
        (experiment("key:it", idea_at=at(1), concluded_at=at(2), restarts=(taken_up(at(12)),)), False),
        (experiment("key:it", idea_at=at(1), concluded_at=at(2), last_activity_at=at(14)), False),
    ],
)
async def test_metrics_need_open_experiments_and_those_with_an_instant_in_a_window(
    database: Database, given: Experiment, *, wanted: bool
) -> None:
    assert ("key:it" in await _needed(database, *_crowd(given))) == wanted


async def test_metrics_need_the_first_experiment_the_last_answer_and_the_last_shared_failure_of_each_team(
    database: Database,
) -> None:
    def of(team: str) -> list[Experiment]:
        closed = [
            experiment(f"key:{team}-first", team=team, idea_at=at(1), concluded_at=at(2)),
            experiment(f"key:{team}-shared", team=team, idea_at=at(2), concluded_at=at(3), outcome=Outcome.FAILED),
            experiment(f"key:{team}-between", team=team, idea_at=at(2), concluded_at=at(5)),
            experiment(f"key:{team}-answered", team=team, idea_at=at(2), concluded_at=at(6)),
            experiment(f"key:{team}-given-up", team=team, idea_at=at(2), concluded_at=at(7), outcome=Outcome.ABANDONED),
        ]
        return [_shared(one, at(4)) if one.root.endswith("shared") else one for one in closed]

    ads, none = of("ads"), of("")
    assert await _needed(database, *ads, *none) == {
        f"key:{team}-{which}" for team in ("ads", "") for which in ("first", "shared", "answered")
    }


def _shared(one: Experiment, when: datetime) -> Experiment:
    return experiment(
        one.root,
        team=one.team,
        idea_at=one.idea_at,
        concluded_at=one.concluded_at,
        outcome=one.outcome,
        shared_at=when,
    )


async def test_an_experiment_with_a_future_instant_does_not_hide_the_first_of_its_team(database: Database) -> None:
    ahead = experiment("key:ahead", idea_at=at(1), concluded_at=at(21))
    first = experiment("key:first", idea_at=at(2), concluded_at=at(3))
    later = experiment("key:later", idea_at=at(3), concluded_at=at(4))
    between = experiment("key:between", idea_at=at(3), concluded_at=at(3))
    assert await _needed(database, ahead, first, later, between) == {"key:ahead", "key:first", "key:later"}


async def test_metrics_need_one_earlier_experiment_whose_title_a_new_idea_repeats(database: Database) -> None:
    before = [experiment(f"key:before-{n}", idea_at=at(n), concluded_at=at(9), title="Cache!") for n in (2, 3)]
    assert "key:before-2" not in await _needed(database, *_crowd(*before))
    new = experiment("key:new", idea_at=at(14), title="cache")
    needed = await _needed(database, *_crowd(*before, new))
    assert needed & {"key:before-2", "key:before-3", "key:new"} == {"key:before-2", "key:new"}


async def test_a_title_without_letters_never_counts_as_repeated(database: Database) -> None:
    before = experiment("key:before", idea_at=at(2), concluded_at=at(9), title="…")
    new = experiment("key:new", idea_at=at(14), title="!")
    assert "key:before" not in await _needed(database, *_crowd(before, new))


def _days(first: int, last: int) -> st.SearchStrategy[datetime]:
    return st.integers(first, last).map(lambda days: NOW + timedelta(days=days))


moments = _days(-400, 30)
_BEFORE_ALL_WINDOWS = _days(-400, -91)
_SINCE_THEN = _days(-90, 30)
_LATER_INSTANTS = 5


@st.composite
def _instants(draw: st.DrawFn) -> list[datetime | None]:
    """All instants but the idea: any, or those of an old experiment, of which at most one is in a window or later."""
    if draw(st.booleans()):
        return [draw(st.none() | moments) for _ in range(_LATER_INSTANTS)]
    late = draw(st.integers(0, _LATER_INSTANTS))
    return [draw(_SINCE_THEN if place == late else _BEFORE_ALL_WINDOWS) for place in range(_LATER_INSTANTS)]


@st.composite
def portfolios(draw: st.DrawFn) -> list[Experiment]:
    """Old and new experiments of several teams. Some have the same title, and some have instants in the future."""
    made = []
    for number in range(draw(st.integers(1, 25))):
        started, signalled, concluded, shared, shipped = draw(_instants())
        outcome = draw(st.sampled_from(Outcome)) if concluded else None
        restarts = draw(st.lists(st.builds(Restart, moments, st.booleans(), st.timedeltas(timedelta(), timedelta(90)))))
        made.append(
            experiment(
                f"key:{number}",
                idea_at=draw(st.one_of(moments, _BEFORE_ALL_WINDOWS)),
                team=draw(st.sampled_from(["ads", "search", "web", ""])),
                risk=draw(st.sampled_from([None, *Risk])),
                started_at=started,
                first_signal_at=signalled,
                concluded_at=concluded,
                outcome=outcome,
                failure_category=FailureCategory.UNCLASSIFIED if outcome is Outcome.FAILED else None,
                shared_at=shared,
                shipped_at=shipped,
                last_activity_at=draw(moments),
                title=draw(st.sampled_from(["", "Cache", "cache!", "Rank", f"Alone {number}"])),
                restarts=tuple(sorted(restarts)) if draw(st.booleans()) else (),
            )
        )
    return made


def _figures(of: Iterable[Experiment]) -> dict[str, float]:
    return sample_values(View.of(of, terms("7d", "90d", min_sample=1, max_teams=2), NOW))


@settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(portfolios())
async def test_the_experiments_that_metrics_need_give_the_same_values_as_all_experiments(
    database: Database, portfolio: list[Experiment]
) -> None:
    await _store(database, *portfolio)
    async with database.transaction() as connection:
        needed = await experiments.read(
            connection, await experiments.select_for_metrics(connection, NOW - timedelta(90), NOW)
        )
    assert _figures(one.experiment for one in needed.values()) == _figures(portfolio)

"""A scorecard is compiled from the stored experiments on which its values for two consecutive windows depend."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.lifecycle.errors import UnknownTeam
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.terms import Window
from service.metrics.view import ORGANISATION, View
from service.queries.history import view_as_of
from service.queries.scorecard import Scorecards
from service.scorecard.compiling import compile_scorecard
from service.scorecard.rows import Rows
from service.storage.database import Database
from tests.support.builders import at, experiment, terms
from tests.support.drawn import portfolios
from tests.support.road import store_experiments

TERMS = terms("90d", min_sample=1, max_teams=2, forgotten_after=timedelta(days=3))
WEEK = Window("7d", timedelta(days=7))


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def scorecards(database: Database, clock: Clock, kept: timedelta = timedelta(0)) -> Scorecards:
    return Scorecards(database, TERMS, clock, kept)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(portfolios(), st.lists(st.sampled_from([1, 2, 7, 20]), min_size=1, max_size=4), st.integers(0, 600))
async def test_a_scorecard_equals_one_compiled_from_all_experiments_whatever_windows_were_requested_before(
    database: Database, known: list[Experiment], days: list[int], hours: int
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE experiments, exclusions"))
    await store_experiments(database, *known)
    now = at(14) + timedelta(hours=hours)
    asked = scorecards(database, Clock(now))
    for length in days:
        window = Window(f"{length}d", timedelta(days=length))
        view = View.of(known, TERMS, now).with_windows(window)
        today, before = Rows(view), Rows(view_as_of(view, now - window.length, view.own_rows))
        for team in (*view.teams, ORGANISATION):
            assert await asked.scorecard(team, window) == compile_scorecard(team, today, before)


async def test_a_failure_shared_before_both_windows_is_the_last_one_until_another_failure_is_shared(
    database: Database,
) -> None:
    long_ago, lately = (
        experiment(
            f"key:{day}",
            idea_at=at(day),
            concluded_at=at(day + 1),
            shared_at=at(day + 2),
            outcome=Outcome.FAILED,
            failure_category=FailureCategory.BASIC,
        )
        for day in (4, 20)
    )
    # For each team, the query of a scorecard always selects the experiment with the earliest idea. Store an earlier one
    # than `long_ago`, so that `long_ago` is not selected for this reason.
    await store_experiments(database, experiment("key:1", idea_at=at(1), concluded_at=at(2)), long_ago, lately)
    shared = (await scorecards(database, Clock(at(24))).scorecard("_org", WEEK)).sharing.last_failure_shared
    assert (shared.value, shared.previous.value) == (at(22), at(6))


async def test_rows_are_cached_for_their_lifetime_and_then_computed_anew(database: Database) -> None:
    clock = Clock(at(10))
    asked = scorecards(database, clock, timedelta(seconds=5))
    before = await asked.scorecard("_org", WEEK)
    await store_experiments(database, experiment(idea_at=at(9)))
    clock.now += timedelta(seconds=4)
    assert await asked.scorecard("_org", WEEK) == before
    clock.now += timedelta(seconds=1)
    after = await asked.scorecard("_org", WEEK)
    assert (before.loops.open.value, after.loops.open.value) == (0, 1)
    assert after.taken_at == clock.now


async def test_rows_that_take_long_to_compute_are_cached_for_twice_that_time(database: Database) -> None:
    moments = [at(10, f"09:00:{second:02}") for second in (0, 0, 4, 11, 12, 12, 12, 12)]
    told = iter(moments)
    asked = Scorecards(database, TERMS, lambda: next(told), timedelta(0))
    first = await asked.scorecard("_org", WEEK)
    assert await asked.scorecard("_org", WEEK) == first
    assert (await asked.scorecard("_org", WEEK)).taken_at == moments[-1]


@pytest.mark.parametrize("named", ["search", " Search ", "SEARCH"])
async def test_a_team_is_found_without_regard_to_case(database: Database, named: str) -> None:
    await store_experiments(database, experiment(idea_at=at(9), team="search"))
    assert (await scorecards(database, Clock(at(10))).scorecard(named, WEEK)).team == "search"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("serch", "no experiment belongs to the team serch; did you mean search?"),
        ("billing", "no experiment belongs to the team billing; teams are _other, ads, search"),
        ("_none", "no experiment belongs to the team _none; teams are _other, ads, search"),
        ("video", "the team video has no row of its own, because of LOOPGAUGE_MAX_TEAMS=2; ask for _other"),
    ],
)
async def test_an_unknown_team_is_reported_with_the_known_teams(database: Database, named: str, told: str) -> None:
    teams = ("search", "ads", "video")
    await store_experiments(
        database, *(experiment(f"key:{team}", idea_at=at(1 + day), team=team) for day, team in enumerate(teams))
    )
    with pytest.raises(UnknownTeam) as refused:
        await scorecards(database, Clock(at(10))).scorecard(named, WEEK)
    assert str(refused.value) == told


async def test_experiments_without_a_team_and_of_other_teams_have_scorecards_too(database: Database) -> None:
    teams = ("search", "ads", "video", "")
    await store_experiments(
        database, *(experiment(f"key:{team}", idea_at=at(1 + day), team=team) for day, team in enumerate(teams))
    )
    asked = scorecards(database, Clock(at(10)))
    assert (await asked.scorecard("_org", WEEK)).teams == ("_none", "_other", "ads", "search")
    for row in ("_none", "_other"):
        assert (await asked.scorecard(row, WEEK)).loops.open.value == 1


async def test_without_experiments_every_team_is_unknown(database: Database) -> None:
    with pytest.raises(UnknownTeam, match="there are no experiments yet"):
        await scorecards(database, Clock(at(10))).scorecard("search", WEEK)

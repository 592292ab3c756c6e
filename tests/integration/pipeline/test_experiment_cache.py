"""The experiment cache returns the same view as a read of all experiments, while experiments change and time passes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.lifecycle.exclusions import UNMARKED, Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.metrics.cohort import MeasuredExperiment
from service.metrics.view import View
from service.pipeline.snapshot import ExperimentCache, sample_values
from service.storage import exclusions, experiments
from service.storage.database import Connection, Database
from tests.support.builders import at, experiment, terms
from tests.support.drawn import experiments as any_experiments

TERMS = terms("2d", "7d", forgotten_after=timedelta(days=3), min_sample=1, max_teams=2)
BEGINNING = at(8)
AGES_AGO = BEGINNING - timedelta(days=10_000)
A_DAY, A_MICROSECOND = timedelta(days=1), timedelta(microseconds=1)

# Use few different moments, so that many instants lie on the edge of a window or just beside it.
_BITS = st.sampled_from([0, 0, 0, -1, 1]).map(lambda ticks: ticks * A_MICROSECOND)
_INSTANTS = st.builds(lambda days, bit: at(1) + days * A_DAY + bit, st.integers(0, 12), _BITS)
_ROOTS = st.integers(1, 16).map(lambda number: Ref(f"key:{number}"))
_ANY = _ROOTS.flatmap(lambda root: any_experiments(root, _INSTANTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The changes between one snapshot and the next.

    Attributes:
        later: how much time passes.
        rewritten: new and changed experiments.
        gone: subjects that are no longer experiments, and are not excluded either.
        unmarked: subjects whose mark as an experiment is withdrawn, with the time of the withdrawal.
    """

    later: timedelta = timedelta(0)
    rewritten: tuple[Experiment, ...] = ()
    gone: frozenset[Ref] = frozenset()
    unmarked: dict[Ref, datetime] = field(default_factory=dict)


_STEPS = st.builds(
    Step,
    later=st.builds(lambda days, bit: max(timedelta(0), days * A_DAY + bit), st.sampled_from([0, 1, 1, 5]), _BITS),
    rewritten=st.lists(_ANY, max_size=2).map(tuple),
    gone=st.frozensets(_ROOTS, max_size=1),
    unmarked=st.dictionaries(_ROOTS, _INSTANTS, max_size=1),
)
_BEFORE = st.builds(Step, rewritten=st.lists(_ANY, min_size=8, max_size=16).map(tuple))


async def _take(database: Database, step: Step) -> None:
    """Store the result of a step.

    An experiment that the step rewrites several times is stored once, in its last state. An experiment that the step
    also removes is not stored.
    """
    left = step.gone | step.unmarked.keys()
    known = {one.root: one for one in step.rewritten if one.root not in left}
    async with database.transaction() as connection:
        await experiments.replace(connection, known.values(), left)
        unmarked = {root: Exclusion(UNMARKED, since) for root, since in step.unmarked.items()}
        await exclusions.replace(connection, unmarked, [*known, *(step.gone - unmarked.keys())])


async def _everything(connection: Connection) -> View:
    return View.of(
        await experiments.read_all(connection), TERMS, BEGINNING, await exclusions.list_since(connection, AGES_AGO)
    )


def _remembered(remembered: Iterable[MeasuredExperiment]) -> list[Experiment]:
    return sorted((measured.experiment for measured in remembered), key=lambda one: one.root)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_BEFORE, st.lists(_STEPS, min_size=3, max_size=12), st.sampled_from([timedelta(0), timedelta(0), A_DAY]))
async def test_after_each_step_a_cache_gives_the_same_samples_as_reading_everything(
    database: Database, before: Step, steps: list[Step], reading: timedelta
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE experiments, exclusions"))
    cache, now = ExperimentCache(), BEGINNING
    for step in (before, *steps):
        await _take(database, step)
        now += step.later
        async with database.read_transaction() as connection:
            view = await cache.view(connection, TERMS, now)
            fresh = await ExperimentCache().view(connection, TERMS, now)
            everything = await _everything(connection)
        # `reading` is the duration of the read: the samples are as of its end, immediately or a day after `now`.
        assert sample_values(view.at(now + reading)) == sample_values(everything.at(now + reading))
        assert _remembered(view.experiments) == _remembered(fresh.experiments)


async def test_an_unchanged_experiment_is_not_read_again(database: Database) -> None:
    same, other = experiment("key:same", idea_at=at(2)), experiment("key:other", idea_at=at(2))
    cache = ExperimentCache()
    first = await _experiments(database, cache, Step(rewritten=(same, other)))
    second = await _experiments(database, cache, Step(rewritten=(same, replace(other, title="Ask less"))))
    assert second["key:same"] is first["key:same"]
    assert second["key:other"] is not first["key:other"]
    assert second["key:other"].experiment.title == "Ask less"


async def test_an_experiment_older_than_every_window_is_evicted(database: Database) -> None:
    # Metrics always need the first and the last experiment of a team, so only the one between them may be evicted.
    first, between, last = (
        experiment(f"key:{day}", idea_at=at(day), concluded_at=at(day, "10:00:00"), title=f"Of day {day}")
        for day in (1, 3, 7)
    )
    cache = ExperimentCache()
    assert (await _experiments(database, cache, Step(rewritten=(first, between, last)))).keys() == {
        "key:1",
        "key:3",
        "key:7",
    }
    assert (await _experiments(database, cache, Step(), at(10, "10:00:00"))).keys() == {"key:1", "key:3", "key:7"}
    just_after = at(10, "10:00:00") + A_MICROSECOND
    assert (await _experiments(database, cache, Step(), just_after)).keys() == {"key:1", "key:7"}


async def _experiments(
    database: Database, cache: ExperimentCache, step: Step, now: datetime = BEGINNING
) -> dict[str, MeasuredExperiment]:
    """The experiments of a snapshot after a step, by root."""
    await _take(database, step)
    async with database.read_transaction() as connection:
        view = await cache.view(connection, TERMS, now)
    return {measured.experiment.root: measured for measured in view.experiments}

"""List and look up the stored experiments, with their status at a given time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from service.lifecycle.errors import AmbiguousReference, UnknownSubject
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.stages import Stage, durations, is_in_future
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.lifecycle.teams import fold_team
from service.metrics.terms import Terms
from service.metrics.view import NO_TEAM
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.queries.subjects import advise, experiment_named, find_in, unknown_id
from service.storage import experiments, listing
from service.storage.database import Connection, Database
from service.storage.listing import AgeFilter, Filters, Sort, StateFilter

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ExperimentStatus:
    """An experiment and its status at one moment.

    Attributes:
        overdue: whether the metrics count the experiment as open and older than its team's threshold.
        forgotten: whether the metrics count the experiment as open and without activity for too long.
        threshold: how long an experiment of the team may take before it is overdue.
        age: the time since the idea; None if the experiment is concluded or the idea lies in the future.
        stages: the duration of each stage whose duration is known.
    """

    experiment: Experiment
    overdue: bool
    forgotten: bool
    threshold: timedelta
    age: timedelta | None
    stages: Mapping[Stage, timedelta]


def status_of(experiment: Experiment, terms: Terms, now: datetime) -> ExperimentStatus:
    """The status of an experiment as of `now`."""
    # No metric counts an experiment with an instant in the future.
    present = not is_in_future(experiment, now)
    waiting = experiment.concluded_at is None and experiment.idea_at <= now
    return ExperimentStatus(
        experiment,
        overdue=present and terms.is_overdue(experiment, now),
        forgotten=present and terms.is_forgotten(experiment, now),
        threshold=terms.threshold(experiment.team),
        age=now - experiment.idea_at if waiting else None,
        stages=durations(experiment),
    )


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """The conditions that listed experiments must meet. None means no condition.

    Attributes:
        ref: the id of an experiment, or the reference, the address or a short form of the experiment or its evidence.
        team: the team's name, in upper or lower case; `_none` for experiments without a team.
        since: the earliest time of the idea, inclusive.
        until: the latest time of the idea, exclusive.
    """

    ref: str | None = None
    team: str | None = None
    state: StateFilter | None = None
    outcome: Outcome | None = None
    failure_category: FailureCategory | None = None
    overdue: bool | None = None
    forgotten: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_experiments(
    database: Database,
    asked: ExperimentFilter,
    terms: Terms,
    now: datetime,
    *,
    sort: Sort,
    cursor: str | None,
    limit: int,
) -> tuple[list[ExperimentStatus], str | None]:
    """List one page of experiments as of `now`, and return it with the cursor of the next page (None after the last).

    Raises:
        BadReference: `asked.ref` has none of the accepted forms.
        AmbiguousReference: `asked.ref` means stored subjects of several providers.
        InvalidCursor: the cursor does not come from an earlier page of the same list.
        DatabaseUnavailable: the experiments cannot be read.
    """
    async with database.read_transaction() as connection:
        filters = await _filters(connection, asked, terms, now)
        found, following = await listing.read_page(
            connection, filters, now, sort=sort, filter_text=repr(asked), cursor=cursor, limit=limit
        )
    return [status_of(experiment, terms, now) for experiment in found], following


async def _filters(connection: Connection, asked: ExperimentFilter, terms: Terms, now: datetime) -> Filters:
    ids, roots = await _named(connection, asked.ref) if asked.ref is not None else (None, None)
    return Filters(
        ids,
        roots,
        _team(asked.team),
        asked.state,
        asked.outcome,
        asked.failure_category,
        asked.since,
        asked.until,
        tuple(_late(asked, terms, now)),
    )


async def _named(connection: Connection, ref: str) -> tuple[list[UUID] | None, frozenset[Ref] | None]:
    """The experiment's id if `ref` is an id; otherwise the subjects that may be its root.

    These are the subjects that `ref` names and the subjects for which they are evidence.
    """
    if (experiment := experiment_named(ref)) is not None:
        return [experiment], None
    subjects = await _subjects_named(connection, ref)
    if not subjects:
        return None, frozenset()
    surroundings = await read_surroundings(connection, subjects)
    canonical = frozenset(map(surroundings.canonical, subjects))
    return None, canonical.union(*map(surroundings.graph.ancestors, canonical))


async def _subjects_named(connection: Connection, ref: str) -> list[Ref]:
    """The subject that `ref` names. If it has this name on several sites, or had it in turn, each of the subjects."""
    try:
        return [await find_in(connection, ref)]
    except UnknownSubject:
        return []
    except AmbiguousReference as error:
        subjects = [Ref(candidate.reference) for candidate in error.candidates]
        if len({subject.partition(":")[0] for subject in subjects}) > 1:
            raise
        return subjects


def _team(team: str | None) -> str | None:
    return "" if team == NO_TEAM else fold_team(team) if team is not None else None


def _late(asked: ExperimentFilter, terms: Terms, now: datetime) -> list[AgeFilter]:
    late: list[AgeFilter] = []
    if asked.overdue is not None:
        due = {team: now - length for team, length in terms.thresholds.items()}
        late.append(AgeFilter("idea_at", now - terms.threshold(""), due, asked.overdue))
    if asked.forgotten is not None:
        # An experiment without activity for exactly `forgotten_after` is forgotten. Add one tick, because the filter
        # matches only times before the cut-off.
        late.append(AgeFilter("last_activity_at", now - terms.forgotten_after + _TICK, {}, asked.forgotten))
    return late


async def find_experiment(database: Database, named: str, terms: Terms, now: datetime) -> ExperimentStatus:
    """Look up one experiment as of `now`.

    Args:
        named: the experiment's id, an old or new name of its root, or its address or a short form of its name.

    Raises:
        UnknownSubject: there is no such experiment; the message suggests what to try next.
        AmbiguousReference: `named` means several stored subjects.
        BadReference: `named` has none of the accepted forms.
        DatabaseUnavailable: the experiment cannot be read.
    """
    async with database.read_transaction() as connection:
        if (experiment := experiment_named(named)) is not None:
            found = await _read(connection, experiment)
            absence = unknown_id(named)
        else:
            subject = await find_in(connection, named)
            surroundings = await read_surroundings(connection, [subject])
            found = await _read(connection, experiment_id(surroundings.canonical(subject)))
            absence = "" if found else await explain_absence(connection, subject, surroundings)
    if found is None:
        raise UnknownSubject(absence)
    return status_of(found, terms, now)


async def _read(connection: Connection, experiment: UUID) -> Experiment | None:
    stored = (await experiments.read(connection, [experiment])).get(experiment)
    return stored.experiment if stored else None


async def explain_absence(connection: Connection, named: Ref, surroundings: Surroundings) -> str:
    """Explain why there is no experiment with this name, and suggest what to try next."""
    subject = surroundings.canonical(named)
    roots = sorted(surroundings.graph.ancestors(subject) & surroundings.roots)
    if subject in surroundings.roots:
        return f"{subject} is being processed; try again in a moment"
    if roots:
        return f"{subject} is not an experiment itself, but evidence for {', '.join(roots)}: ask for that experiment"
    if subject in surroundings.events:
        return (
            f"{subject} is not an experiment now: GET /experiments/{named}/explain says why; "
            "a label or a CloudEvent to POST /events makes it one"
        )
    return await advise(connection, f"nothing is stored about {named}", [subject])

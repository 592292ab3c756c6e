"""Look up: experiments as they were folded last, and how they stand now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from service.lifecycle.errors import UnknownSubject
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref, experiment_id, parse_reference
from service.lifecycle.stages import Stage, durations, is_in_future
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.metrics.terms import Terms
from service.metrics.view import NO_TEAM
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.storage import experiments, listing
from service.storage.database import Connection, Database
from service.storage.listing import AgeFilter, Filters, Sort

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ExperimentStatus:
    """An experiment, and how it stands at one moment.

    Attributes:
        overdue: whether it is open and older than its team's threshold, as figures have it.
        forgotten: whether it is open and has been without activity for too long, as figures have it.
        threshold: how long a loop of its team may take.
        age: the time since the idea; None where it is concluded, or its idea lies ahead.
        stages: how long each stage took that is known.
    """

    experiment: Experiment
    overdue: bool
    forgotten: bool
    threshold: timedelta
    age: timedelta | None
    stages: Mapping[Stage, timedelta]


def status_of(experiment: Experiment, terms: Terms, now: datetime) -> ExperimentStatus:
    """How an experiment stands as of `now`."""
    # What lies ahead is in no figure yet.
    present = not is_in_future(experiment, now)
    waits = experiment.concluded_at is None and experiment.idea_at <= now
    return ExperimentStatus(
        experiment,
        overdue=present and terms.is_overdue(experiment, now),
        forgotten=present and terms.is_forgotten(experiment, now),
        threshold=terms.threshold(experiment.team),
        age=now - experiment.idea_at if waits else None,
        stages=durations(experiment),
    )


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """Which experiments somebody wants to see; what is None does not matter.

    Attributes:
        ref: an id, or any name of an experiment or of evidence for it.
        team: by its name in any case; `_none` for experiments without one.
        since: an idea then or later.
        until: an idea before.
    """

    ref: str | None = None
    team: str | None = None
    state: State | None = None
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
    """Experiments in order as of `now`, and the cursor of the next page or None.

    Raises:
        BadReference: `ref` is neither an id nor a reference.
        InvalidCursor: the cursor was not given out by an earlier page of the same list.
        DatabaseUnavailable: they cannot be read.
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
    """The id, or the possible roots of what has this name: the subject itself, and all that it serves."""
    try:
        return [UUID(ref)], None
    except ValueError:
        subject = parse_reference(ref)
    around = await read_surroundings(connection, [subject])
    newest = around.newest(subject)
    return None, around.graph.ancestors(newest) | {newest}


def _team(team: str | None) -> str | None:
    return "" if team == NO_TEAM else team.strip().lower() if team is not None else None


def _late(asked: ExperimentFilter, terms: Terms, now: datetime) -> list[AgeFilter]:
    late: list[AgeFilter] = []
    if asked.overdue is not None:
        due = {team: now - length for team, length in terms.thresholds.items()}
        late.append(AgeFilter("idea_at", now - terms.threshold(""), due, asked.overdue))
    if asked.forgotten is not None:
        # Forgotten is what has been quiet for exactly as long already.
        late.append(AgeFilter("last_activity_at", now - terms.forgotten_after + _TICK, {}, asked.forgotten))
    return late


async def find_experiment(database: Database, named: str, terms: Terms, now: datetime) -> ExperimentStatus:
    """The experiment with this id, or with this root by any of its names, as of `now`.

    Raises:
        UnknownSubject: there is none; the message says what to try next.
        BadReference: it is neither an id nor a reference.
        DatabaseUnavailable: it cannot be read.
    """
    async with database.read_transaction() as connection:
        try:
            experiment, around = UUID(named), None
        except ValueError:
            subject = parse_reference(named)
            around = await read_surroundings(connection, [subject])
            experiment = experiment_id(around.newest(subject))
        stored = (await experiments.read(connection, [experiment])).get(experiment)
    if stored is None:
        raise UnknownSubject(explain_absence(named, around))
    return status_of(stored.experiment, terms, now)


def explain_absence(named: str, around: Surroundings | None) -> str:
    """Why what is named is no experiment, and what to try next; without surroundings, it is an id."""
    if around is None:
        return f"there is no experiment {named}; one that was renamed has another id: look it up by its reference"
    newest = around.newest(parse_reference(named))
    served = sorted(around.graph.ancestors(newest) & around.roots)
    if newest in around.roots:
        return f"{newest} is about to be folded; try again in a moment"
    if served:
        return f"{newest} is no experiment of its own, but evidence for {_listed(served)}: ask for that"
    if newest in around.heard:
        return (
            f"{newest} is known, and is no experiment now: GET /experiments/{named}/explain says why; "
            "a label or a CloudEvent to POST /events makes it one"
        )
    return (
        f"nothing is known of {named}: deliveries are interpreted within moments, "
        "and `loopgauge deliveries list` or GET /deliveries tells what became of each"
    )


def _listed(roots: Sequence[Ref]) -> str:
    return ", ".join(roots)

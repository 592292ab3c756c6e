"""The table `experiments`: experiments as last projected."""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import Field, dataclass, fields
from datetime import datetime, timedelta
from enum import EnumType
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import delete, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.experiment import Experiment, Restart
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory
from service.storage.database import Connection, driver_of, is_exclusive
from service.storage.tables import LATEST_INSTANT, WANTED_UNTIL, among, experiments

# The columns that are named like a field of `Experiment`. The field `restarts` is stored in the column `again`.
_FIELDS = tuple(field.name for field in fields(Experiment) if field.name != "restarts")
_COLUMNS = (*_FIELDS, "again", "title_key", "again_at")
_PREFETCH = 5000


@dataclass(frozen=True, slots=True)
class StoredExperiment:
    """An experiment as it is stored.

    Attributes:
        version: the `xmin` of the experiment's row, which changes with each write.
    """

    experiment: Experiment
    version: int


_LOCK_ROOTS = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")


async def lock_roots(connection: Connection, roots: Iterable[Ref]) -> None:
    """Lock roots, in the order of their keys, until the transaction ends.

    Projections of the same root therefore run one after the other, and the last one reads everything that the others
    committed. A dry run, whose connection is exclusive, takes no locks.
    """
    if is_exclusive(connection):
        return
    keys = sorted(int.from_bytes(experiment_id(root).bytes[:8], "big", signed=True) for root in roots)
    await connection.execute(_LOCK_ROOTS, {"keys": keys})


async def select_roots(connection: Connection, subjects: Collection[Ref]) -> set[Ref]:
    """Select the subjects that are roots of stored experiments."""
    roots = await connection.scalars(select(experiments.c.root).where(among(experiments.c.root, subjects)))
    return {Ref(root) for root in roots}


async def failure_categories(connection: Connection, roots: Collection[Ref]) -> dict[Ref, FailureCategory]:
    """Read the failure category of each root whose stored experiment failed."""
    if not roots:
        return {}
    rows = await connection.execute(
        select(experiments.c.root, experiments.c.failure_category).where(
            among(experiments.c.root, roots), experiments.c.failure_category.is_not(None)
        )
    )
    return {Ref(row.root): FailureCategory(row.failure_category) for row in rows}


async def root_of(connection: Connection, experiment: UUID) -> Ref | None:
    """Read the root of the experiment with this id, or return None if there is no such experiment."""
    root = await connection.scalar(select(experiments.c.root).where(experiments.c.id == experiment))
    return Ref(root) if root is not None else None


async def replace(connection: Connection, current: Iterable[Experiment], obsolete: Collection[Ref]) -> None:
    """Store the experiments in `current`, and delete the experiments whose root is in `obsolete`."""
    if obsolete:
        await connection.execute(delete(experiments).where(among(experiments.c.root, obsolete)))
    rows = [_row(experiment) for experiment in sorted(current, key=lambda experiment: experiment.root)]
    if rows:
        statement = insert(experiments)
        updated = {name: statement.excluded[name] for name in _COLUMNS}
        # Do not write unchanged rows: their `xmin` stays the same, so the next snapshot of the metrics does not read
        # them again.
        is_changed = or_(*(experiments.c[name].is_distinct_from(value) for name, value in updated.items()))
        await connection.execute(
            statement.on_conflict_do_update(index_elements=[experiments.c.id], set_=updated, where=is_changed), rows
        )


def _row(experiment: Experiment) -> dict[str, object]:
    again = [[restart.at.isoformat(), restart.concluded, restart.quiet_seconds] for restart in experiment.restarts]
    return {
        **{name: getattr(experiment, name) for name in _FIELDS},
        "id": experiment.id,
        "title_key": experiment.title_key,
        "again": again or None,
        "again_at": max((restart.at for restart in experiment.restarts), default=None),
    }


# The columns of an experiment, in the order of the fields of `Experiment`.
_SELECTED = ", ".join("again::text" if field.name == "restarts" else field.name for field in fields(Experiment))
_READ_ALL = text(f"SELECT {_SELECTED} FROM experiments ORDER BY root")  # noqa: S608 - constants


async def read_all(connection: Connection) -> list[Experiment]:
    """Read all experiments, in the order of their roots."""
    return [_experiment(row) for row in await connection.execute(_READ_ALL)]


# `titles` finds the titles that were used before $1 (`since`) and again at $1 or later. For each of them, the query
# selects one experiment that was concluded before $1, so that the metrics see that a later experiment repeats the idea.
# One is enough. Any other earlier experiment of the title either was concluded before $1 too, and then changes no
# metric, or is selected by another part of the query.
_SELECT_FOR_METRICS = f"""
    WITH RECURSIVE teams(team) AS (
        (SELECT team FROM experiments ORDER BY team LIMIT 1)
        UNION ALL
        SELECT (SELECT later.team FROM experiments AS later WHERE later.team > teams.team ORDER BY later.team LIMIT 1)
        FROM teams WHERE teams.team IS NOT NULL
    ), titles(title_key) AS (
        SELECT title_key FROM experiments WHERE title_key IS NOT NULL
        GROUP BY title_key HAVING min(idea_at) < $1 AND max(idea_at) >= $1
    )
    SELECT id, xmin AS version FROM experiments WHERE {WANTED_UNTIL} >= $1
    UNION ALL
    SELECT one.* FROM teams CROSS JOIN LATERAL (
        (
            SELECT found.id, found.xmin FROM experiments AS found
            WHERE found.team = teams.team AND {LATEST_INSTANT} <= $2
            ORDER BY found.idea_at LIMIT 1
        ) UNION ALL (
            SELECT found.id, found.xmin FROM experiments AS found
            WHERE found.team = teams.team AND found.outcome <> 'abandoned' AND {LATEST_INSTANT} <= $2
            ORDER BY found.concluded_at DESC LIMIT 1
        ) UNION ALL (
            SELECT found.id, found.xmin FROM experiments AS found
            WHERE found.team = teams.team AND found.outcome = 'failed' AND found.shared_at IS NOT NULL
            AND {LATEST_INSTANT} <= $2
            ORDER BY found.shared_at DESC LIMIT 1
        )
    ) AS one
    UNION ALL
    SELECT one.* FROM titles CROSS JOIN LATERAL (
        SELECT found.id, found.xmin FROM experiments AS found
        WHERE found.title_key = titles.title_key AND found.idea_at < $1 AND {WANTED_UNTIL} < $1
        ORDER BY found.idea_at LIMIT 1
    ) AS one
    """  # noqa: S608 - constants


async def select_for_metrics(connection: Connection, since: datetime, now: datetime) -> dict[UUID, int]:
    """Select the experiments that the metrics as of `now` depend on, and return their versions by id.

    These are:

    - all experiments that are open, or have an instant or a restart at `since` or later;
    - for each team, three of the experiments without an instant in the future: the one with the earliest idea, the one
      with the latest conclusion other than *abandoned*, and the failed one that was shared last;
    - for each title of an experiment whose idea is at `since` or later, one experiment of the same title that was
      concluded before `since`.

    Args:
        since: the beginning of the widest window.
    """
    rows = await (await driver_of(connection)).fetch(_SELECT_FOR_METRICS, since, now)
    return dict(map(tuple, rows))


# Metrics iterate over experiments by team and time of conclusion. The iteration is faster if experiments are read in
# that order, because neighbours are then close together in memory.
_READ = f"SELECT id, xmin, {_SELECTED} FROM experiments WHERE id = ANY($1) ORDER BY team, concluded_at"  # noqa: S608


async def read(connection: Connection, ids: Collection[UUID]) -> dict[UUID, StoredExperiment]:
    """Read the experiments with these ids. Ids that do not exist are ignored."""
    driver = await driver_of(connection)
    return {
        id_: StoredExperiment(_experiment(values), version)
        async for id_, version, *values in driver.cursor(_READ, list(ids), prefetch=_PREFETCH)
    }


_TEAMS = f"""
    WITH RECURSIVE teams(team) AS (
        (SELECT team FROM experiments ORDER BY team LIMIT 1)
        UNION ALL
        SELECT (SELECT later.team FROM experiments AS later WHERE later.team > teams.team ORDER BY later.team LIMIT 1)
        FROM teams WHERE teams.team IS NOT NULL
    )
    SELECT teams.team FROM teams WHERE EXISTS (
        SELECT FROM experiments AS found WHERE found.team = teams.team AND {LATEST_INSTANT} <= $1
    )
    """  # noqa: S608 - constants


async def list_teams(connection: Connection, now: datetime) -> list[str]:
    """List the teams that have an experiment without an instant in the future. An empty name means no team."""
    return [row["team"] for row in await (await driver_of(connection)).fetch(_TEAMS, now)]


_COUNT_LOOPS = f"""
    SELECT team, count(*) AS loops FROM experiments
    WHERE {WANTED_UNTIL} >= $1 AND (concluded_at IS NULL OR {LATEST_INSTANT} >= $1) AND {LATEST_INSTANT} <= $2
    GROUP BY team
    """  # noqa: S608 - constants


async def count_loops(connection: Connection, since: datetime, now: datetime) -> dict[str, int]:
    """Count each team's loops in the windows, without experiments that have an instant in the future.

    Args:
        since: the beginning of the longest window.
    """
    rows = await (await driver_of(connection)).fetch(_COUNT_LOOPS, since, now)
    return {row["team"]: row["loops"] for row in rows}


_READ_OF_TEAMS = f"""
    SELECT {_SELECTED} FROM experiments WHERE id IN (
        SELECT id FROM experiments WHERE team = ANY($1) AND {WANTED_UNTIL} >= $2
        UNION ALL
        SELECT one.id FROM unnest($1::text[]) AS teams(team) CROSS JOIN LATERAL (
            (
                SELECT found.id FROM experiments AS found
                WHERE found.team = teams.team AND found.outcome <> 'abandoned' AND {LATEST_INSTANT} <= $3
                ORDER BY found.concluded_at DESC LIMIT 1
            ) UNION ALL (
                SELECT found.id FROM experiments AS found
                WHERE found.team = teams.team AND found.outcome = 'failed' AND found.shared_at IS NOT NULL
                AND {LATEST_INSTANT} <= $3
                ORDER BY found.shared_at DESC LIMIT 1
            )
        ) AS one
    ) LIMIT $4
    """  # noqa: S608 - constants


async def read_of_teams(
    connection: Connection, teams: Collection[str], since: datetime, now: datetime, limit: int
) -> list[Experiment]:
    """Read at most `limit` of the teams' experiments on which the metrics as of `now` depend.

    These are the experiments that are open, or have an instant or a restart at `since` or later, and for each team the
    one that was answered last and the failed one that was shared last.

    Args:
        since: the beginning of the widest window.
    """
    driver = await driver_of(connection)
    return [_experiment(row) for row in await driver.fetch(_READ_OF_TEAMS, list(teams), since, now, limit)]


_READ_OF_TITLES = f"SELECT {_SELECTED} FROM experiments WHERE title_key = ANY($1) LIMIT $2"  # noqa: S608 - constants


async def read_of_titles(connection: Connection, title_keys: Collection[UUID], limit: int) -> list[Experiment]:
    """Read at most `limit` of the experiments whose titles have these keys."""
    driver = await driver_of(connection)
    return [_experiment(row) for row in await driver.fetch(_READ_OF_TITLES, list(title_keys), limit)]


def _read_restarts(written: str | None) -> tuple[Restart, ...]:
    if written is None:
        return ()
    return tuple(
        Restart(datetime.fromisoformat(at), concluded, timedelta(seconds=quiet))
        for at, concluded, quiet in json.loads(written)
    )


def _converter(field: Field[Any]) -> Callable[[Any], object] | None:
    """The function that converts a column's value to the value of the field; None if no conversion is needed."""
    if field.name == "restarts":
        return _read_restarts
    vocabularies = [type_ for type_ in (field.type, *get_args(field.type)) if isinstance(type_, EnumType)]
    return _lookup(vocabularies[0]) if vocabularies else None


def _lookup(vocabulary: Iterable[Any]) -> Callable[[str | None], object]:
    """A function that maps stored texts to the members of an enumeration, and null to None."""
    return {None: None, **{member.value: member for member in vocabulary}}.__getitem__


# The converters are derived from the types of the fields, so that a new field needs no change here.
_CONVERTERS = tuple(
    (place, converter) for place, field in enumerate(fields(Experiment)) if (converter := _converter(field))
)


def _experiment(row: Iterable[Any]) -> Experiment:
    values = list(row)
    for place, convert in _CONVERTERS:
        values[place] = convert(values[place])
    return Experiment(*values)

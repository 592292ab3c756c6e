"""Read filtered and sorted lists of experiments, page by page."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Select,
    TextClause,
    and_,
    literal_column,
    not_,
    select,
    text,
    tuple_,
)

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.storage.cursors import decode_list_cursor, encode_list_cursor
from service.storage.database import Connection
from service.storage.experiments import read
from service.storage.tables import LATEST_INSTANT, WITHOUT_TEAM, among, experiments

StateFilter: TypeAlias = State | Literal["open"]
"""A state to list: one of the states of an experiment, or *open*: proposed or running."""

Sort = Literal["idea_at", "-idea_at", "concluded_at", "-concluded_at", "last_activity_at", "-last_activity_at"]
"""The instant to sort by, in ascending order; a leading minus means descending order."""


@dataclass(frozen=True, slots=True)
class AgeFilter:
    """A filter on the age of open experiments.

    The filter matches an open experiment whose time in `column` is before the cut-off time of the experiment's team,
    unless any time of the experiment lies in the future.

    Attributes:
        before: the cut-off time of all teams that are not in `of_teams`.
        of_teams: the cut-off time of each team that has its own.
        included: True to list the matches, False to list all other experiments.
    """

    column: Literal["idea_at", "last_activity_at"]
    before: datetime
    of_teams: Mapping[str, datetime]
    included: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a list. An experiment must match all filters; None matches every experiment.

    Attributes:
        team: the team, in lower case. An empty text selects experiments without a team or with a reserved name as the
            team.
        since: the earliest time of the idea.
        until: the latest time of the idea, exclusive.
        ages: filters on the age of open experiments.
    """

    ids: Collection[UUID] | None = None
    roots: Collection[Ref] | None = None
    team: str | None = None
    state: StateFilter | None = None
    outcome: Outcome | None = None
    failure_category: FailureCategory | None = None
    since: datetime | None = None
    until: datetime | None = None
    ages: Sequence[AgeFilter] = ()


# Both settings avoid scans of the whole table. A generic plan does not consider that a filter's values may match few
# rows, and the default cost of a random read assumes a spinning disk.
_PLANS = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('random_page_cost', '1.1', true)"
)


async def read_page(
    connection: Connection,
    filters: Filters,
    now: datetime,
    *,
    sort: Sort,
    filter_text: str,
    cursor: str | None,
    limit: int,
) -> tuple[list[Experiment], str | None]:
    """Read a page of experiments, and the cursor of the next page (None after the last page).

    An experiment that does not change while a client reads the pages appears on exactly one page, even if other
    experiments change. A list sorted by the time of conclusion contains concluded experiments only.

    Args:
        connection: a connection in a read transaction, so that all queries see the same experiments.
        filter_text: the filters as text. A cursor is valid only with the same text as the page that returned it.

    Raises:
        InvalidCursor: the cursor is malformed, or is from a list with another sort or other filters.
    """
    query_digest = sha256(f"{sort}\n{filter_text}".encode()).hexdigest()[:16]
    column = experiments.c[sort.removeprefix("-")]
    position = tuple_(column, experiments.c.id)
    query: Select[Any] = select(experiments.c.id, column).where(*_conditions(filters, now)).limit(limit + 1)
    if sort.startswith("-"):
        query = query.order_by(column.desc(), experiments.c.id.desc())
    else:
        query = query.order_by(column, experiments.c.id)
    if column.nullable:
        query = query.where(column.is_not(None))
    if cursor is not None:
        after = decode_list_cursor(cursor, query_digest)
        query = query.where(position < after if sort.startswith("-") else position > after)
    await connection.execute(_PLANS)
    rows = (await connection.execute(query)).all()
    stored = await read(connection, [row.id for row in rows[:limit]])
    page = [stored[row.id].experiment for row in rows[:limit]]
    if len(rows) <= limit:
        return page, None
    last_id, last_at = rows[limit - 1]
    return page, encode_list_cursor(query_digest, (last_at, last_id))


def _conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    columns = experiments.c
    conditions: list[ColumnElement[bool]] = []
    if filters.ids is not None:
        conditions.append(columns.id.in_(filters.ids))
    if filters.roots is not None:
        conditions.append(among(columns.root, filters.roots))
    if filters.team is not None:
        conditions.append(columns.team == filters.team if filters.team else _NO_TEAM)
    if filters.state is not None:
        conditions.append(_STATES[filters.state])
    if filters.outcome is not None:
        conditions.append(columns.outcome == filters.outcome)
    if filters.failure_category is not None:
        conditions.append(columns.failure_category == filters.failure_category)
    if filters.since is not None:
        conditions.append(columns.idea_at >= filters.since)
    if filters.until is not None:
        conditions.append(columns.idea_at < filters.until)
    return conditions + [_age_condition(age, now) for age in filters.ages]


# The text is the condition of the index `experiments_without_team`: PostgreSQL would otherwise not use this index.
_NO_TEAM = literal_column(f"({WITHOUT_TEAM})", Boolean)
_STATES: Mapping[StateFilter, ColumnElement[bool]] = {
    "open": experiments.c.concluded_at.is_(None),
    State.PROPOSED: and_(experiments.c.concluded_at.is_(None), experiments.c.started_at.is_(None)),
    State.RUNNING: and_(experiments.c.concluded_at.is_(None), experiments.c.started_at.is_not(None)),
    State.CONCLUDED: experiments.c.concluded_at.is_not(None),
}


def _age_condition(age: AgeFilter, now: datetime) -> ColumnElement[bool]:
    column = experiments.c[age.column]
    teams = sorted(age.of_teams)
    # The cut-off time is SQL text, since SQLAlchemy cannot subscript an array with an expression.
    bound: TextClause = text(
        f"coalesce((CAST(:bounds_{age.column} AS timestamptz[]))"
        f"[array_position(CAST(:teams_{age.column} AS text[]), experiments.team)], "
        f"CAST(:before_{age.column} AS timestamptz))"
    ).bindparams(
        **{
            f"bounds_{age.column}": [age.of_teams[team] for team in teams],
            f"teams_{age.column}": teams,
            f"before_{age.column}": age.before,
        }
    )
    matches = and_(
        experiments.c.concluded_at.is_(None),
        column < bound,
        # This condition is redundant, but lets PostgreSQL use an index.
        column < max([age.before, *age.of_teams.values()]),
        now >= _LATEST,
    )
    return matches if age.included else not_(matches)


_Instant = DateTime(timezone=True)
_LATEST: ColumnElement[datetime] = literal_column(LATEST_INSTANT, _Instant)

"""Experiments page by page, filtered and in order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
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

Sort = Literal["idea_at", "-idea_at", "concluded_at", "-concluded_at", "last_activity_at", "-last_activity_at"]
"""The instant that experiments are listed by, the earliest first or, behind a minus, the latest."""


@dataclass(frozen=True, slots=True)
class AgeFilter:
    """Open experiments that are late in some way, or all but those.

    Attributes:
        column: the instant that tells.
        before: it lies before this.
        of_teams: for some teams, it lies before this instead.
        included: whether those that are late are listed, or all others.
    """

    column: Literal["idea_at", "last_activity_at"]
    before: datetime
    of_teams: Mapping[str, datetime]
    included: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """Which experiments are listed; what is None does not matter.

    Attributes:
        ids: only these.
        roots: only those with these roots.
        team: only of this team, in lower case; empty for those without one, or with a name that is none.
        since: only those whose idea was then or later.
        until: only those whose idea was before.
        late: only those that are all of this, as of `now`.
    """

    ids: Collection[UUID] | None = None
    roots: Collection[Ref] | None = None
    team: str | None = None
    state: State | None = None
    outcome: Outcome | None = None
    failure_category: FailureCategory | None = None
    since: datetime | None = None
    until: datetime | None = None
    late: Sequence[AgeFilter] = ()


async def read_page(
    connection: Connection, filters: Filters, now: datetime, *, sort: Sort, asked: str, cursor: str | None, limit: int
) -> tuple[list[Experiment], str | None]:
    """Experiments in order, and the cursor of the next page or None.

    Of those that stay as they are while pages are read, each that belongs to the list is on one page, whatever happens
    to others meanwhile. By the time of conclusion only those are listed that are concluded.

    Args:
        connection: in a transaction that reads as of one moment.
        asked: what was asked for besides the sort, in words that are the same on each page.

    Raises:
        InvalidCursor: the cursor was not given out by an earlier page of the same list.
    """
    mark = sha256(f"{sort}\n{asked}".encode()).hexdigest()[:16]
    column = experiments.c[sort.removeprefix("-")]
    place = tuple_(column, experiments.c.id)
    query: Select[Any] = select(experiments.c.id, column).where(*_conditions(filters, now)).limit(limit + 1)
    if sort.startswith("-"):
        query = query.order_by(column.desc(), experiments.c.id.desc())
    else:
        query = query.order_by(column, experiments.c.id)
    if column.nullable:
        query = query.where(column.is_not(None))
    if cursor is not None:
        last = decode_list_cursor(cursor, mark)
        query = query.where(place < last if sort.startswith("-") else place > last)
    await connection.execute(_PLANS)
    rows = (await connection.execute(query)).all()
    stored = await read(connection, [row.id for row in rows[:limit]])
    found = [stored[row.id].experiment for row in rows[:limit]]
    return found, encode_list_cursor(mark, (rows[limit - 1][1], rows[limit - 1].id)) if len(rows) > limit else None


# A plan for any filter whatever walks through all where one that is given leaves few. What lists read is in memory, or
# on disks without arms: taking a page of it for dear, the planner would rather walk through all, too.
_PLANS = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('random_page_cost', '1.1', true)"
)


def _conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    is_ = experiments.c
    wanted: list[ColumnElement[bool]] = []
    if filters.ids is not None:
        wanted.append(is_.id.in_(filters.ids))
    if filters.roots is not None:
        wanted.append(among(is_.root, filters.roots))
    if filters.team is not None:
        wanted.append(is_.team == filters.team if filters.team else _NO_TEAM)
    if filters.state is not None:
        wanted.append(_STATES[filters.state])
    if filters.outcome is not None:
        wanted.append(is_.outcome == filters.outcome)
    if filters.failure_category is not None:
        wanted.append(is_.failure_category == filters.failure_category)
    if filters.since is not None:
        wanted.append(is_.idea_at >= filters.since)
    if filters.until is not None:
        wanted.append(is_.idea_at < filters.until)
    return wanted + [_lateness(late, now) for late in filters.late]


# As the index has it, so that the two can be compared.
_NO_TEAM = literal_column(f"({WITHOUT_TEAM})", Boolean)
_STATES: Mapping[State, ColumnElement[bool]] = {
    State.PROPOSED: and_(experiments.c.concluded_at.is_(None), experiments.c.started_at.is_(None)),
    State.RUNNING: and_(experiments.c.concluded_at.is_(None), experiments.c.started_at.is_not(None)),
    State.CONCLUDED: experiments.c.concluded_at.is_not(None),
}


def _lateness(late: AgeFilter, now: datetime) -> ColumnElement[bool]:
    column = experiments.c[late.column]
    teams = sorted(late.of_teams)
    # Written out, since SQLAlchemy would look up an element in an array's type.
    bound: TextClause = text(
        f"coalesce((CAST(:bounds_{late.column} AS timestamptz[]))"
        f"[array_position(CAST(:teams_{late.column} AS text[]), experiments.team)], "
        f"CAST(:before_{late.column} AS timestamptz))"
    ).bindparams(
        **{
            f"bounds_{late.column}": [late.of_teams[team] for team in teams],
            f"teams_{late.column}": teams,
            f"before_{late.column}": late.before,
        }
    )
    is_late = and_(
        experiments.c.concluded_at.is_(None),
        column < bound,
        # Said once more so that an index can help.
        column < max([late.before, *late.of_teams.values()]),
        now >= _LATEST,
    )
    return is_late if late.included else not_(is_late)


_Instant = DateTime(timezone=True)
_LATEST: ColumnElement[datetime] = literal_column(LATEST_INSTANT, _Instant)

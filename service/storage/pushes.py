"""The table `pushes`: pushes that moved a default branch, and the deployments that ship the pushed commits."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from service.lifecycle.aliases import Aliases
from service.lifecycle.errors import TooManyRelatives
from service.lifecycle.events import LifecycleEvent, Shipped
from service.lifecycle.pushes import MOST_PUSHES, Push, Shipments
from service.lifecycle.references import Ref
from service.storage.database import Connection, driver_of, is_exclusive
from service.storage.events import decode_row
from service.storage.tables import array, columns

_MOST_READ = 20_000
_MOST_MARKED = 100_000
# The key of the advisory lock: arbitrary, but it must be the same in all versions of loopgauge.
_LOCK_KEY = 0x70757368
_COMMIT = "commit:"

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


async def lock(connection: Connection) -> None:
    """Block other transactions that record pushes or deployments of commits, until this transaction ends.

    A deployment marks the commits below it dirty, and a push between the two marks them too. Without this lock, two
    transactions could record a deployment and a push at the same time, and neither would see the other.
    """
    if not is_exclusive(connection):
        await connection.execute(_LOCK, {"key": _LOCK_KEY})


_COLUMNS = ("id", "delivery_id", "project", "before", "array", "linear", "pushed_at", "received_at", "condensed")
# A push is deployed if a deployment of one of its commits arrived before it.
_INSERT = text(
    """
    INSERT INTO pushes (id, delivery_id, project, before, commits, linear, pushed_at, received_at, condensed, deployed)
    SELECT
        id, delivery_id, project, before, CAST(commits AS text[]), linear, pushed_at, received_at, condensed,
        EXISTS (SELECT FROM events WHERE subject = ANY(CAST(stated.commits AS text[])) AND kind = 'shipped')
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:delivery_id AS uuid[]), CAST(:project AS text[]), CAST(:before AS text[]),
        CAST(:array AS text[]), CAST(:linear AS boolean[]), CAST(:pushed_at AS timestamptz[]),
        CAST(:received_at AS timestamptz[]), CAST(:condensed AS boolean[])
    ) AS stated(id, delivery_id, project, before, commits, linear, pushed_at, received_at, condensed)
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True, slots=True)
class ReportedPush:
    """A push, and the delivery that reported it."""

    push: Push
    delivery: UUID
    received_at: datetime


async def insert(connection: Connection, pushes: Iterable[ReportedPush], *, condensed: bool = False) -> None:
    """Record the pushes that deliveries report. The caller holds the lock.

    Args:
        condensed: whether the pushes stand for old pushes that are deleted.
    """
    rows = [
        {
            "id": _id(reported.push),
            "delivery_id": reported.delivery,
            "project": reported.push.project,
            "before": reported.push.before,
            "array": array(reported.push.commits),
            "linear": reported.push.linear,
            "pushed_at": reported.push.pushed_at,
            "received_at": reported.received_at,
            "condensed": condensed,
        }
        for reported in pushes
    ]
    if rows:
        await connection.execute(_INSERT, columns(_COLUMNS, rows))


def _id(push: Push) -> UUID:
    stated = [push.project, push.before, push.commits, push.linear, push.pushed_at.isoformat()]
    return UUID(bytes=sha256(json.dumps(stated).encode()).digest()[:16])


_MARK_DEPLOYED = text(
    """
    UPDATE pushes SET deployed = true FROM unnest(CAST(:commits AS text[])) AS commit
    WHERE commits @> ARRAY[commit] AND NOT deployed
    """
)


def deployments_in(events: Iterable[LifecycleEvent]) -> dict[Ref, datetime]:
    """The commits that the events say were deployed, and the earliest deployment of each."""
    earliest: dict[Ref, datetime] = {}
    for event in events:
        if isinstance(event, Shipped) and not event.commanded and event.subject.startswith(_COMMIT):
            earliest[event.subject] = min(event.occurred_at, earliest.get(event.subject, event.occurred_at))
    return earliest


async def record(connection: Connection, pushes: Sequence[ReportedPush], deployed: Mapping[Ref, datetime]) -> set[Ref]:
    """Record pushes and deployments, and return the commits that they may ship.

    Args:
        deployed: for each commit of which a deployment was recorded, the time of the deployment.
    """
    if not pushes and not deployed:
        return set()
    await lock(connection)
    await insert(connection, pushes)
    if deployed:
        await connection.execute(_MARK_DEPLOYED, {"commits": sorted(deployed)})
    heads = await _deployments_above(connection, {reported.push.commits[-1] for reported in pushes})
    return await _below(connection, [*heads.items(), *deployed.items()])


async def _deployments_above(connection: Connection, heads: Collection[Ref]) -> dict[Ref, datetime]:
    """The commits that are deployed, or on which deployed commits stand, and the earliest deployment of each."""
    found, shipped = await _read(connection, heads, None)
    shipments = Shipments(found, shipped)
    deployed: dict[Ref, datetime] = {}
    for head in heads:
        above = [*shipments.of(head), *filter(None, [shipped.get(head)])]
        if above:
            deployed[head] = min(one.occurred_at for one in above)
    return deployed


async def read_shipments(connection: Connection, commits: Collection[Ref], names: Aliases) -> Shipments:
    """Read the deployments that ship commits, with the pushes between them.

    Raises:
        TooManyRelatives: there are more pushes between the commits and their deployments than loopgauge follows.
    """
    return Shipments(*await _read(connection, commits, names))


_STARTS = text(
    """
    SELECT DISTINCT found.* FROM unnest(CAST(:commits AS text[])) AS wanted(commit)
    CROSS JOIN LATERAL (
        SELECT id, project, pushed_at FROM pushes WHERE commits @> ARRAY[wanted.commit]
        UNION ALL
        SELECT id, project, pushed_at FROM pushes WHERE before = wanted.commit
        OFFSET 0
    ) AS found
    """
)
_LAST_DEPLOYED = text(
    """
    SELECT project, last.pushed_at FROM unnest(CAST(:projects AS text[])) AS project CROSS JOIN LATERAL (
        SELECT pushed_at FROM pushes WHERE deployed AND pushes.project = project.project
        ORDER BY pushed_at DESC LIMIT 1
    ) AS last
    """
)
# GitLab's pushes have the times of commits, which the clocks of people's machines set.
_CLOCK_SKEW = timedelta(days=1)
# The walk goes up from push to push, and stops where a later push cannot be deployed before the deployment that is
# known. It also stops at each of the other pushes to begin with, whose own walk goes on there.
_ABOVE = f"""
    WITH RECURSIVE walk AS (
        SELECT starts.id, starts.heads, 0 AS depth, first.earliest
        FROM (
            SELECT DISTINCT id, CASE WHEN linear THEN commits ELSE commits[cardinality(commits):] END AS heads
            FROM pushes WHERE id = ANY($1)
        ) AS starts
        CROSS JOIN LATERAL (
            SELECT min(occurred_at) AS earliest FROM events WHERE subject = ANY(starts.heads) AND kind = 'shipped'
            OFFSET 0
        ) AS first
        UNION
        SELECT above.id, above.heads, walk.depth + 1, least(walk.earliest, first.earliest)
        FROM walk
        CROSS JOIN LATERAL (
            SELECT id, CASE WHEN linear THEN commits ELSE commits[cardinality(commits):] END AS heads
            FROM pushes WHERE before = ANY(walk.heads) AND NOT id = ANY($1)
            AND (walk.earliest IS NULL OR pushed_at <= walk.earliest)
            OFFSET 0
        ) AS above
        CROSS JOIN LATERAL (
            SELECT min(occurred_at) AS earliest FROM events WHERE subject = ANY(above.heads) AND kind = 'shipped'
            OFFSET 0
        ) AS first
        WHERE walk.depth < {MOST_PUSHES - 1}
    )
    SELECT DISTINCT ON (id) project, before, commits, linear, pushed_at FROM pushes
    WHERE id = ANY(ARRAY(SELECT id FROM walk LIMIT $2))
"""  # noqa: S608 - constants
_EARLIEST = """
    SELECT DISTINCT ON (subject) subject, kind, occurred_at, data::text FROM events
    WHERE subject = ANY($1) AND kind = 'shipped' ORDER BY subject, occurred_at, id
"""


async def _read(
    connection: Connection, commits: Collection[Ref], names: Aliases | None
) -> tuple[list[Push], dict[Ref, Shipped]]:
    """Read the pushes above commits, and the earliest deployment of each commit in these pushes.

    Args:
        names: the recorded renames, to skip pushes after the last deployed push of their project; None to read all.
    """
    starts = (await connection.execute(_STARTS, {"commits": sorted(commits)})).all() if commits else []
    if starts and names is not None:
        starts = await _deploying(connection, starts, names)
    if not starts:
        return [], {}
    driver = await driver_of(connection)
    rows = await driver.fetch(_ABOVE, [row.id for row in starts], _MOST_READ + 1)
    if len(rows) > _MOST_READ:
        raise TooManyRelatives(f"more than {_MOST_READ:,} pushes lie between the commits and their deployments")
    found = [read_push(row) for row in rows]
    pushed = {*commits, *(commit for push in found for commit in (push.commits if push.linear else push.commits[-1:]))}
    return found, dict(map(_shipped, await driver.fetch(_EARLIEST, sorted(pushed))))


async def _deploying(connection: Connection, starts: Sequence[Any], names: Aliases) -> list[Any]:
    """The pushes that a later push of the same project, under any of its names, may ship: one that is deployed."""
    names_of = {row.project: names.names(Ref(row.project)) for row in starts}
    every = sorted(frozenset[Ref]().union(*names_of.values()))
    rows = await connection.execute(_LAST_DEPLOYED, {"projects": every})
    last: dict[Ref, datetime] = {Ref(project): at for project, at in rows}
    return [
        row
        for row in starts
        if any(row.pushed_at <= last[name] + _CLOCK_SKEW for name in names_of[row.project] & last.keys())
    ]


def read_push(row: Mapping[str, Any] | RowMapping) -> Push:
    """Read a push from its row."""
    commits = tuple(map(Ref, row["commits"]))
    before = Ref(row["before"]) if row["before"] is not None else None
    return Push(Ref(row["project"]), before, commits, row["linear"], row["pushed_at"])


def _shipped(row: tuple[str, str, datetime, str]) -> tuple[Ref, Shipped]:
    event = decode_row(*row)
    if not isinstance(event, Shipped):
        raise TypeError(f"expected a shipment, got {event}")
    return event.subject, event


# The walk goes down from push to push, and stops at a commit that was deployed no later: everything below that commit
# was shipped then.
_BELOW = text(
    f"""
    WITH RECURSIVE walk AS (
        SELECT found.id, found.before, seeds.shipped_at, 0 AS depth
        FROM unnest(CAST(:commits AS text[]), CAST(:times AS timestamptz[])) AS seeds(commit, shipped_at)
        CROSS JOIN LATERAL (
            SELECT id, before FROM pushes WHERE commits @> ARRAY[seeds.commit]
            AND (linear OR commits[cardinality(commits)] = seeds.commit)
            OFFSET 0
        ) AS found
        UNION
        SELECT below.id, below.before, walk.shipped_at, walk.depth + 1
        FROM walk CROSS JOIN LATERAL (
            SELECT id, before FROM pushes WHERE commits @> ARRAY[walk.before]
            AND (linear OR commits[cardinality(commits)] = walk.before)
            AND NOT EXISTS (
                SELECT FROM events
                WHERE subject = walk.before AND kind = 'shipped' AND occurred_at <= walk.shipped_at
            )
            OFFSET 0
        ) AS below
        WHERE walk.depth < {MOST_PUSHES - 1}
    )
    SELECT DISTINCT unnest(commits || before) AS commit FROM pushes
    WHERE id = ANY(ARRAY(SELECT DISTINCT id FROM walk)) LIMIT :most
    """  # noqa: S608 - constants
)


async def _below(connection: Connection, deployed: Sequence[tuple[Ref, datetime]]) -> set[Ref]:
    """Read the commits that deployments may ship: those that came to the default branch since an earlier deployment."""
    if not deployed:
        return set()
    seeds = {"commits": [commit for commit, _ in deployed], "times": [at for _, at in deployed]}
    found = await connection.scalars(_BELOW, {**seeds, "most": _MOST_MARKED})
    return {Ref(commit) for commit in found if commit is not None}


_REPORTED = text(
    "SELECT DISTINCT commits[cardinality(commits)] FROM pushes WHERE delivery_id = ANY(:deliveries) AND NOT condensed"
)
_DEPLOYED_BY = text(
    """
    SELECT stored.subject, min(stored.occurred_at) FROM event_deliveries AS brought
    JOIN events AS stored ON stored.subject = brought.subject AND stored.id = brought.event_id
    WHERE brought.delivery_id = ANY(:deliveries) AND stored.kind = 'shipped' AND starts_with(stored.subject, 'commit:')
    GROUP BY stored.subject
    """
)
_WITHDRAW = text("DELETE FROM pushes WHERE delivery_id = ANY(:deliveries) AND NOT condensed")


async def withdraw(connection: Connection, delivery_ids: Sequence[UUID]) -> set[Ref]:
    """Delete the pushes that deliveries reported, and return the commits that these and their deployments may ship.

    The caller still has to withdraw the events of the deliveries, and holds the exclusive lock of `aliases`.
    """
    values = {"deliveries": delivery_ids}
    heads = {Ref(head) for head in await connection.scalars(_REPORTED, values)}
    deployed = {Ref(subject): at for subject, at in await connection.execute(_DEPLOYED_BY, values)}
    if not heads and not deployed:
        return set()
    above = await _deployments_above(connection, heads)
    affected = await _below(connection, [*above.items(), *deployed.items()])
    await connection.execute(_WITHDRAW, values)
    return affected

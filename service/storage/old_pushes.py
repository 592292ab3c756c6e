"""Old pushes: which of them a deployment still needs, and how they are condensed and deleted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from service.lifecycle.aliases import Aliases
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref
from service.storage import pushes, subjects
from service.storage.database import Connection
from service.storage.pushes import ReportedPush

_CARRYING = text(
    """
    SELECT DISTINCT commit FROM unnest(CAST(:commits AS text[])) AS commit
    CROSS JOIN LATERAL (SELECT FROM pushes WHERE commits @> ARRAY[commit] AND deployed OFFSET 0) AS found
    """
)


async def select_deployed(connection: Connection, commits: Collection[Ref]) -> set[Ref]:
    """Select the commits in pushes of which a deployment ships an earlier commit, or may do so."""
    return {Ref(commit) for commit in await connection.scalars(_CARRYING, {"commits": sorted(commits)})}


_OLD = text(
    """
    SELECT delivery_id, project, before, commits, linear, pushed_at, received_at FROM pushes
    WHERE received_at < :before AND NOT condensed ORDER BY received_at, id LIMIT :limit
    """
)
_DELETE = text("DELETE FROM pushes WHERE delivery_id = ANY(:deliveries) AND NOT condensed")


async def delete_old(connection: Connection, before: datetime, limit: int, names: Aliases) -> int:
    """Delete pushes that were received before `before`, and return their number.

    A commit that is linked and shipped keeps its shipment: a condensed push leads from the commit to the deployed
    commit directly. The caller blocks the recording of deliveries (`aliases.lock_exclusive`).
    """
    rows = (await connection.execute(_OLD, {"before": before, "limit": limit})).mappings().all()
    old = [ReportedPush(pushes.read_push(row), row["delivery_id"], row["received_at"]) for row in rows]
    if old:
        await pushes.insert(connection, await _condense(connection, old, names), condensed=True)
        await connection.execute(_DELETE, {"deliveries": _deliveries(old)})
    return len(old)


def _deliveries(old: Iterable[ReportedPush]) -> list[UUID]:
    return sorted({reported.delivery for reported in old})


async def _condense(connection: Connection, old: Sequence[ReportedPush], names: Aliases) -> list[ReportedPush]:
    """For each linked commit of old pushes that is shipped, the push that leads to the deployed commit directly."""
    linked = await subjects.select_linked(connection, {commit for one in old for commit in _commits(one.push)})
    shipments = await pushes.read_shipments(connection, linked, names)
    condensed: list[ReportedPush] = []
    for one in old:
        projects = names.names(one.push.project)
        for commit in linked.intersection(_commits(one.push)):
            shipped = min(shipments.of(commit, projects), key=lambda event: event.occurred_at, default=None)
            if shipped:
                push = replace(one.push, before=None, commits=(commit, shipped.subject), linear=False)
                condensed.append(replace(one, push=push))
    return condensed


def _commits(push: Push) -> Collection[Ref]:
    return push.commits if push.before is None else (push.before, *push.commits)

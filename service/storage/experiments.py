"""The experiments as they were folded last."""

from collections.abc import Collection, Iterable
from dataclasses import fields
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.evidence import Ref, experiment_id
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.storage.database import Connection
from service.storage.tables import among, experiments

_FIELDS = tuple(field.name for field in fields(Experiment))


async def lock(connection: Connection, roots: Iterable[Ref]) -> None:
    """Hold these roots alone until the transaction ends: who folds last has then read what all others committed."""
    keys = sorted(int.from_bytes(experiment_id(root).bytes[:8], "big", signed=True) for root in roots)
    await connection.execute(_LOCK, {"keys": keys})


_LOCK = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")


async def known(connection: Connection, subjects: Collection[Ref]) -> set[Ref]:
    """Those of the subjects that are the root of a stored experiment."""
    roots = await connection.scalars(select(experiments.c.root).where(among(experiments.c.root, subjects)))
    return {Ref(root) for root in roots}


async def categories(connection: Connection, roots: Collection[Ref]) -> dict[Ref, FailureCategory]:
    """The failure categories of those of the roots whose stored experiment failed."""
    if not roots:
        return {}
    rows = await connection.execute(
        select(experiments.c.root, experiments.c.failure_category).where(
            among(experiments.c.root, roots), experiments.c.failure_category.is_not(None)
        )
    )
    return {Ref(row.root): FailureCategory(row.failure_category) for row in rows}


async def root_of(connection: Connection, experiment: UUID) -> Ref | None:
    """The root of the experiment with this id, or None where there is none."""
    root = await connection.scalar(select(experiments.c.root).where(experiments.c.id == experiment))
    return Ref(root) if root is not None else None


async def replace(connection: Connection, folded: Iterable[Experiment], gone: Collection[Ref]) -> None:
    """Store experiments as they are now, and forget those that are none any more."""
    if gone:
        await connection.execute(delete(experiments).where(among(experiments.c.root, gone)))
    rows = [_row(experiment) for experiment in sorted(folded, key=lambda experiment: experiment.root)]
    if rows:
        statement = insert(experiments)
        renewed = {name: statement.excluded[name] for name in _FIELDS}
        await connection.execute(statement.on_conflict_do_update(index_elements=[experiments.c.id], set_=renewed), rows)


async def everything(connection: Connection) -> list[Experiment]:
    """All experiments, by root."""
    rows = await connection.execute(select(*(experiments.c[name] for name in _FIELDS)).order_by(experiments.c.root))
    return [
        Experiment(
            root=Ref(row.root),
            title=row.title,
            url=row.url,
            team=row.team,
            risk=Risk(row.risk) if row.risk else None,
            idea_at=row.idea_at,
            idea_inferred=row.idea_inferred,
            started_at=row.started_at,
            first_signal_at=row.first_signal_at,
            concluded_at=row.concluded_at,
            outcome=Outcome(row.outcome) if row.outcome else None,
            failure_category=FailureCategory(row.failure_category) if row.failure_category else None,
            shared_at=row.shared_at,
            shipped_at=row.shipped_at,
            last_activity_at=row.last_activity_at,
        )
        for row in rows
    ]


def _row(experiment: Experiment) -> dict[str, object]:
    return {"id": experiment.id, **{name: getattr(experiment, name) for name in _FIELDS}}

"""What was marked as an experiment and is left out of figures all the same, as it was projected last."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import among, exclusions


async def select_subjects(connection: Connection, subjects: Collection[Ref]) -> set[Ref]:
    """Those of the subjects that are stored as left out."""
    found = await connection.scalars(select(exclusions.c.subject).where(among(exclusions.c.subject, subjects)))
    return {Ref(subject) for subject in found}


async def replace(connection: Connection, left_out: Mapping[Ref, Exclusion], gone: Collection[Ref]) -> None:
    """Store what is left out now, and forget those that are not any more."""
    if gone:
        await connection.execute(delete(exclusions).where(among(exclusions.c.subject, gone)))
    rows = [
        {"subject": subject, "reason": one.reason, "excluded_at": one.since}
        for subject, one in sorted(left_out.items(), key=lambda named: named[0])
    ]
    if rows:
        statement = insert(exclusions)
        renewed = {name: statement.excluded[name] for name in ("reason", "excluded_at")}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=[exclusions.c.subject], set_=renewed), rows
        )


async def list_since(connection: Connection, begin: datetime) -> list[Exclusion]:
    """What is left out since `begin` or later, in order of time."""
    rows = await connection.execute(
        select(exclusions.c.reason, exclusions.c.excluded_at)
        .where(exclusions.c.excluded_at >= begin)
        .order_by(exclusions.c.excluded_at, exclusions.c.subject)
    )
    return [Exclusion(row.reason, row.excluded_at) for row in rows]

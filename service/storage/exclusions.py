"""The table `exclusions`: the subjects that metrics exclude, and why and since when, as of their last projection."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.references import Ref
from service.storage.database import Connection
from service.storage.tables import among, exclusions


async def select_subjects(connection: Connection, subjects: Collection[Ref]) -> set[Ref]:
    """Select the subjects that are stored as excluded."""
    excluded = await connection.scalars(select(exclusions.c.subject).where(among(exclusions.c.subject, subjects)))
    return {Ref(subject) for subject in excluded}


async def replace(connection: Connection, current: Mapping[Ref, Exclusion], obsolete: Collection[Ref]) -> None:
    """Store the exclusions in `current`, and delete the exclusions of the subjects in `obsolete`."""
    if obsolete:
        await connection.execute(delete(exclusions).where(among(exclusions.c.subject, obsolete)))
    rows = [
        {"subject": subject, "reason": exclusion.reason, "excluded_at": exclusion.since}
        for subject, exclusion in sorted(current.items(), key=lambda item: item[0])
    ]
    if rows:
        statement = insert(exclusions)
        updated = {name: statement.excluded[name] for name in ("reason", "excluded_at")}
        # Do not write unchanged rows.
        is_changed = or_(*(exclusions.c[name].is_distinct_from(value) for name, value in updated.items()))
        await connection.execute(
            statement.on_conflict_do_update(index_elements=[exclusions.c.subject], set_=updated, where=is_changed),
            rows,
        )


async def list_since(connection: Connection, begin: datetime) -> list[Exclusion]:
    """List exclusions that began at `begin` or later, the earliest first."""
    rows = await connection.execute(
        select(exclusions.c.reason, exclusions.c.excluded_at)
        .where(exclusions.c.excluded_at >= begin)
        .order_by(exclusions.c.excluded_at, exclusions.c.subject)
    )
    return [Exclusion(row.reason, row.excluded_at) for row in rows]

"""Lifecycle events and links: what the deliveries said, and which subjects have news for projection."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from service.lifecycle.codec import data_of, event_id, kind_of, read_event
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Alias, Aliases, LinkSet, Ref
from service.storage.database import Connection
from service.storage.tables import (
    aliases,
    among,
    deliveries,
    event_deliveries,
    events,
    experiments,
    link_statements,
    links,
    touch_marks,
    touched,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What one delivery said."""

    delivery: UUID
    received_at: datetime
    events: Mapping[LifecycleEvent, str] = field(default_factory=dict)
    """Each with the name of the rule that made it."""
    links: Sequence[LinkSet] = ()
    aliases: Sequence[Alias] = ()


async def record(connection: Connection, said: Iterable[Said]) -> None:
    """Record what deliveries said, and mark every subject that it names as touched.

    Events that are known already only gain a delivery that brought them. The order in which concurrent calls take
    rows is the same for all, so that they wait for each other and never in a circle.
    """
    heard = list(said)
    # A rename touches what is known under the old name: what is said at the same time comes before it, or after.
    await connection.execute(_LOCK_FOR_RENAME if any(one.aliases for one in heard) else _LOCK_AGAINST_RENAME)
    if news := _event_rows(heard):
        await connection.execute(insert(events).on_conflict_do_nothing(), news)
        await connection.execute(insert(event_deliveries).on_conflict_do_nothing(), _provenance_rows(heard))
    replaced = await _record_links(connection, heard)
    subjects = {event.subject for one in heard for event in one.events} | replaced
    for link in (link for one in heard for link in one.links):
        subjects |= {link.evidence, *link.targets}
    await _touch(connection, subjects | await _record_aliases(connection, heard))


def _event_rows(heard: Iterable[Said]) -> list[dict[str, object]]:
    rows: dict[tuple[str, UUID], dict[str, object]] = {}
    for one in heard:
        for event in one.events:
            row = {
                "subject": event.subject,
                "id": event_id(event),
                "kind": kind_of(event),
                "occurred_at": event.occurred_at,
                "received_at": one.received_at,
                "data": data_of(event),
            }
            rows.setdefault((event.subject, event_id(event)), row)
    return [rows[key] for key in sorted(rows)]


def _provenance_rows(heard: Iterable[Said]) -> list[dict[str, object]]:
    brought = {
        (event.subject, event_id(event), one.delivery): rule for one in heard for event, rule in one.events.items()
    }
    return [
        {"subject": subject, "event_id": event, "delivery_id": by, "rule": brought[subject, event, by]}
        for subject, event, by in sorted(brought)
    ]


async def _record_links(connection: Connection, heard: Iterable[Said]) -> set[Ref]:
    """Keep what is stated, and the newest set per evidence, channel and speaker; returns the targets it replaced."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    stated: list[dict[str, Any]] = []
    for one in heard:
        for link in one.links:
            row = _link_row(link)
            stated.append({**row, "delivery_id": one.delivery})
            known = newest.setdefault(_link_key(row), row)
            if _recency(known) < _recency(row):
                newest[_link_key(row)] = row
    if not newest:
        return set()
    await connection.execute(insert(link_statements).on_conflict_do_nothing(), sorted(stated, key=_link_key))
    rows = [newest[key] for key in sorted(newest)]
    # After this each row exists, and whoever else was about to make it has committed: what is read next, under a
    # lock, is what will be replaced.
    await connection.execute(insert(links).on_conflict_do_nothing(), rows)
    stored = await connection.execute(_LOCK_LINKS, {column: [row[column] for row in rows] for column in _LINK_KEY})
    outdated = {_link_key(row): row for row in stored.mappings() if _recency(row) < _recency(newest[_link_key(row)])}
    if outdated:
        await connection.execute(
            insert(links).on_conflict_do_update(
                index_elements=[links.c[column] for column in _LINK_KEY],
                set_={name: insert(links).excluded[name] for name in ("targets", "stated_at")},
            ),
            [newest[key] for key in sorted(outdated)],
        )
    return {Ref(target) for row in outdated.values() for target in row["targets"]}


async def revise(connection: Connection, said: Iterable[Said]) -> None:
    """Let deliveries say this instead of what they said before.

    An event, a link or a name stays while any other delivery asserts it. Nobody else records meanwhile, since what
    they find already there might be what is taken away.
    """
    heard = list(said)
    by = {"deliveries": [one.delivery for one in heard]}
    await connection.execute(_LOCK_FOR_RENAME)
    brought = {Ref(subject) for subject in await connection.scalars(_WITHDRAW_EVENTS, by)}
    stated = (await connection.execute(_WITHDRAW_LINKS, by)).all()
    names = {str(name) for row in await connection.execute(_WITHDRAW_ALIASES, by) for name in row}
    renamed = await _known_by(connection, names)
    await record(connection, heard)
    await connection.execute(_DROP_UNASSERTED, {"subjects": sorted(brought)})
    keys = {column: [getattr(row, column) for row in stated] for column in _LINK_KEY}
    await connection.execute(_DROP_LINKS, keys)
    await connection.execute(_RESTORE_LINKS, keys)
    linked = {Ref(subject) for row in stated for subject in (row.evidence, *row.targets)}
    await _touch(connection, brought | linked | renamed)


_WITHDRAW_EVENTS = text("DELETE FROM event_deliveries WHERE delivery_id = ANY(:deliveries) RETURNING subject")
_WITHDRAW_LINKS = text(
    "DELETE FROM link_statements WHERE delivery_id = ANY(:deliveries) RETURNING evidence, channel, stated_by, targets"
)
_WITHDRAW_ALIASES = text("DELETE FROM aliases WHERE delivery_id = ANY(:deliveries) RETURNING old, new")
_DROP_UNASSERTED = text(
    """
    DELETE FROM events WHERE subject = ANY(:subjects) AND NOT EXISTS (
        SELECT FROM event_deliveries
        WHERE event_deliveries.subject = events.subject AND event_deliveries.event_id = events.id
    )
    """
)
_KEYS = """
    unnest(CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[]))
    AS wanted(evidence, channel, stated_by)
"""
_DROP_LINKS = text(
    f"""
    DELETE FROM links USING {_KEYS} WHERE links.evidence = wanted.evidence
    AND links.channel = wanted.channel AND links.stated_by = wanted.stated_by
    """  # noqa: S608 - constants
)
# In the order of `_recency`: the database's own collation would break ties otherwise.
_RESTORE_LINKS = text(
    f"""
    INSERT INTO links (evidence, channel, stated_by, targets, stated_at)
    SELECT DISTINCT ON (evidence, channel, stated_by) evidence, channel, stated_by, targets, stated_at
    FROM link_statements JOIN (SELECT DISTINCT * FROM {_KEYS}) AS wanted USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by, stated_at DESC, targets COLLATE "C" DESC
    """  # noqa: S608 - constants
)
_LINK_KEY = ("evidence", "channel", "stated_by")

_LOCK_LINKS = text(
    """
    SELECT links.* FROM links JOIN unnest(
        CAST(:evidence AS text[]), CAST(:channel AS text[]), CAST(:stated_by AS text[])
    ) AS wanted(evidence, channel, stated_by) USING (evidence, channel, stated_by)
    ORDER BY evidence, channel, stated_by
    FOR UPDATE OF links
    """
)


def _link_key(row: Mapping[str, Any] | RowMapping) -> tuple[str, ...]:
    return tuple(row[column] for column in _LINK_KEY)


def _recency(row: Mapping[str, Any] | RowMapping) -> tuple[datetime, list[str]]:
    # Two sets stated in the same second need an order that does not depend on which came first.
    return row["stated_at"], row["targets"]


def _link_row(link: LinkSet) -> dict[str, Any]:
    return {
        "evidence": link.evidence,
        "channel": link.channel,
        "stated_by": link.stated_by,
        "targets": sorted(link.targets),
        "stated_at": link.stated_at,
    }


async def _record_aliases(connection: Connection, heard: Iterable[Said]) -> set[Ref]:
    """Keep new names; returns every subject that is known by one of the names, or lives where a project was renamed."""
    rows = [
        {"old": alias.old, "new": alias.new, "renamed_at": alias.renamed_at, "delivery_id": one.delivery}
        for one in heard
        for alias in one.aliases
    ]
    if not rows:
        return set()
    await connection.execute(insert(aliases).on_conflict_do_nothing(), rows)
    return await _known_by(connection, {str(row[name]) for row in rows for name in ("old", "new")})


async def _known_by(connection: Connection, names: Collection[str]) -> set[Ref]:
    """Every subject that has, or had, one of the names, or lives in a project that has or had it."""
    if not names:
        return set()
    known = await all_aliases(connection)
    everywhere = set(names).union(*(known.names(Ref(name)) for name in names))
    # An experiment may be known by a name under which nothing was said.
    living = await connection.scalars(_LIVING_IN, {"names": sorted(everywhere)})
    # An experiment whose newest name is another one now may have come by it in several steps.
    roots = await connection.scalars(select(experiments.c.root))
    moved = {root for root in roots if known.canonical(Ref(root)) != root}
    return {Ref(subject) for subject in {*living, *everywhere, *moved}}


_LOCK_FOR_RENAME = text("LOCK TABLE aliases IN SHARE ROW EXCLUSIVE MODE")
_LOCK_AGAINST_RENAME = text("LOCK TABLE aliases IN ROW EXCLUSIVE MODE")

_LIVING_IN = text(
    """
    SELECT DISTINCT known.subject FROM unnest(CAST(:names AS text[])) AS project
    JOIN (SELECT subject FROM events UNION ALL SELECT root FROM experiments) AS known
        ON starts_with(known.subject, project || '#') OR starts_with(known.subject, project || '!')
        OR starts_with(known.subject, project || '@')
    """
)


async def all_aliases(connection: Connection) -> Aliases:
    """Every name that subjects have had."""
    rows = await connection.execute(select(aliases.c.old, aliases.c.new, aliases.c.renamed_at))
    return Aliases(Alias(Ref(row.old), Ref(row.new), row.renamed_at) for row in rows)


async def _touch(connection: Connection, subjects: Iterable[Ref]) -> None:
    rows = [{"subject": subject} for subject in sorted(set(subjects))]
    if rows:
        # What is new may be what lets a subject be projected that could not be before.
        renewed = {"mark": touch_marks.next_value(), "attempts": 0, "retry_at": None, "error": None}
        await connection.execute(
            insert(touched).on_conflict_do_update(index_elements=[touched.c.subject], set_=renewed), rows
        )


async def claim_touched(connection: Connection, limit: int, now: datetime) -> list[Ref]:
    """The longest touched subjects that no other worker holds; held until the transaction ends.

    Who touches one of them again meanwhile waits for the end of this transaction and makes a new mark. Those that were
    set aside are passed over until their time has come.
    """
    claimed = await connection.scalars(
        select(touched.c.subject)
        .where(or_(touched.c.retry_at.is_(None), touched.c.retry_at <= now))
        .order_by(touched.c.mark)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Ref(subject) for subject in claimed]


async def newest_mark(connection: Connection) -> int:
    """The newest of all touched marks; 0 where there is none."""
    return await connection.scalar(select(func.max(touched.c.mark))) or 0


async def is_touched(connection: Connection, mark: int, now: datetime) -> bool:
    """Whether a touched mark up to this one is still to be projected, those that were set aside for later left out."""
    due = or_(touched.c.retry_at.is_(None), touched.c.retry_at <= now)
    return await connection.scalar(select(exists().where(touched.c.mark <= mark, due))) or False


async def forget_touched(connection: Connection, subjects: Collection[Ref]) -> None:
    """Take the marks of subjects that are projected away."""
    await connection.execute(delete(touched).where(among(touched.c.subject, subjects)))


async def set_aside(connection: Connection, subject: Ref, error: str, now: datetime) -> None:
    """Leave a touched subject that cannot be projected for later: a minute at first, then twice as long each time."""
    await connection.execute(_SET_ASIDE, {"subject": subject, "error": error, "now": now})


_SET_ASIDE = text(
    """
    UPDATE touched SET attempts = attempts + 1, error = :error,
        retry_at = CAST(:now AS timestamptz) + interval '1 minute' * power(2, least(attempts, 10))
    WHERE subject = :subject
    """
)


async def links_around(connection: Connection, subjects: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """The links that decide what the subjects, what they serve and what serves them are, and what serves those.

    Returns:
        (evidence, target) pairs.
    """
    rows = await connection.execute(_AROUND, {"subjects": sorted(subjects)})
    return [(Ref(row.evidence), Ref(row.target)) for row in rows]


# A subject's own evidence, and all that this serves, tells which of them are experiments; what the subject serves,
# and all evidence of that, tells what those experiments are.
_AROUND = text(
    """
    WITH RECURSIVE below(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT links.evidence FROM below JOIN links ON links.targets @> ARRAY[below.subject]
    ), served(subject) AS (
        SELECT subject FROM below
        UNION
        SELECT unnest(links.targets) FROM served JOIN links ON links.evidence = served.subject
    ), above(subject) AS (
        SELECT unnest(CAST(:subjects AS text[]))
        UNION
        SELECT unnest(links.targets) FROM above JOIN links ON links.evidence = above.subject
    ), serving(subject) AS (
        SELECT subject FROM above
        UNION
        SELECT links.evidence FROM serving JOIN links ON links.targets @> ARRAY[serving.subject]
    )
    SELECT links.evidence, unnest(links.targets) AS target
    FROM (SELECT subject FROM served UNION SELECT subject FROM serving) AS around
    JOIN links ON links.evidence = around.subject
    """
)


async def events_of(connection: Connection, subjects: Collection[Ref]) -> dict[Ref, list[LifecycleEvent]]:
    """All committed events of the subjects.

    Raises:
        UnreadableEvent: an event was written by a newer version.
    """
    rows = await connection.execute(
        select(events.c.subject, events.c.kind, events.c.occurred_at, events.c.data).where(
            among(events.c.subject, subjects)
        )
    )
    found: dict[Ref, list[LifecycleEvent]] = {}
    for row in rows:
        subject = Ref(row.subject)
        found.setdefault(subject, []).append(read_event(row.kind, subject, row.occurred_at, row.data))
    return found


@dataclass(frozen=True, slots=True)
class Origin:
    """A delivery that brought an event, and the rule that made the event of it."""

    delivery: UUID
    source: str
    received_at: datetime
    rule: str


async def origins_of(connection: Connection, subjects: Collection[Ref]) -> dict[tuple[Ref, UUID], list[Origin]]:
    """Which deliveries brought each event of the subjects, the earliest first, by subject and event id."""
    rows = await connection.execute(
        select(event_deliveries, deliveries.c.source, deliveries.c.received_at)
        .join(deliveries, deliveries.c.id == event_deliveries.c.delivery_id)
        .where(among(event_deliveries.c.subject, subjects))
        .order_by(deliveries.c.received_at, deliveries.c.id)
    )
    origins: dict[tuple[Ref, UUID], list[Origin]] = {}
    for row in rows:
        origin = Origin(row.delivery_id, row.source, row.received_at, row.rule)
        origins.setdefault((Ref(row.subject), row.event_id), []).append(origin)
    return origins


async def lock_out_recording(connection: Connection) -> None:
    """Let nobody record until the transaction ends: what is about to be taken away is not being referred to anew."""
    await connection.execute(_LOCK_FOR_RENAME)


async def not_heard_of_since(connection: Connection, before: datetime, after: str, limit: int) -> list[Ref]:
    """Subjects of which nothing was received since a time, in alphabetical order, those that come after a name."""
    found = await connection.scalars(_NOT_HEARD_OF, {"before": before, "after": after, "limit": limit})
    return [Ref(subject) for subject in found]


async def still_not_heard_of(connection: Connection, before: datetime, subjects: Collection[Ref]) -> list[Ref]:
    """Those of the subjects of which still nothing was received since a time."""
    heard = await connection.scalars(
        select(events.c.subject).where(among(events.c.subject, subjects), events.c.received_at >= before)
    )
    return sorted(set(subjects) - set(map(Ref, heard)))


async def forget(connection: Connection, subjects: Collection[Ref]) -> None:
    """Forget everything that subjects said, and that was said about them."""
    for statement in _FORGET:
        await connection.execute(statement, {"subjects": sorted(subjects)})


_NOT_HEARD_OF = text(
    """
    SELECT subject FROM events WHERE subject COLLATE "C" > :after GROUP BY subject
    HAVING max(received_at) < :before ORDER BY subject COLLATE "C" LIMIT :limit
    """
)
_FORGET = (
    text("DELETE FROM events WHERE subject = ANY(:subjects)"),
    text("DELETE FROM event_deliveries WHERE subject = ANY(:subjects)"),
    text("DELETE FROM links WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
    text("DELETE FROM link_statements WHERE evidence = ANY(:subjects) OR stated_by = ANY(:subjects)"),
)

"""The schema. `alembic upgrade head` makes exactly this.

Every large table's key begins with a column that a distributed PostgreSQL can shard by: a delivery's id, which is
a hash, or a subject. Nothing refers across those by foreign key.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    Uuid,
    any_,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s",
        "ix": "%(table_name)s_%(column_0_N_name)s",
    }
)

_timestamp = DateTime(timezone=True)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, comment="zstd; null once its retention is over"),
    Column("body_bytes", Integer, nullable=False),
    Column("received_at", _timestamp, nullable=False),
    Column("verdict", Text, comment="null while pending"),
    Column("reason", Text),
    Column("rules", Text, comment="digest of the rules that came to the verdict"),
    Column("interpreted_at", _timestamp),
    PrimaryKeyConstraint("id"),
    CheckConstraint("verdict IN ('counted', 'ignored', 'failed')", name="verdict_known"),
    Index("deliveries_pending_by_source", "source", "received_at", "id", postgresql_where=text("verdict IS NULL")),
    Index("deliveries_held", "received_at", "id", postgresql_where=text("body IS NOT NULL AND verdict IS NOT NULL")),
    Index("deliveries_failed", "received_at", "id", postgresql_where=text("verdict = 'failed'")),
    Index("deliveries_counted", "interpreted_at", postgresql_where=text("verdict = 'counted'")),
    Index("deliveries_received_at", "received_at", "id"),
)
"""The inbox: every delivery as it came, and its verdict."""

events = Table(
    "events",
    metadata,
    Column("subject", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", _timestamp, nullable=False),
    Column("received_at", _timestamp, nullable=False),
    Column("data", JSONB, nullable=False),
    PrimaryKeyConstraint("subject", "id"),
)
"""Lifecycle events."""

event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("subject", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("rule", Text, nullable=False),
    PrimaryKeyConstraint("subject", "event_id", "delivery_id"),
    Index("event_deliveries_delivery_id", "delivery_id"),
)
"""Which deliveries brought an event, and by which rule."""

links = Table(
    "links",
    metadata,
    Column("evidence", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("stated_by", Text, nullable=False),
    Column("targets", ARRAY(Text), nullable=False),
    Column("stated_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("evidence", "channel", "stated_by"),
    # Without a list of what is still to be put in: each lookup would walk through all of that list.
    Index("links_targets", "targets", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)
"""The newest set of links that each subject states on each channel: those in force."""

link_statements = Table(
    "link_statements",
    metadata,
    Column("evidence", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("stated_by", Text, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("targets", ARRAY(Text), nullable=False),
    Column("stated_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("evidence", "channel", "stated_by", "delivery_id"),
    Index("link_statements_delivery_id", "delivery_id"),
)
"""Every set of links that was ever stated, and the delivery that brought it."""

aliases = Table(
    "aliases",
    metadata,
    Column("old", Text, nullable=False),
    Column("new", Text, nullable=False),
    Column("renamed_at", _timestamp, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    PrimaryKeyConstraint("old", "new", "renamed_at", "delivery_id"),
    Index("aliases_delivery_id", "delivery_id"),
)
"""Subjects and projects that were renamed, transferred or moved."""

touch_marks = Sequence("touch_marks", metadata=metadata, data_type=BigInteger)

touched = Table(
    "touched",
    metadata,
    Column("subject", Text, nullable=False),
    Column("mark", BigInteger, nullable=False, server_default=touch_marks.next_value()),
    Column("attempts", Integer, nullable=False, server_default="0", comment="how often projection failed since"),
    Column("retry_at", _timestamp, comment="set aside until then"),
    Column("error", Text),
    PrimaryKeyConstraint("subject"),
)
"""The subjects of which something was committed that projection has not seen."""

LATEST_INSTANT = "greatest(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at)"
"""The latest of an experiment's instants; where it lies ahead the experiment is in no figure yet."""
# In lines as PostgreSQL tells it, with one before them in the index, so that the two can be compared.
WANTED_UNTIL = """CASE
WHEN concluded_at IS NULL THEN 'infinity'::timestamp with time zone
ELSE GREATEST(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at, again_at)
END"""
"""Until when figures want an experiment: as long as one of their windows holds anything of it, or it is open."""

WITHOUT_TEAM = "team = '' OR starts_with(team, '_')"
"""Of experiments that no team is named for; names that begin with _ are ours, so that nobody's team is called so."""

experiments = Table(
    "experiments",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("root", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("risk", Text),
    Column("idea_at", _timestamp, nullable=False),
    Column("idea_inferred", Boolean, nullable=False),
    Column("started_at", _timestamp),
    Column("first_signal_at", _timestamp),
    Column("concluded_at", _timestamp),
    Column("outcome", Text),
    Column("failure_category", Text),
    Column("shared_at", _timestamp),
    Column("shipped_at", _timestamp),
    Column("last_activity_at", _timestamp, nullable=False),
    Column("title_key", Uuid, comment="what experiments of the same title have in common"),
    Column("again", JSONB(none_as_null=True), comment="each time that it was taken up again; null for never"),
    Column("again_at", _timestamp, comment="when it was taken up again last"),
    PrimaryKeyConstraint("id"),
    Index("experiments_root", "root", unique=True),
    Index("experiments_wanted_until", text(f"(\n{WANTED_UNTIL})")),
    Index("experiments_title", "title_key", "idea_at"),
    Index("experiments_first_idea", "team", "idea_at"),
    Index("experiments_last_answer", "team", "concluded_at", postgresql_where=text("outcome <> 'abandoned'")),
    Index(
        "experiments_last_shared_failure",
        "team",
        "shared_at",
        postgresql_where=text("outcome = 'failed' AND shared_at IS NOT NULL"),
    ),
    Index("experiments_idea_at", "idea_at", "id"),
    # With the idea, so that one who asks for old ideas by what was last need not look into every row.
    Index("experiments_last_activity_at", "last_activity_at", "id", postgresql_include=["idea_at"]),
    Index(
        "experiments_concluded_at",
        "concluded_at",
        "id",
        postgresql_include=["idea_at"],
        postgresql_where=text("concluded_at IS NOT NULL"),
    ),
    Index("experiments_open", "idea_at", "id", postgresql_where=text("concluded_at IS NULL")),
    Index("experiments_without_team", "idea_at", "id", postgresql_where=text(WITHOUT_TEAM)),
)
"""What the experiments look like now: derived from events and links, and made anew from them at any time."""

exclusions = Table(
    "exclusions",
    metadata,
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("excluded_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("subject"),
    Index("exclusions_excluded_at", "excluded_at"),
)
"""What was marked as an experiment and is left out of figures all the same: derived, as the experiments are."""

leases = Table(
    "leases",
    metadata,
    Column("name", Text, nullable=False),
    Column("holder", Uuid, nullable=False),
    Column("renewed_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("name"),
)
"""What one process at a time holds."""


def columns(names: Iterable[str], rows: Collection[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as one array for each of their columns, of which `unnest` makes rows again in a single statement."""
    return {name: [row[name] for row in rows] for name in names}


def array(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL writes it: arrays of different lengths can only travel like that in another."""
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def among(column: Column[str], values: Collection[str]) -> ColumnElement[bool]:
    """That a text column has one of the values, which travel as one array however many they are."""
    return column == any_(literal(sorted(values), ARRAY(Text)))

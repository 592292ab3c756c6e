"""The schema, exactly as `alembic upgrade head` creates it.

The key of every large table begins with a column by which a distributed PostgreSQL can shard the table: an id, which is
a hash, or a subject. There are no foreign keys, because they would cross shards.
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
    Date,
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
    Column("rules", Text, comment="digest of the rules that led to the verdict"),
    Column("interpreted_at", _timestamp),
    PrimaryKeyConstraint("id"),
    CheckConstraint("verdict IN ('counted', 'ignored', 'failed')", name="verdict_known"),
    Index("deliveries_pending_by_source", "source", "received_at", "id", postgresql_where=text("verdict IS NULL")),
    Index("deliveries_held", "received_at", "id", postgresql_where=text("body IS NOT NULL AND verdict IS NOT NULL")),
    Index("deliveries_failed", "received_at", "id", postgresql_where=text("verdict = 'failed'")),
    Index("deliveries_counted", "interpreted_at", postgresql_where=text("verdict = 'counted'")),
    Index("deliveries_received_at", "received_at", "id"),
)
"""The inbox: each delivery as it was received, and its verdict."""

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
"""Lifecycle events that folds read."""

spare_events = Table(
    "spare_events",
    metadata,
    Column("subject", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", _timestamp, nullable=False),
    Column("received_at", _timestamp, nullable=False),
    Column("data", JSONB, nullable=False),
    PrimaryKeyConstraint("subject", "id"),
)
"""Lifecycle events of busy subjects that thinning leaves out. An event may be in this table and in `events`."""

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
"""The deliveries that brought each event, and the rule that made the event."""

links = Table(
    "links",
    metadata,
    Column("evidence", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("stated_by", Text, nullable=False),
    Column("targets", ARRAY(Text), nullable=False),
    Column("stated_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("evidence", "channel", "stated_by"),
    # With `fastupdate`, each lookup would also scan the GIN index's list of pending entries.
    Index("links_targets", "targets", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)
"""The active set of links for each key (`evidence`, `channel` and `stated_by`): the newest set that was stated."""

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
"""Each set of links that was stated, and the delivery that stated the set."""

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

pushes = Table(
    "pushes",
    metadata,
    Column("id", Uuid, nullable=False, comment="a digest of the push"),
    Column("delivery_id", Uuid, nullable=False),
    Column("project", Text, nullable=False),
    Column("before", Text, comment="null if the commits do not stand on the previous commit of the branch"),
    Column("commits", ARRAY(Text), nullable=False, comment="the new commits, the oldest first"),
    Column("linear", Boolean, nullable=False, comment="whether each commit stands on the one in front of it"),
    Column("pushed_at", _timestamp, nullable=False),
    Column("received_at", _timestamp, nullable=False),
    Column("deployed", Boolean, nullable=False, server_default="false", comment="whether a deployment names a commit"),
    Column("condensed", Boolean, nullable=False, server_default="false", comment="whether it stands for old pushes"),
    PrimaryKeyConstraint("id", "delivery_id"),
    Index("pushes_delivery_id", "delivery_id"),
    Index("pushes_received_at", "received_at", "id", postgresql_where=text("NOT condensed")),
    Index("pushes_before", "before", postgresql_where=text("before IS NOT NULL")),
    Index("pushes_commits", "commits", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    Index("pushes_deployed", "project", "pushed_at", postgresql_where=text("deployed")),
)
"""Pushes that moved a default branch: they tell which commits a deployed commit contains."""

identities = Table(
    "identities",
    metadata,
    Column("holder", Text, nullable=False, comment="the id on its site: see service/lifecycle/identities.py"),
    Column("name", Text, nullable=False),
    Column("first_at", _timestamp, nullable=False, comment="the earliest time at which a delivery shows the name"),
    Column("last_day", Date, nullable=False, comment="the latest such day"),
    Column("sources", ARRAY(Text), nullable=False, comment="the sources of these deliveries"),
    Column("is_shared", Boolean, nullable=False, comment="whether all readers of names need this row"),
    PrimaryKeyConstraint("holder", "name"),
    Index("identities_name", "name"),
    Index("identities_shared", "holder", postgresql_where=text("is_shared")),
)
"""The ids of projects and items, and the names that each id has had.

`is_shared` is true for projects, and for items that have had several names. The others are many, and only tell whether
an item has got another name.
"""

identity_version = Table(
    "identity_version",
    metadata,
    Column("singleton", Boolean, nullable=False),
    Column("version", Uuid, nullable=False, comment="changes with each change of a shared row of `identities`"),
    PrimaryKeyConstraint("singleton"),
    CheckConstraint("singleton", name="is_single"),
)
"""One row, by which a process knows whether its copy of the shared rows of `identities` is current."""

touch_marks = Sequence("touch_marks", metadata=metadata, data_type=BigInteger)

touched = Table(
    "touched",
    metadata,
    Column("subject", Text, nullable=False),
    Column("mark", BigInteger, nullable=False, server_default=touch_marks.next_value()),
    Column("attempts", Integer, nullable=False, server_default="0", comment="failed projections since the last change"),
    Column("retry_at", _timestamp, comment="the subject is set aside until then"),
    Column("error", Text),
    PrimaryKeyConstraint("subject"),
)
"""Dirty subjects: subjects with committed changes that are not projected yet."""

LATEST_INSTANT = "greatest(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at)"
"""The latest instant of an experiment. While this instant lies in the future, no metric counts the experiment."""
# PostgreSQL prints the expression of the index `experiments_wanted_until` in exactly this form, after a line break: a
# test compares the two texts.
WANTED_UNTIL = """CASE
WHEN concluded_at IS NULL THEN 'infinity'::timestamp with time zone
ELSE GREATEST(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at, again_at)
END"""
"""The latest instant of a concluded experiment, including restarts; for an open experiment, infinity.

A window that begins later contains no instant of the experiment. Every window needs the open experiments, so their
value is infinity.
"""

WITHOUT_TEAM = "team = '' OR starts_with(team, '_')"
"""The condition for experiments without a team. Names with a leading _ are values of labels, not teams."""

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
    Column("title_key", Uuid, comment="a digest of the title; null if the title has no letter and no digit"),
    Column("again", JSONB(none_as_null=True), comment="the restarts of the experiment; null if it has none"),
    Column("again_at", _timestamp, comment="the time of the last restart"),
    PrimaryKeyConstraint("id"),
    Index("experiments_root", "root", unique=True),
    # A B-tree index would refuse a long address.
    Index("experiments_url", "url", postgresql_using="hash", postgresql_where=text("url <> ''")),
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
    # This index includes `idea_at`, so that a list filtered by `idea_at` and sorted by activity reads only the index.
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
"""Experiments as last projected. The table is derived from events and links, and can be rebuilt at any time."""

exclusions = Table(
    "exclusions",
    metadata,
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("excluded_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("subject"),
    Index("exclusions_excluded_at", "excluded_at"),
)
"""Subjects that are or were marked as experiments, and are left out of metrics.

The table is derived in the same way as `experiments`.
"""

leases = Table(
    "leases",
    metadata,
    Column("name", Text, nullable=False),
    Column("holder", Uuid, nullable=False),
    Column("renewed_at", _timestamp, nullable=False),
    PrimaryKeyConstraint("name"),
)
"""Leases. Each lease belongs to one process at a time."""


def columns(names: Iterable[str], rows: Collection[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Transpose rows into one array for each column, so that one statement can insert all rows with `unnest`."""
    return {name: [row[name] for row in rows] for name in names}


def array(values: Iterable[str]) -> str:
    """Format an array of texts as PostgreSQL does.

    PostgreSQL cannot nest arrays of different lengths. A statement that inserts many rows with an array in each row
    therefore gets each of these arrays as one text in this format.
    """
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def among(column: Column[str], values: Collection[str]) -> ColumnElement[bool]:
    """The condition that a text column has one of the values. All values are passed as one array parameter."""
    return column == any_(literal(sorted(values), ARRAY(Text)))

"""Create the inbox, lifecycle events with their provenance, links, and experiments.

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("touch_marks", data_type=sa.BigInteger)))
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="zstd; null once its retention is over"),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True, comment="null while pending"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rules", sa.Text(), nullable=True, comment="digest of the rules that led to the verdict"),
        sa.Column("interpreted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("verdict IN ('counted', 'ignored', 'failed')", name=op.f("deliveries_verdict_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
    )
    # Bodies are compressed already, so PostgreSQL must not compress them again.
    op.execute("ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL")
    op.create_index(
        "deliveries_pending",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        postgresql_where=sa.text("verdict IS NULL"),
    )
    op.create_index("deliveries_received_at", "deliveries", ["received_at", "id"], unique=False)
    op.create_table(
        "aliases",
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("renamed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("old", "new", "renamed_at", "delivery_id", name=op.f("aliases_pkey")),
    )
    op.create_index("aliases_delivery_id", "aliases", ["delivery_id"], unique=False)
    op.create_table(
        "event_deliveries",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "event_id", "delivery_id", name=op.f("event_deliveries_pkey")),
    )
    op.create_index("event_deliveries_delivery_id", "event_deliveries", ["delivery_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("subject", "id", name=op.f("events_pkey")),
    )
    op.create_table(
        "experiments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=True),
        sa.Column("idea_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idea_inferred", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_signal_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("concluded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("failure_category", sa.Text(), nullable=True),
        sa.Column("shared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("experiments_pkey")),
    )
    op.create_index("experiments_root", "experiments", ["root"], unique=True)
    op.create_table(
        "links",
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("stated_by", sa.Text(), nullable=False),
        sa.Column("targets", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("evidence", "channel", "stated_by", name=op.f("links_pkey")),
    )
    op.create_table(
        "link_statements",
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("stated_by", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("targets", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("evidence", "channel", "stated_by", "delivery_id", name=op.f("link_statements_pkey")),
    )
    op.create_index("link_statements_delivery_id", "link_statements", ["delivery_id"], unique=False)
    op.create_index("links_targets", "links", ["targets"], unique=False, postgresql_using="gin")
    op.create_table(
        "touched",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("mark", sa.BigInteger(), server_default=sa.text("nextval('touch_marks')"), nullable=False),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="failed projections since the last change",
        ),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True, comment="the subject is set aside until then"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("touched_pkey")),
    )


def downgrade() -> None:
    derived = ("touched", "experiments", "link_statements", "links")
    for table in (*derived, "event_deliveries", "events", "aliases", "deliveries"):
        op.drop_table(table)
    op.execute(sa.schema.DropSequence(sa.Sequence("touch_marks")))

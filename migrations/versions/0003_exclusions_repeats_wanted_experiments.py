"""Add the table `exclusions`, the columns for repeated experiments, and the indexes that a snapshot uses.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WANTED_UNTIL = """CASE
WHEN concluded_at IS NULL THEN 'infinity'::timestamp with time zone
ELSE GREATEST(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at, again_at)
END"""
# Mark as dirty every subject that is an experiment, or that an event ever declared to be one. The next projection of
# each of these subjects then stores an experiment or an exclusion.
_MARK_DIRTY = """
    INSERT INTO touched (subject, retry_at)
    SELECT subject, 'infinity' FROM (
        SELECT root AS subject FROM experiments
        UNION
        SELECT subject FROM events WHERE kind = 'declared' AND data ->> 'field' = 'experiment'
    ) AS marked
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    # Until the migration commits, no other transaction can mark a subject dirty, or clear or postpone a mark. This lock
    # does not prevent deadlocks: a transaction that has written to `deliveries` or `experiments` and now waits for
    # `touched` blocks the migration, which locks those tables below. PostgreSQL then aborts one of the two.
    op.execute("LOCK TABLE touched IN EXCLUSIVE MODE")
    op.create_table(
        "exclusions",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("excluded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("exclusions_pkey")),
    )
    op.create_index("exclusions_excluded_at", "exclusions", ["excluded_at"], unique=False)
    op.execute(_MARK_DIRTY)
    _change_experiments()
    # Create this index last: it blocks writes to `deliveries` until the migration commits.
    op.create_index(
        "deliveries_counted",
        "deliveries",
        ["interpreted_at"],
        unique=False,
        postgresql_where=sa.text("verdict = 'counted'"),
    )


def _change_experiments() -> None:
    op.add_column(
        "experiments",
        sa.Column(
            "title_key",
            sa.Uuid(),
            nullable=True,
            comment="a digest of the title; null if the title has no letter and no digit",
        ),
    )
    op.add_column(
        "experiments",
        sa.Column(
            "again",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the restarts of the experiment; null if it has none",
        ),
    )
    op.add_column(
        "experiments",
        sa.Column("again_at", sa.DateTime(timezone=True), nullable=True, comment="the time of the last restart"),
    )
    op.create_index("experiments_wanted_until", "experiments", [sa.text(f"({_WANTED_UNTIL})")], unique=False)
    op.create_index("experiments_title", "experiments", ["title_key", "idea_at"], unique=False)
    op.create_index("experiments_first_idea", "experiments", ["team", "idea_at"], unique=False)
    op.create_index(
        "experiments_last_answer",
        "experiments",
        ["team", "concluded_at"],
        unique=False,
        postgresql_where=sa.text("outcome <> 'abandoned'"),
    )
    op.create_index(
        "experiments_last_shared_failure",
        "experiments",
        ["team", "shared_at"],
        unique=False,
        postgresql_where=sa.text("outcome = 'failed' AND shared_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("exclusions")
    op.drop_index("deliveries_counted", table_name="deliveries")
    for index in ("wanted_until", "title", "first_idea", "last_answer", "last_shared_failure"):
        op.drop_index(f"experiments_{index}", table_name="experiments")
    for column in ("title_key", "again", "again_at"):
        op.drop_column("experiments", column)

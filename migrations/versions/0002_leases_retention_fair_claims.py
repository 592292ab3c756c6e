"""Add the table `leases`, and indexes for three queries on deliveries.

The queries claim equal shares of the pending deliveries of each source, find the oldest bodies of processed deliveries
to delete them, and list failed deliveries.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("leases_pkey")),
    )
    op.create_index(
        "deliveries_pending_by_source",
        "deliveries",
        ["source", "received_at", "id"],
        unique=False,
        postgresql_where=sa.text("verdict IS NULL"),
    )
    op.create_index(
        "deliveries_held",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        postgresql_where=sa.text("body IS NOT NULL AND verdict IS NOT NULL"),
    )
    op.create_index(
        "deliveries_failed",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        postgresql_where=sa.text("verdict = 'failed'"),
    )


def downgrade() -> None:
    op.drop_index("deliveries_failed", table_name="deliveries")
    op.drop_index("deliveries_held", table_name="deliveries")
    op.drop_index("deliveries_pending_by_source", table_name="deliveries")
    op.drop_table("leases")

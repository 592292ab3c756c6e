"""One index of pending deliveries, not two: every delivery was put into both, and taken out of both.

The release before asks for the oldest of all that is pending, which it then counts in the other index.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever reads for long (a backup, a rehearsal) is waited for, and whoever stores deliveries would wait behind us.
    op.execute("SET LOCAL lock_timeout = '1s'")
    op.drop_index("deliveries_pending", table_name="deliveries")
    op.execute("SET LOCAL lock_timeout = 0")


def downgrade() -> None:
    op.create_index(
        "deliveries_pending",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        postgresql_where=sa.text("verdict IS NULL"),
    )

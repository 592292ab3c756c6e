"""Drop the index `deliveries_pending`, to save the work of adding every delivery to it and of removing it again.

The index `deliveries_pending_by_source` contains the same deliveries. The previous release may still be running: its
query for the oldest pending delivery then uses that index.

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
    # Limit the wait: DROP INDEX waits for long reads, such as a backup or a dry run, and meanwhile blocks all writers.
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

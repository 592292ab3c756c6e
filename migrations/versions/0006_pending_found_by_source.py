"""Drop the index `deliveries_pending`, because maintaining the index costs time for each delivery.

The index `deliveries_pending_by_source` contains the same deliveries. A process of the previous release may still run;
its query for the oldest pending delivery then uses `deliveries_pending_by_source`.

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
    # Limit the wait: DROP INDEX waits for long reads, such as a backup or a dry run, and meanwhile blocks all later
    # reads and writes of `deliveries`.
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

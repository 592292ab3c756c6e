"""One index of pending deliveries, not two: every delivery was put into both, and taken out of both.

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
    op.drop_index("deliveries_pending", table_name="deliveries")


def downgrade() -> None:
    op.create_index(
        "deliveries_pending",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        postgresql_where=sa.text("verdict IS NULL"),
    )

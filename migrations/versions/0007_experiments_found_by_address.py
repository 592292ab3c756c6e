"""Add the index that finds an experiment by the address of its page.

A hash index accepts an address of any length.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "experiments_url",
        "experiments",
        ["url"],
        unique=False,
        postgresql_using="hash",
        postgresql_where=sa.text("url <> ''"),
    )


def downgrade() -> None:
    op.drop_index("experiments_url", table_name="experiments")

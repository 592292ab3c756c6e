"""Add the indexes for lists of experiments.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("experiments_idea_at", "experiments", ["idea_at", "id"], unique=False)
    op.create_index(
        "experiments_last_activity_at",
        "experiments",
        ["last_activity_at", "id"],
        unique=False,
        postgresql_include=["idea_at"],
    )
    op.create_index(
        "experiments_concluded_at",
        "experiments",
        ["concluded_at", "id"],
        unique=False,
        postgresql_include=["idea_at"],
        postgresql_where=sa.text("concluded_at IS NOT NULL"),
    )
    op.create_index(
        "experiments_open",
        "experiments",
        ["idea_at", "id"],
        unique=False,
        postgresql_where=sa.text("concluded_at IS NULL"),
    )
    op.create_index(
        "experiments_without_team",
        "experiments",
        ["idea_at", "id"],
        unique=False,
        postgresql_where=sa.text("team = '' OR starts_with(team, '_')"),
    )


def downgrade() -> None:
    for index in ("idea_at", "last_activity_at", "concluded_at", "open", "without_team"):
        op.drop_index(f"experiments_{index}", table_name="experiments")

"""The index by which links are found from their targets keeps no list of what is still to be put in.

Each lookup walks through all of that list, which grows until PostgreSQL vacuums or analyses the table.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER INDEX links_targets SET (fastupdate = off)")
    op.execute("SELECT gin_clean_pending_list('links_targets')")


def downgrade() -> None:
    op.execute("ALTER INDEX links_targets RESET (fastupdate)")

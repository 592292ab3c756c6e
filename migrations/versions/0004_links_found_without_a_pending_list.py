"""Turn off the pending list of the GIN index on link targets.

Each lookup in the index scans the whole pending list, which can grow to 4 MB (`gin_pending_list_limit`) between two
vacuums.

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

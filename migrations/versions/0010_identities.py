"""Add the ids of projects and items, and the names that each id has had.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column(
            "holder", sa.Text(), nullable=False, comment="the id on its site: see service/lifecycle/identities.py"
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "first_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the earliest time at which a delivery shows the name",
        ),
        sa.Column("last_day", sa.Date(), nullable=False, comment="the latest such day"),
        sa.Column("sources", sa.ARRAY(sa.Text()), nullable=False, comment="the sources of these deliveries"),
        sa.Column("is_shared", sa.Boolean(), nullable=False, comment="whether all readers of names need this row"),
        sa.PrimaryKeyConstraint("holder", "name", name=op.f("identities_pkey")),
    )
    op.create_index("identities_name", "identities", ["name"], unique=False)
    op.create_index("identities_shared", "identities", ["holder"], unique=False, postgresql_where=sa.text("is_shared"))
    op.create_table(
        "identity_version",
        sa.Column("singleton", sa.Boolean(), nullable=False),
        sa.Column(
            "version",
            sa.Uuid(),
            nullable=False,
            comment="changes with each change of a shared row of `identities`",
        ),
        sa.CheckConstraint("singleton", name=op.f("identity_version_is_single")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("identity_version_pkey")),
    )


def downgrade() -> None:
    op.drop_table("identity_version")
    op.drop_table("identities")

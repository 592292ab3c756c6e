"""Add the table of the pushes to default branches.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pushes",
        sa.Column("id", sa.Uuid(), nullable=False, comment="a digest of the push"),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column(
            "before",
            sa.Text(),
            nullable=True,
            comment="null if the commits do not stand on the previous commit of the branch",
        ),
        sa.Column("commits", postgresql.ARRAY(sa.Text()), nullable=False, comment="the new commits, the oldest first"),
        sa.Column(
            "linear", sa.Boolean(), nullable=False, comment="whether each commit stands on the one in front of it"
        ),
        sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "deployed",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="whether a deployment names a commit",
        ),
        sa.Column(
            "condensed",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="whether it stands for old pushes",
        ),
        sa.PrimaryKeyConstraint("id", "delivery_id", name=op.f("pushes_pkey")),
    )
    op.create_index("pushes_delivery_id", "pushes", ["delivery_id"])
    op.create_index("pushes_received_at", "pushes", ["received_at", "id"], postgresql_where=sa.text("NOT condensed"))
    op.create_index("pushes_before", "pushes", ["before"], postgresql_where=sa.text("before IS NOT NULL"))
    op.create_index(
        "pushes_commits", "pushes", ["commits"], postgresql_using="gin", postgresql_with={"fastupdate": "off"}
    )
    op.create_index("pushes_deployed", "pushes", ["project", "pushed_at"], postgresql_where=sa.text("deployed"))


def downgrade() -> None:
    op.drop_table("pushes")

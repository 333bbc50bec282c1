"""Whose a job is and who waits for it, how often its process died, and what it warns of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; jobs of before have their defaults."""
    op.add_column("jobs", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("owner", sa.String(64)))
    op.add_column("jobs", sa.Column("waited_for", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("warnings", sa.JSON, nullable=False, server_default="[]"))

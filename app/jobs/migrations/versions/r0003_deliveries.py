"""What is sent out when a job has ended, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and their index; jobs of before have nothing to send."""
    op.add_column("jobs", sa.Column("deliveries", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("jobs", sa.Column("deliver_at", sa.DateTime(timezone=True)))
    op.create_index("jobs_by_delivery", "jobs", ["deliver_at"])

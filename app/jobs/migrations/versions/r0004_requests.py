"""By which key a request can be repeated, what it was, and which trace it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns and their index; jobs of before have none of it."""
    op.add_column("jobs", sa.Column("claim", sa.String(64)))
    op.add_column("jobs", sa.Column("fingerprint", sa.String(64)))
    op.add_column("jobs", sa.Column("traceparent", sa.String(55)))
    op.create_index("one_job_a_claim", "jobs", ["claim"], unique=True)

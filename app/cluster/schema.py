"""The tables that only a cluster has, in the same PostgreSQL as the jobs."""

from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

from app.jobs import schema
from app.jobs.schema import UtcDateTime, jobs

metadata = MetaData()

parts = Table(
    "parts",
    metadata,
    Column("job_id", String(63), ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("first", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("queue", String(16), nullable=False),
    Column("owner", String(64)),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("fps", Float, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("beat_at", UtcDateTime),
)
Index("parts_by_state", parts.c.state)

workers = Table(
    "workers",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("model", JSON(none_as_null=True)),
    Column("problem", JSON(none_as_null=True)),
    Column("seen_at", UtcDateTime, nullable=False),
)


def open_database(url: str) -> Engine:
    """Open the job database with these tables as well. Raises what ``app.jobs.schema.open_database`` does."""
    engine = schema.open_database(url)
    schema.create_tables(engine, metadata)
    return engine

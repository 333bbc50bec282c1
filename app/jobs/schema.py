"""The tables of the job database, for SQLite and PostgreSQL alike, and the engine that reaches them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    event,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from app.errors import IncompatibleData

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 10_000
"""How long a statement waits for another process's write; writes here last well under a millisecond."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant in UTC, timezone-aware in Python also where the database stores no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware instant into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the stored instant as an aware one."""
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(63), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("avatar_id", String(63), nullable=False),
    Column("params", JSON, nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("frames_total", Integer, nullable=False),
    Column("fps", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("cancel_requested_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("revision", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("jobs_by_state", jobs.c.state, jobs.c.number)
Index("jobs_by_avatar", jobs.c.avatar_id, jobs.c.number)

_being_made = (jobs.c.kind == "avatar") & jobs.c.state.in_(["queued", "running"])
AVATAR_CLAIM = Index(
    "one_job_makes_an_avatar",
    jobs.c.avatar_id,
    unique=True,
    sqlite_where=_being_made,
    postgresql_where=_being_made,
)
"""Of two jobs that would make the same avatar, the database lets one in, however close together they come."""

versions = Table("schema_version", metadata, Column("version", Integer, primary_key=True))


def open_database(path: Path) -> Engine:
    """Open, and where needed create, the SQLite job database at ``path``.

    Raises ``IncompatibleData`` where the file is no such database or has another schema version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=56)
    event.listen(engine, "connect", _tune_sqlite)
    try:
        _create(engine)
    except OperationalError:
        raise
    except DatabaseError as error:
        engine.dispose()
        raise IncompatibleData(f"{path} is not a job database: {error.orig}. Move it away.") from error
    return engine


def _create(engine: Engine) -> None:
    metadata.create_all(engine)
    first = select(literal(SCHEMA_VERSION)).where(~select(versions.c.version).exists())
    with engine.begin() as connection:
        connection.execute(insert(versions).from_select(["version"], first))
        found = connection.scalars(select(versions.c.version)).one()
    if found != SCHEMA_VERSION:
        raise IncompatibleData(
            f"The job database has schema version {found}, this release needs {SCHEMA_VERSION}: "
            "move the data folder away, or run the release that wrote it."
        )


def _tune_sqlite(connection: Any, record: object) -> None:
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")

"""The tables of the job database, and the engine that opens it, for SQLite and PostgreSQL."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
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
    false,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from app.errors import DatabaseUnreachable, DataFolderError, IncompatibleData
from app.jobs.migrations import migrate

SCHEMA = 0x6D6F757468
"""PostgreSQL's advisory lock that whoever changes the schema holds: of several, one does all of it."""
SERVICE = SCHEMA + 1
"""PostgreSQL's advisory lock that the one service on a database holds."""
CONNECT_SECONDS = 5
"""How long a connection to PostgreSQL may take."""
SILENT_SECONDS = 10
"""How long the host of PostgreSQL may acknowledge nothing until a connection to it is given up."""
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
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


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
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("owner", String(64)),
    Column("claim", String(64)),
    Column("fingerprint", String(64)),
    Column("traceparent", String(55)),
    Column("waited_for", Boolean, nullable=False, server_default=false()),
    Column("error", JSON(none_as_null=True)),
    Column("warnings", JSON, nullable=False, server_default="[]"),
    Column("deliveries", JSON, nullable=False, server_default="[]"),
    Column("deliver_at", UtcDateTime),
    Column("cancel_requested_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("revision", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("jobs_by_state", jobs.c.state, jobs.c.number)
Index("jobs_by_avatar", jobs.c.avatar_id, jobs.c.number)
Index("jobs_by_delivery", jobs.c.deliver_at)
Index("one_job_a_claim", jobs.c.claim, unique=True)

MAKES_AVATAR = (jobs.c.kind == "avatar") & jobs.c.state.in_(["queued", "running"])
"""Of two jobs that would make the same avatar, the database lets one in, however close together they come."""
Index(
    "one_job_makes_an_avatar",
    jobs.c.avatar_id,
    unique=True,
    sqlite_where=MAKES_AVATAR,
    postgresql_where=MAKES_AVATAR,
)


def open_database(where: Path | str) -> Engine:
    """Open, and where needed create, the job database: an SQLite file, or PostgreSQL at an address.

    Raises ``IncompatibleData`` where there is another database or one of a newer release, and
    ``DatabaseUnreachable`` where PostgreSQL does not answer, or the volume of the file is full or read-only.
    """
    engine = _sqlite(where) if isinstance(where, Path) else postgresql_engine(where)
    try:
        with engine.begin() as connection:
            if isinstance(where, Path):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none to change the schema
                _check_integrity(connection, where)
            else:
                connection.execute(select(func.pg_advisory_xact_lock(SCHEMA)))
            migrate(connection)
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DatabaseError) and (meant := _meaning(error, where)):
            raise meant from error
        raise
    return engine


def postgresql_engine(url: str) -> Engine:
    """Return an engine for PostgreSQL at an address; nothing is connected to, made or looked at yet."""
    # A connection is tried before it is used: after a restart of PostgreSQL all that were kept are dead.
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=8,
        max_overflow=56,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "mouthpiece",
            "tcp_user_timeout": SILENT_SECONDS * 1000,
            "keepalives_idle": SILENT_SECONDS // 2,
            "keepalives_interval": SILENT_SECONDS // 5,
        },
    )
    event.listen(engine, "connect", _tune_postgresql)
    return engine


def _sqlite(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=56)
    event.listen(engine, "connect", _tune_sqlite)
    return engine


def _meaning(error: DatabaseError, where: Path | str) -> DataFolderError | None:
    """Return what to say of a database that could not be opened, if that can be known."""
    operational = isinstance(error, OperationalError)
    if not isinstance(where, Path):
        return DatabaseUnreachable(f"PostgreSQL cannot be reached: {error.orig}") if operational else None
    if not operational:
        return IncompatibleData(f"{where} is not a job database: {error.orig}. Move it away.")
    # All but an error in a statement are no fault of the file's (https://sqlite.org/rescode.html).
    if isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
        return DatabaseUnreachable(
            f"{where} cannot be opened: {error.orig}. Make room on the volume, or stop what blocks "
            "writing to it, and start again."
        )
    return None


def _check_integrity(connection: Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise IncompatibleData(
            f"{path} is damaged: {found}. Move it away: the service then starts with no jobs; avatars stay. "
            "Copy the results that you need out of jobs/: a start after the next job deletes them."
        )


def _tune_postgresql(connection: Any, record: object) -> None:
    """Have the server, too, give up a connection whose other end is gone: it may hold the service's lock."""
    for name, value in {
        "keepalives_idle": SILENT_SECONDS // 2,
        "keepalives_interval": SILENT_SECONDS // 5,
        "keepalives_count": 3,
        "user_timeout": SILENT_SECONDS * 1000,
    }.items():
        connection.execute(f"SET tcp_{name} = {value}")
    connection.commit()


def _tune_sqlite(connection: Any, record: object) -> None:
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")

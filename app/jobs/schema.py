"""The tables of the job database, and the engine that opens it, for SQLite and PostgreSQL."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError

from app.errors import DatabaseUnreachable, DataFolderError, IncompatibleData
from app.jobs.job import JobKind, JobState
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


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An instant in UTC, timezone-aware in Python also where the database stores no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn any aware instant into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return the stored instant as an aware one."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


metadata = sa.MetaData()

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.String(63), nullable=False, unique=True),
    sa.Column("kind", sa.Enum(JobKind, values_callable=list, native_enum=False, length=16), nullable=False),
    sa.Column("state", sa.Enum(JobState, values_callable=list, native_enum=False, length=16), nullable=False),
    sa.Column("avatar_id", sa.String(63), nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("frames_done", sa.Integer, nullable=False),
    sa.Column("frames_total", sa.Integer, nullable=False),
    sa.Column("fps", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.String(64)),
    sa.Column("claim", sa.String(64)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("traceparent", sa.String(55)),
    sa.Column("waited_for", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("warnings", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("deliveries", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("deliver_at", UtcDateTime),
    sa.Column("cancel_requested_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("revision", sa.Integer, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("jobs_by_state", jobs.c.state, jobs.c.number)
sa.Index("jobs_by_avatar", jobs.c.avatar_id, jobs.c.number)
sa.Index("jobs_by_delivery", jobs.c.deliver_at)
sa.Index("one_job_a_claim", jobs.c.claim, unique=True)

MAKES_AVATAR = (jobs.c.kind == JobKind.AVATAR) & jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
"""Of two jobs that would make the same avatar, the database lets one in, however close together they come."""
sa.Index(
    "one_job_makes_an_avatar",
    jobs.c.avatar_id,
    unique=True,
    sqlite_where=MAKES_AVATAR,
    postgresql_where=MAKES_AVATAR,
)


def open_database(where: Path | str) -> sa.Engine:
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
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA)))
            migrate(connection)
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DatabaseError) and (meant := _meaning(error, where)):
            raise meant from error
        raise
    return engine


def postgresql_engine(url: str) -> sa.Engine:
    """Return an engine for PostgreSQL at an address; nothing is connected to, made or looked at yet."""
    # A connection is tried before it is used: after a restart of PostgreSQL all that were kept are dead.
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"),
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


def _sqlite(path: Path) -> sa.Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=56)
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


def _check_integrity(connection: sa.Connection, path: Path) -> None:
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

"""The job table: the one record of all jobs, for SQLite and PostgreSQL alike, by one service at a time.

Every change is one transaction, hence atomic, and none touches a job that has ended, except to forget it, or
to note what became of its deliveries. A job with deliveries to come does not expire.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.errors import AvatarExists, DatabaseUnreachable, DataFolderInUse, IncompatibleData, JobNotFound
from app.jobs.job import TERMINAL_STATES, Delivery, Job, JobKind, JobState, NewJob, due_at
from app.jobs.schema import MAKES_AVATAR, SERVICE, jobs

_FIELDS: Final = [column for column in jobs.c if column is not jobs.c.deliver_at]
_JOBS: Final = sa.select(*_FIELDS)
_ENDED: Final = jobs.c.state.in_(TERMINAL_STATES)
_THIS_SESSION: Final = sa.text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_END_SESSION: Final = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE granted"
    " AND locktype = 'advisory' AND classid = :high AND objid = :low AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND pid = :pid AND backend_start = :backend_start"
).bindparams(high=SERVICE >> 32, low=SERVICE & 0xFFFFFFFF)
"""Ends the session that holds the lock of a service if it is this one; no row if it is not."""


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and the cursor that gets the next ones; None after the last."""

    jobs: list[Job]
    next_cursor: int | None


class JobTable:
    """The records of all jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._holder: sa.Connection | None = None
        self._held_by: dict[str, Any] = {}
        """PostgreSQL's session that took the lock last: its process, and when it began."""
        self._file = self._file_now()

    def insert(self, new: NewJob, *, replaces: bool = False) -> Job:
        """Add a job; if it ``replaces``, one of its id that has ended is forgotten with that, or neither.

        Raises ``AvatarExists`` where a job that makes the same avatar is in progress.
        """
        values = vars(Job(**vars(new))) | {"deliver_at": due_at(new.deliveries)}
        del values["number"]  # the database gives it
        try:
            with self._engine.begin() as connection:
                if replaces:
                    connection.execute(sa.delete(jobs).where(jobs.c.id == new.id, _ENDED))
                rows = connection.execute(sa.insert(jobs).values(values).returning(*_FIELDS))
                return Job(**rows.mappings().one())
        except IntegrityError:
            raise _being_made(new.avatar_id) from None

    def check_avatar_free(self, avatar_id: str) -> None:
        """Raise ``AvatarExists`` if a job that makes this avatar is in progress."""
        if self._read(_JOBS.where(MAKES_AVATAR, jobs.c.avatar_id == avatar_id)):
            raise _being_made(avatar_id)

    def get(self, job_id: str) -> Job:
        """Return a job. Raises ``JobNotFound``."""
        found = self._read(_JOBS.where(jobs.c.id == job_id))
        if not found:
            raise JobNotFound(f"There is no job {job_id[:80]!r}; it may have expired.")
        return found[0]

    def claimed(self, claim: str) -> str | None:
        """Return the id of the job that was made under a claim."""
        found = self._read(_JOBS.where(jobs.c.claim == claim))
        return found[0].id if found else None

    def page(
        self,
        *,
        state: JobState | None = None,
        avatar_id: str | None = None,
        limit: int = 50,
        cursor: int | None = None,
    ) -> JobPage:
        """Return up to ``limit`` jobs, newest first, from ``cursor`` on."""
        wanted = {jobs.c.state: state, jobs.c.avatar_id: avatar_id}
        filters = [column == value for column, value in wanted.items() if value is not None]
        if cursor is not None:
            filters.append(jobs.c.number <= cursor)
        found = self._read(_JOBS.where(*filters).order_by(jobs.c.number.desc()).limit(limit + 1))
        return JobPage(found[:limit], found[limit].number if len(found) > limit else None)

    def counts(self) -> dict[tuple[JobKind, JobState], int]:
        """Return how many jobs there are of each kind in each state."""
        statement = sa.select(jobs.c.kind, jobs.c.state, sa.func.count()).group_by(jobs.c.kind, jobs.c.state)
        with self._engine.connect() as connection:
            return {(kind, state): count for kind, state, count in connection.execute(statement)}

    def open_jobs(self) -> list[Job]:
        """Return the jobs that wait or work, oldest first."""
        return self._read(_JOBS.where(~_ENDED).order_by(jobs.c.number))

    def save(self, job: Job) -> bool:
        """Write down how an open job stands.

        Return False if it is not there, has ended already, or is on record as it stood later.
        """
        older = sa.update(jobs).where(jobs.c.number == job.number, jobs.c.revision <= job.revision, ~_ENDED)
        values = {name: value for name, value in vars(job).items() if name != "number"}
        return bool(self._change(older.values(values)))

    def due(self, now: datetime, limit: int, offset: int = 0) -> list[Job]:
        """Return up to ``limit`` jobs that have ended and of which something is to be sent now.

        Those come first of which it is due for longest; those before ``offset`` are left out.
        """
        ready = _JOBS.where(_ENDED, jobs.c.deliver_at <= now).order_by(jobs.c.deliver_at, jobs.c.number)
        return self._read(ready.limit(limit).offset(offset))

    def note_deliveries(self, job: Job, deliveries: list[Delivery]) -> None:
        """Write down how the deliveries of a job stand, if it was not forgotten, or replaced by another."""
        values = {"deliveries": deliveries, "deliver_at": due_at(deliveries)}
        self._change(sa.update(jobs).where(jobs.c.number == job.number).values(values))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep a second service off a PostgreSQL for as long as the block lasts, a crash included.

        Raises ``DataFolderInUse``. An SQLite file is kept by the lock on its data folder.
        """
        if self._engine.dialect.name != "postgresql":
            yield
            return
        with self._engine.connect() as holder:
            try:
                self._hold(holder)
                self._holder = holder
                yield
            finally:
                self._holder = None
                holder.invalidate()  # the lock goes with the connection, which must not be used again

    def check(self) -> None:
        """Raise ``IncompatibleData`` if an SQLite file was removed or replaced, or what a query raises."""
        if (file := self._file_now()) != self._file:
            path = self._engine.url.database
            raise IncompatibleData(
                f"The job database {path} was replaced by another file; restart the service, which then uses "
                "that one."
                if file
                else f"The job database {path} was removed; put it back or restart the service, which then "
                "starts with no jobs."
            )
        if self._holder is not None:
            self._hold(self._holder)
        self.counts()

    def _hold(self, holder: sa.Connection) -> None:
        """Take the service's lock, although it may be held: it is lost with its connection.

        A connection that was lost on this side alone still holds it on the other, and is ended there. Raises
        ``DatabaseUnreachable`` then, for it takes a moment, and ``DataFolderInUse`` for another service.
        """
        try:
            if holder.scalar(sa.select(sa.func.pg_try_advisory_lock(SERVICE))):
                self._held_by = dict(holder.execute(_THIS_SESSION).mappings().one())
            elif self._held_by and holder.scalar(_END_SESSION, self._held_by):
                raise DatabaseUnreachable("The connection to PostgreSQL was lost, and is being made anew.")
            else:
                raise DataFolderInUse(
                    "Another service uses this database; stop it, or give this one its own."
                )
        finally:
            holder.rollback()  # which keeps the lock; a connection that was lost is made anew next time

    def _file_now(self) -> tuple[int, int] | None:
        """Return which file lies where the SQLite file is: its device and number; None if there is none."""
        path = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not path:
            return None
        try:
            found = Path(path).stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def delete_finished(self, job_id: str) -> bool:
        """Forget a job that has ended; return whether there was one."""
        return bool(self._change(sa.delete(jobs).where(jobs.c.id == job_id, _ENDED)))

    def expire(self, before: datetime) -> list[str]:
        """Forget the jobs that ended before an instant and have nothing to be sent; return their ids."""
        over = (jobs.c.finished_at < before) & jobs.c.deliver_at.is_(None)
        return self._change(sa.delete(jobs).where(over, _ENDED))

    def ids_with_files(self) -> set[str]:
        """Return the ids of the jobs that have files: those that wait, work or have a result."""
        without = jobs.c.state.in_((JobState.FAILED, JobState.CANCELED))
        with self._engine.connect() as connection:
            return set(connection.scalars(sa.select(jobs.c.id).where(~without)))

    def _read(self, statement: sa.Select[Any]) -> list[Job]:
        with self._engine.connect() as connection:
            return [Job(**row) for row in connection.execute(statement).mappings()]

    def _change(self, statement: sa.Update | sa.Delete) -> list[str]:
        """Change or forget jobs; return their ids."""
        with self._engine.begin() as connection:
            return list(connection.scalars(statement.returning(jobs.c.id)))


def _being_made(avatar_id: str) -> AvatarExists:
    return AvatarExists(
        f"A job that makes the avatar {avatar_id!r} is in progress; wait for it or choose another id."
    )

"""The job table, which is also the queue of one machine. Every change is one statement, hence atomic.

The statements are SQLAlchemy Core and serve SQLite and PostgreSQL alike. A worker holds a job by its number
of attempts: once somebody else has claimed the job again, the former holder's changes find no row.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    RowMapping,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.errors import AvatarExists, JobNotFound, Problem, QueueFull
from app.jobs.job import TERMINAL_STATES, Job, JobKind, JobProgress, JobState, NewJob, utc_now
from app.jobs.schema import jobs, take_turn


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and the cursor that gets the next ones; None after the last."""

    jobs: list[Job]
    next_cursor: int | None


class JobTable:
    """The records of all jobs."""

    def __init__(self, engine: Engine, max_queued: int) -> None:
        self._engine = engine
        self.max_queued = max_queued

    def insert(self, new: NewJob) -> Job:
        """Add a job to the end of the queue.

        Raises ``QueueFull``, or ``AvatarExists`` where a job that makes the same avatar is under way.
        """
        with self._engine.begin() as connection:
            return self.insert_on(connection, new)

    def insert_on(self, connection: Connection, new: NewJob) -> Job:
        """Do what :meth:`insert` does, as a part of a transaction."""
        take_turn(connection)
        values: dict[str, Any] = {
            "id": new.id,
            "kind": new.kind.value,
            "state": JobState.QUEUED.value,
            "avatar_id": new.avatar_id,
            "params": dict(new.params),
            "created_at": utc_now(),
        } | dict.fromkeys(("frames_done", "frames_total", "fps", "attempts", "revision"), 0)
        row = select(*(literal(value, jobs.c[name].type) for name, value in values.items()))
        room = _count(jobs.c.state == JobState.QUEUED).scalar_subquery() < self.max_queued
        statement = insert(jobs).from_select(list(values), row.where(room)).returning(*jobs.c)
        try:
            row_added = connection.execute(statement).mappings().one_or_none()
        except IntegrityError:
            raise AvatarExists(
                f"A job that makes the avatar {new.avatar_id!r} is under way; wait for it or take another id."
            ) from None
        if row_added is None:
            raise self._queue_full()
        return to_job(row_added)

    def check_room(self) -> None:
        """Raise ``QueueFull`` if no job can be added; said early, before an upload is read."""
        with self._engine.connect() as connection:
            waiting = connection.scalar(_count(jobs.c.state == JobState.QUEUED)) or 0
        if waiting >= self.max_queued:
            raise self._queue_full()

    def check_avatar_free(self, avatar_id: str) -> None:
        """Raise ``AvatarExists`` if a job that makes this avatar is under way."""
        under_way = (
            (jobs.c.kind == JobKind.AVATAR)
            & (jobs.c.avatar_id == avatar_id)
            & jobs.c.state.not_in(TERMINAL_STATES)
        )
        with self._engine.connect() as connection:
            if connection.scalar(_count(under_way)):
                raise AvatarExists(f"A job that makes the avatar {avatar_id!r} is under way.")

    def get(self, job_id: str) -> Job:
        """Return a job. Raises ``JobNotFound``."""
        found = self.get_many([job_id])
        if not found:
            raise JobNotFound(f"There is no job {job_id!r}; it may have expired.")
        return found[0]

    def get_many(self, job_ids: Collection[str]) -> list[Job]:
        """Return those of the jobs that exist, in no particular order."""
        return self._read(jobs.c.id.in_(job_ids))

    def page(
        self,
        *,
        state: JobState | None = None,
        avatar_id: str | None = None,
        limit: int = 50,
        cursor: int | None = None,
    ) -> JobPage:
        """Return up to ``limit`` jobs, newest first, from ``cursor`` on."""
        filters: list[ColumnElement[bool]] = []
        if state is not None:
            filters.append(jobs.c.state == state)
        if avatar_id is not None:
            filters.append(jobs.c.avatar_id == avatar_id)
        if cursor is not None:
            filters.append(jobs.c.number <= cursor)
        found = self._read(*filters, limit=limit + 1)
        return JobPage(found[:limit], found[limit].number if len(found) > limit else None)

    def counts(self) -> dict[tuple[JobKind, JobState], int]:
        """Return how many jobs there are of each kind in each state."""
        statement = select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return {(JobKind(kind), JobState(state)): count for kind, state, count in rows}

    def claim(self) -> Job | None:
        """Take the oldest waiting job for this worker; None if none is waiting."""
        # SQLite has one writer at a time and leaves the row lock out of the statement.
        oldest = (
            select(jobs.c.number)
            .where(jobs.c.state == JobState.QUEUED)
            .order_by(jobs.c.number)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        claimed = self._update(
            (jobs.c.number == oldest) & (jobs.c.state == JobState.QUEUED),
            state=JobState.RUNNING.value,
            attempts=jobs.c.attempts + 1,
            started_at=func.coalesce(jobs.c.started_at, literal(utc_now(), jobs.c.started_at.type)),
        )
        return claimed[0] if claimed else None

    def report(self, job: Job, progress: JobProgress) -> bool:
        """Write a held job's progress; return whether to go on: not if it was canceled or taken away."""
        held = self._update(
            _held(job),
            frames_done=progress.frames_done,
            frames_total=progress.frames_total,
            fps=progress.fps,
        )
        return bool(held) and held[0].cancel_requested_at is None

    def finish(self, job: Job, state: JobState, error: Problem | None = None) -> Job | None:
        """End a held job; return it, or None if it was no longer held."""
        values: dict[str, Any] = {"state": state.value, "error": error, "finished_at": utc_now()}
        if state is JobState.SUCCEEDED:
            values["frames_done"] = jobs.c.frames_total
        ended = self._update(_held(job), **values)
        return ended[0] if ended else None

    def release(self, job: Job) -> None:
        """Give a held job back to the queue as if it had not been tried: the worker is told to stop."""
        self._update(_held(job), state=JobState.QUEUED.value, attempts=jobs.c.attempts - 1)

    def recover(self, problem: Problem, max_attempts: int) -> list[Job]:
        """Settle the jobs of a worker that died; return those that this ended.

        A job that somebody canceled is canceled, one that was tried ``max_attempts`` times fails with
        ``problem``, any other is queued again, ahead of the jobs that were submitted after it.
        """
        canceled = jobs.c.cancel_requested_at.is_not(None)
        spent = jobs.c.attempts >= max_attempts
        ends = canceled | spent
        settled = self._update(
            jobs.c.state == JobState.RUNNING,
            state=case(
                (canceled, JobState.CANCELED.value),
                (spent, JobState.FAILED.value),
                else_=JobState.QUEUED.value,
            ),
            error=case((~canceled & spent, literal(problem, jobs.c.error.type))),
            finished_at=case((ends, literal(utc_now(), jobs.c.finished_at.type))),
        )
        return [job for job in settled if job.state.is_terminal]

    def request_cancel(self, job_id: str) -> Job:
        """Cancel a waiting job at once, tell a running one's worker to stop, leave a finished one as it is.

        Raises ``JobNotFound``.
        """
        now = literal(utc_now(), jobs.c.finished_at.type)
        waiting = jobs.c.state == JobState.QUEUED
        changed = self._update(
            (jobs.c.id == job_id) & jobs.c.state.not_in(TERMINAL_STATES),
            state=case((waiting, JobState.CANCELED.value), else_=jobs.c.state),
            finished_at=case((waiting, now)),
            cancel_requested_at=func.coalesce(jobs.c.cancel_requested_at, now),
        )
        return changed[0] if changed else self.get(job_id)

    def delete_finished(self, job_id: str) -> bool:
        """Forget a job that has ended; return whether there was one."""
        return bool(self._change(_delete_ended(jobs.c.id == job_id)))

    def expire(self, before: datetime) -> list[Job]:
        """Forget the jobs that ended before an instant, and return them."""
        return self._change(_delete_ended(jobs.c.finished_at < before))

    def ids_with_files(self) -> set[str]:
        """Return the ids of the jobs that have files: those that wait, work or have a result."""
        without = jobs.c.state.in_((JobState.FAILED, JobState.CANCELED))
        with self._engine.connect() as connection:
            return set(connection.scalars(select(jobs.c.id).where(~without)))

    def _queue_full(self) -> QueueFull:
        return QueueFull(
            f"{self.max_queued} jobs are waiting, which is the limit; try again in a few seconds."
        )

    def _read(self, *filters: ColumnElement[bool], limit: int | None = None) -> list[Job]:
        statement = select(*jobs.c).where(*filters).order_by(jobs.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [to_job(row) for row in connection.execute(statement).mappings()]

    def _update(self, condition: ColumnElement[bool], **values: Any) -> list[Job]:
        values["revision"] = jobs.c.revision + 1
        return self._change(update(jobs).where(condition).values(values).returning(*jobs.c))

    def _change(self, statement: Any) -> list[Job]:
        with self._engine.begin() as connection:
            result: CursorResult[Any] = connection.execute(statement)
            return [to_job(row) for row in result.mappings()]


def _count(condition: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(jobs).where(condition)


def _held(job: Job) -> ColumnElement[bool]:
    return (jobs.c.id == job.id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.attempts == job.attempts)


def _delete_ended(condition: ColumnElement[bool]) -> Any:
    return delete(jobs).where(condition & jobs.c.state.in_(TERMINAL_STATES)).returning(*jobs.c)


def to_job(row: RowMapping) -> Job:
    """Return the job of a row of the table."""
    values = dict(row)
    progress = JobProgress(values.pop("frames_done"), values.pop("frames_total"), values.pop("fps"))
    kind, state = JobKind(values.pop("kind")), JobState(values.pop("state"))
    return Job(kind=kind, state=state, progress=progress, **values)

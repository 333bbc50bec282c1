"""The records of the parts. Each method is one transaction that holds the lock on its job's row.

Locks are always taken in one order, the job before its parts, so that workers of one job wait for each other
and never dead-lock. Time is the database's own: the clocks of the machines need not agree.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, update

from app.cluster.part import STALE_SECONDS, Held, Part, PartState, Queue, Refusal, Verdict
from app.cluster.schema import parts
from app.errors import Problem
from app.jobs.job import Job, JobProgress, JobState, NewJob
from app.jobs.schema import jobs
from app.jobs.table import JobTable, to_job

COLUMNS = (parts.c.job_id, parts.c.index, parts.c.first, parts.c.count, parts.c.queue, parts.c.attempts)
"""What a :class:`Part` is made of."""


def to_part(row: Any) -> Part:
    """Return the part of a row of ``COLUMNS``."""
    job_id, index, first, count, queue, attempts, *_ = row
    return Part(job_id, index, first, count, queue, attempts)


class PartTable:
    """The parts of all jobs, as workers and whoever submits see them."""

    def __init__(self, engine: Engine, table: JobTable, max_attempts: int) -> None:
        self._engine = engine
        self._table = table
        self._max_attempts = max_attempts

    def submit(self, new: NewJob) -> Job:
        """Add a job, whose part 0 waits for its turn. Raises ``QueueFull``, ``AvatarExists``."""
        with self._engine.begin() as connection:
            job = self._table.insert_on(connection, new)
            queue = Queue.of(new.kind, waited_for=new.waited_for)
            connection.execute(
                insert(parts).values(_new(Part(new.id, 0, queue=queue)) | {"owner": new.owner})
            )
            return job

    def claim(self, job_id: str, index: int) -> Held | Refusal:
        """Begin a part that a message has brought, or say why not."""
        with self._locked(job_id) as (connection, job):
            return self._outlook(connection, job, index) or self._begin(connection, job_id, index)

    def outlook(self, job_id: str, index: int) -> Refusal | None:
        """Return why a part would not be begun now; None if it would."""
        with self._locked(job_id) as (connection, job):
            return self._outlook(connection, job, index)

    def _outlook(self, connection: Connection, job: Job | None, index: int) -> Refusal | None:
        if job is None or job.state.is_terminal:
            return Refusal.OVER
        row = connection.execute(
            select(parts.c.state, parts.c.attempts, _silent_for(STALE_SECONDS)).where(_is(job.id, index))
        ).one_or_none()
        if row is None:
            return Refusal.OVER
        state, attempts, stale = row
        if state == PartState.DONE:
            return Refusal.DONE
        if state == PartState.RUNNING and not stale:
            return Refusal.ELSEWHERE
        if job.cancel_requested_at is not None:
            return Refusal.CANCELED
        return Refusal.SPENT if attempts >= self._max_attempts else None

    def _begin(self, connection: Connection, job_id: str, index: int) -> Held:
        begun = connection.execute(
            update(parts)
            .where(_is(job_id, index))
            .values(
                state=PartState.RUNNING.value,
                attempts=parts.c.attempts + 1,
                beat_at=func.now(),
                fps=0.0,
            )
            .returning(*COLUMNS)
        ).one()
        started = func.coalesce(jobs.c.started_at, func.now())
        job = _change(
            connection,
            job_id,
            state=JobState.RUNNING.value,
            attempts=_most_attempts(job_id),
            started_at=started,
        )
        return Held(job, to_part(begun))

    def beat(self, held: Held, progress: JobProgress) -> Verdict:
        """Say that a part's worker lives and how far it is; return whether to go on.

        ``progress`` is the part's; a ``frames_total`` of 0 says nothing about the job's.
        """
        with self._locked(held.job.id) as (connection, job):
            beaten = connection.execute(
                update(parts)
                .where(_held(held))
                .values(beat_at=func.now(), frames_done=progress.frames_done, fps=progress.fps)
            )
            if job is None or job.state is not JobState.RUNNING or not beaten.rowcount:
                return Verdict.LOST
            if job.cancel_requested_at is not None:
                return Verdict.CANCELED
            done = _sum(connection, held.job.id, parts.c.frames_done)
            total = progress.frames_total or job.progress.frames_total
            if (done, total) != (job.progress.frames_done, job.progress.frames_total):
                fps = _sum(connection, held.job.id, parts.c.fps, parts.c.state == PartState.RUNNING)
                _change(connection, job.id, frames_done=done, frames_total=total, fps=fps)
            return Verdict.GO_ON

    def split(self, held: Held, groups: Sequence[range], frames: int) -> bool:
        """End part 0 of a long render by adding the parts that make it; return whether it was still held."""
        with self._locked(held.job.id) as (connection, _):
            if not self._set(connection, held, state=PartState.DONE.value, frames_done=0, fps=0.0):
                return False
            added = [
                _new(Part(held.job.id, 1 + place, group.start, len(group), held.part.queue))
                for place, group in enumerate(groups)
            ]
            connection.execute(insert(parts), added)
            _change(connection, held.job.id, frames_total=frames)
            return True

    def is_last(self, held: Held, frames: int) -> bool:
        """End a part, unless all others are done: then it stays held, and its worker is to end the job."""
        with self._locked(held.job.id) as (connection, _):
            open_parts = connection.scalar(
                select(func.count())
                .select_from(parts)
                .where(
                    (parts.c.job_id == held.job.id)
                    & (parts.c.index != held.part.index)
                    & (parts.c.state != PartState.DONE)
                )
            )
            if not open_parts:
                return True
            self._set(connection, held, state=PartState.DONE.value, frames_done=frames, fps=0.0)
            return False

    def end(self, held: Held, state: JobState, error: Problem | None = None) -> Job | None:
        """End the job of a held part; return it, or None if the part was no longer held."""
        with self._locked(held.job.id) as (connection, job):
            if (
                job is None
                or job.state.is_terminal
                or not self._set(connection, held, state=PartState.DONE.value)
            ):
                return None
            return _end(connection, held.job.id, state, error)

    def settle(self, job_id: str, state: JobState, error: Problem | None = None) -> Job | None:
        """End a job that nobody works on; return it, or None if it had ended."""
        with self._locked(job_id) as (connection, job):
            if job is None or job.state.is_terminal:
                return None
            return _end(connection, job_id, state, error)

    def has_files(self, job_id: str) -> bool:
        """Return whether a job is under way or has a result."""
        with self._engine.connect() as connection:
            state = connection.scalar(select(jobs.c.state).where(jobs.c.id == job_id))
        return state is not None and JobState(state) not in (JobState.FAILED, JobState.CANCELED)

    def leave(self, held: Held) -> bool:
        """Give a part of a canceled job up; return whether nobody else works on the job."""
        with self._locked(held.job.id) as (connection, _):
            self._set(connection, held, state=PartState.WAITING.value, fps=0.0)
            return not connection.scalar(_count(_is_of(held.job.id) & _is_alive()))

    def release(self, held: Held) -> None:
        """Give a part back as if it had not been begun: its worker stops, and rejects the message."""
        with self._locked(held.job.id) as (connection, job):
            given = self._set(
                connection,
                held,
                state=PartState.SENT.value,
                attempts=parts.c.attempts - 1,
                sent_at=func.now(),
            )
            if given and job is not None and job.state is JobState.RUNNING:
                others = connection.scalar(_count(_is_of(job.id) & (parts.c.state == PartState.RUNNING)))
                state = JobState.RUNNING if others or held.part.index else JobState.QUEUED
                _change(connection, job.id, state=state.value, attempts=_most_attempts(job.id))

    @contextmanager
    def _locked(self, job_id: str) -> Iterator[tuple[Connection, Job | None]]:
        with self._engine.begin() as connection:
            row = connection.execute(select(*jobs.c).where(jobs.c.id == job_id).with_for_update())
            found = row.mappings().one_or_none()
            yield connection, None if found is None else to_job(found)

    def _set(self, connection: Connection, held: Held, **values: Any) -> bool:
        return bool(connection.execute(update(parts).where(_held(held)).values(values)).rowcount)


def _new(part: Part) -> dict[str, Any]:
    return {
        "job_id": part.job_id,
        "index": part.index,
        "first": part.first,
        "count": part.count,
        "queue": str(part.queue),
        "state": PartState.WAITING.value,
        "attempts": 0,
        "frames_done": 0,
        "fps": 0.0,
    }


def _is_of(job_id: str) -> ColumnElement[bool]:
    return parts.c.job_id == job_id


def _is(job_id: str, index: int) -> ColumnElement[bool]:
    return _is_of(job_id) & (parts.c.index == index)


def _held(held: Held) -> ColumnElement[bool]:
    return (
        _is(held.job.id, held.part.index)
        & (parts.c.state == PartState.RUNNING)
        & (parts.c.attempts == held.part.attempts)
    )


def _silent_for(seconds: float) -> ColumnElement[bool]:
    return func.coalesce(parts.c.beat_at, func.to_timestamp(0)) < func.now() - timedelta(seconds=seconds)


def _is_alive() -> ColumnElement[bool]:
    return (parts.c.state == PartState.RUNNING) & ~_silent_for(STALE_SECONDS)


def _count(condition: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(parts).where(condition)


def _sum(connection: Connection, job_id: str, column: Any, *filters: ColumnElement[bool]) -> Any:
    return connection.scalar(select(func.coalesce(func.sum(column), 0)).where(_is_of(job_id), *filters))


def _most_attempts(job_id: str) -> Any:
    return select(func.coalesce(func.max(parts.c.attempts), 0)).where(_is_of(job_id)).scalar_subquery()


def _change(connection: Connection, job_id: str, **values: Any) -> Job:
    values["revision"] = jobs.c.revision + 1
    changed = connection.execute(update(jobs).where(jobs.c.id == job_id).values(values).returning(*jobs.c))
    return to_job(changed.mappings().one())


def _end(connection: Connection, job_id: str, state: JobState, error: Problem | None) -> Job:
    values: dict[str, Any] = {"state": state.value, "error": error, "finished_at": func.now()}
    if state is JobState.SUCCEEDED:
        values["frames_done"] = jobs.c.frames_total
    return _change(connection, job_id, **values)

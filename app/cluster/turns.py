"""Whose turn it is: which parts go from the table to the broker, and which have to go again.

A key has at most so many jobs with the broker and the workers at a time; a long render has as many parts
there as there are workers. What comes later therefore never waits behind all that came before it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, func, select, tuple_, update

from app.cluster.part import Part, PartState
from app.cluster.parts import COLUMNS, to_part
from app.cluster.schema import parts
from app.jobs.job import Job, JobState
from app.jobs.schema import jobs, take_turn
from app.jobs.table import to_job

LOST_SECONDS: Final = 15.0
"""A part whose worker is silent for so long goes again, if the broker has not handed it to another one."""
CANCEL_SECONDS: Final = 3.0
"""A canceled job that has no worker, or only such that are silent for so long, is settled without them."""
UNSEEN_SECONDS: Final = 30.0
"""A part that was sent so long ago and is not with the broker any more goes again."""


class TurnTable:
    """The parts of all jobs, as whoever hands them out sees them."""

    def __init__(self, engine: Engine, max_running_per_key: int) -> None:
        self._engine = engine
        self._most = max_running_per_key

    def next(self) -> list[Part]:
        """Mark the jobs whose turn it is as sent, and return them in the order in which they are to be sent.

        The keys take turns, each in the order in which its jobs came. A job without a key is not held back.
        """
        with self._engine.begin() as connection:
            take_turn(connection)
            chosen = self._choose(connection)
            _mark_sent(connection, chosen)
        return chosen

    def _choose(self, connection: Connection) -> list[Part]:
        rows = connection.execute(
            select(*COLUMNS, parts.c.owner)
            .join(jobs, jobs.c.id == parts.c.job_id)
            .where((parts.c.index == 0) & (parts.c.state == PartState.WAITING) & _is_open())
            .order_by(jobs.c.number)
        ).all()
        if not rows:
            return []
        under_way: Counter[str] = Counter(dict(connection.execute(_under_way()).tuples().all()))
        turns: dict[int, list[Part]] = defaultdict(list)
        for row in rows:
            owner = row.owner
            if owner is None:
                turns[0].append(to_part(row))
            elif under_way[owner] < self._most:
                turns[under_way[owner]].append(to_part(row))
                under_way[owner] += 1
        return [part for turn in sorted(turns) for part in turns[turn]]

    def next_groups(self, job_id: str, window: int) -> list[Part]:
        """Mark the next parts of a long render as sent and return them: at most ``window`` are under way."""
        with self._engine.begin() as connection:
            job = connection.execute(
                select(jobs.c.state).where(jobs.c.id == job_id).with_for_update()
            ).one_or_none()
            if job is None or JobState(job.state).is_terminal:
                return []
            groups = (parts.c.job_id == job_id) & (parts.c.index > 0)
            under_way = connection.scalar(
                select(func.count())
                .select_from(parts)
                .where(groups & parts.c.state.in_((PartState.SENT, PartState.RUNNING)))
            )
            rows = connection.execute(
                select(*COLUMNS)
                .where(groups & (parts.c.state == PartState.WAITING))
                .order_by(parts.c.index)
                .limit(max(0, window - (under_way or 0)))
            ).all()
            chosen = [to_part(row) for row in rows]
            _mark_sent(connection, chosen)
            return chosen

    def unsend(self, unsent: Sequence[Part]) -> None:
        """Take back that parts were sent: the broker did not take them."""
        with self._engine.begin() as connection:
            connection.execute(
                update(parts)
                .where(_is_one_of(unsent) & (parts.c.state == PartState.SENT))
                .values(state=PartState.WAITING.value)
            )

    def resend(self, job_id: str, index: int) -> None:
        """Have a part wait for another turn whose message the broker has given up."""
        with self._engine.begin() as connection:
            connection.execute(
                update(parts)
                .where((parts.c.job_id == job_id) & (parts.c.index == index))
                .where(
                    parts.c.state.in_((PartState.SENT, PartState.RUNNING)) & ~_spoke_within(LOST_SECONDS / 2)
                )
                .values(state=PartState.WAITING.value)
            )

    def recover(self) -> int:
        """Have the parts wait for another turn whose worker has died without the broker noticing."""
        with self._engine.begin() as connection:
            lost = (parts.c.state == PartState.RUNNING) & ~_spoke_within(LOST_SECONDS)
            return connection.execute(
                update(parts).where(lost).values(state=PartState.WAITING.value)
            ).rowcount

    def has_unseen(self) -> bool:
        """Return whether any part was sent so long ago that the broker should have handed it out."""
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(func.count()).select_from(parts).where(_is_unseen())))

    def recover_unseen(self, queue: str) -> int:
        """Have the parts wait for another turn that were sent to a queue which is empty by now."""
        with self._engine.begin() as connection:
            unseen = _is_unseen() & (parts.c.queue == queue)
            return connection.execute(
                update(parts).where(unseen).values(state=PartState.WAITING.value)
            ).rowcount

    def split_jobs(self) -> list[str]:
        """Return the ids of the long renders that have parts which wait for their turn."""
        statement = (
            select(parts.c.job_id)
            .join(jobs, jobs.c.id == parts.c.job_id)
            .where((parts.c.index > 0) & (parts.c.state == PartState.WAITING) & _is_open())
            .distinct()
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(statement))

    def abandoned(self) -> list[Job]:
        """Return the jobs that somebody canceled and nobody works on any more."""
        alive = (parts.c.state == PartState.RUNNING) & _spoke_within(CANCEL_SECONDS)
        worked_on = select(parts.c.job_id).where(alive)
        statement = select(*jobs.c).where(
            (jobs.c.state == JobState.RUNNING)
            & jobs.c.cancel_requested_at.is_not(None)
            & jobs.c.id.not_in(worked_on)
        )
        with self._engine.connect() as connection:
            return [to_job(row) for row in connection.execute(statement).mappings()]


def _is_unseen() -> ColumnElement[bool]:
    before = func.now() - timedelta(seconds=UNSEEN_SECONDS)
    return (parts.c.state == PartState.SENT) & (parts.c.sent_at < before)


def _is_open() -> ColumnElement[bool]:
    return jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING))


def _under_way() -> Any:
    """Select each key and how many of its jobs are with the broker or with workers."""
    begun = (parts.c.index == 0) & (parts.c.state != PartState.WAITING) & parts.c.owner.is_not(None)
    joined = select(parts.c.owner, func.count()).join(jobs, jobs.c.id == parts.c.job_id)
    return joined.where(begun & _is_open()).group_by(parts.c.owner)


def _is_one_of(some: Sequence[Part]) -> ColumnElement[bool]:
    return tuple_(parts.c.job_id, parts.c.index).in_([(part.job_id, part.index) for part in some])


def _spoke_within(seconds: float) -> ColumnElement[bool]:
    return func.coalesce(parts.c.beat_at, func.to_timestamp(0)) > func.now() - timedelta(seconds=seconds)


def _mark_sent(connection: Connection, chosen: Sequence[Part]) -> None:
    if chosen:
        connection.execute(
            update(parts).where(_is_one_of(chosen)).values(state=PartState.SENT.value, sent_at=func.now())
        )

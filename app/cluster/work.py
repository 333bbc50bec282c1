"""What a worker does with a message: begins its part, does it, and says how it ended.

The records are the truth, and a message is only the word that there is something to do: the same message
twice, or one that comes too late, does no harm. What cannot be recorded while PostgreSQL is away is recorded
when it is back.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

import structlog
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import DBAPIError

from app.avatars.store import AvatarStore
from app.cluster.part import LOOK_SECONDS, STALE_SECONDS, Held, Part, Refusal, spent
from app.cluster.parts import PartTable
from app.cluster.post import Post
from app.cluster.pulse import Lost, Pulse, Stopping
from app.cluster.runner import PartRunner, Render
from app.cluster.turns import TurnTable
from app.errors import JobCanceled
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState
from app.jobs.runner import JobStats
from app.jobs.worker import as_error, ended_message

# The logger of the same events on one machine: whoever searches or alerts need not tell the two apart.
log = structlog.stdlib.get_logger("app.jobs.worker")

REJECT_SECONDS: Final = 0.5
"""How long a message is held that is given back: not to come to the same worker, which is stopping."""

T = TypeVar("T")


class Hand:
    """Does parts, one at a time, in one process."""

    def __init__(
        self,
        parts: PartTable,
        turns: TurnTable,
        files: DataFolder,
        avatars: AvatarStore,
        runner: PartRunner,
        post: Post,
        *,
        window: Callable[[], int],
        stall_seconds: float,
    ) -> None:
        """``window`` tells how many parts of one render may be under way: as many as there are workers."""
        self._parts = parts
        self._turns = turns
        self._files = files
        self._avatars = avatars
        self._runner = runner
        self._post = post
        self._window = window
        self._stall_seconds = stall_seconds
        self._stopping = False

    def stop(self) -> None:
        """Have the present part given back after its present batch, and every later one at once."""
        # Called by a signal handler, where setting a threading.Event that the thread waits on can deadlock.
        self._stopping = True

    def do(self, job_id: str, index: int) -> bool:
        """Do a part; return whether its message is done with, or to be given back to the broker."""
        with structlog.contextvars.bound_contextvars(job=job_id):
            try:
                claim = self._claim(job_id, index)
                if isinstance(claim, Held):
                    self._work(claim)
                else:
                    self._refuse(job_id, claim)
            except Stopping:
                time.sleep(REJECT_SECONDS)
                return False
            return True

    def _claim(self, job_id: str, index: int) -> Held | Refusal:
        """Begin a part; if another worker seems to have it, wait until it has beaten again, or is dead."""
        end = time.monotonic() + 2 * STALE_SECONDS
        while True:
            claim = self._recorded(lambda: self._parts.claim(job_id, index))
            if claim is not Refusal.ELSEWHERE or time.monotonic() > end:
                return claim
            time.sleep(LOOK_SECONDS)

    def _refuse(self, job_id: str, refusal: Refusal) -> None:
        log.debug("part_refused", why=refusal)
        match refusal:
            case Refusal.DONE:  # and its worker died before it could send the next ones
                self._send_next(job_id)
            case Refusal.CANCELED:
                self._files.forget(job_id)
                self._tell(self._recorded(lambda: self._parts.settle(job_id, JobState.CANCELED)))
            case Refusal.SPENT:
                ended = self._recorded(lambda: self._parts.settle(job_id, JobState.FAILED, spent()))
                self._files.forget(job_id)
                self._tell(ended)

    def _work(self, held: Held) -> None:
        job, part = held.job, held.part
        if part.index == 0:
            log.info("job_started", kind=job.kind, avatar=job.avatar_id, attempt=part.attempts)
        else:
            log.info("part_started", part=part.index, segments=part.count, attempt=part.attempts)
        started = time.monotonic()
        try:
            with self._pulse(held) as pulse:
                stats = self._do(held, pulse)
            if stats is None:
                return
            self._recorded(lambda: self._parts.beat(held, pulse.progress))
            ended = self._recorded(lambda: self._parts.end(held, JobState.SUCCEEDED))
            self._files.forget_upload(job.id)
        except Stopping:
            self._recorded(lambda: self._parts.release(held), stoppable=False)
            log.info("job_released")
            raise
        except Lost:
            self._clear_after(job)
            return
        except JobCanceled:
            self._cancel(held)
            return
        except Exception as error:
            problem = as_error(error, job).problem()
            ended = self._recorded(lambda: self._parts.end(held, JobState.FAILED, problem))
            stats = JobStats()
            self._clear_after(job)
        seconds = time.monotonic() - started
        if ended is not None and part.index:  # others have had their share in it
            seconds = _seconds_of(ended)
            stats = replace(stats, frames=ended.progress.frames_done)
        self._tell(ended, seconds, stats)

    def _pulse(self, held: Held) -> Pulse:
        return Pulse(
            lambda progress: self._parts.beat(held, progress),
            lambda: self._stopping,
            self._stall_seconds,
            tells_total=held.part.index == 0,
        )

    def _do(self, held: Held, pulse: Pulse) -> JobStats | None:
        """Do a part; return what the job was if it is now complete, else None."""
        job, part = held.job, held.part
        if job.kind is JobKind.AVATAR:
            if part.attempts > 1:
                self._avatars.sweep()
            return self._runner.run(job, pulse)
        with self._runner.open_render(job, pulse, begun=part.index > 0) as render:
            complete = (
                self._begin(held, render, pulse) if part.index == 0 else self._go_on(held, render, pulse)
            )
        if complete:
            return render.finish()
        self._send_next(job.id)
        return None

    def _begin(self, held: Held, render: Render, pulse: Pulse) -> bool:
        """Do part 0: the whole of a short render, the plan of a long one. Return whether all is done."""
        groups = render.groups
        render.begin(share=len(groups) > 1)
        if len(groups) == 1:
            render.encode(groups[0], pulse)
            return True
        if not self._recorded(lambda: self._parts.split(held, groups, render.frame_count)):
            raise Lost
        log.info("job_spread", parts=len(groups), frames=render.frame_count)
        return False

    def _go_on(self, held: Held, render: Render, pulse: Pulse) -> bool:
        """Do a group of segments. Return whether it was the last one."""
        frames = render.encode(held.part.segments, pulse)
        return self._recorded(lambda: self._parts.is_last(held, frames))

    def _cancel(self, held: Held) -> None:
        """Give up a part of a canceled job; the last worker to do so ends it."""
        job = held.job
        if self._recorded(lambda: self._parts.leave(held)):
            # The files go first: once the job is said to be canceled, nothing of it is left.
            self._files.forget(job.id)
            self._tell(self._recorded(lambda: self._parts.settle(job.id, JobState.CANCELED)))

    def _clear_after(self, job: Job) -> None:
        """Delete what was written for a job that has ended meanwhile without a result."""
        if not self._recorded(lambda: self._parts.has_files(job.id)):
            self._files.forget(job.id)

    def _send_next(self, job_id: str) -> None:
        """Send the next parts of a long render; if that fails, they wait for the web process to see it."""
        groups = self._recorded(lambda: self._turns.next_groups(job_id, max(1, self._window())))
        send_all(self._post, self._turns, groups, self._files)

    def _tell(self, ended: Job | None, seconds: float = 0.0, stats: JobStats | None = None) -> None:
        if ended is None:
            return
        stats = stats or JobStats()
        log.info("job_ended", state=ended.state, frames=stats.frames, seconds=round(seconds, 3))
        try:
            self._post.tell(ended_message(ended, seconds, stats))
        except (BrokerError, OSError) as error:
            log.warning("ending_not_counted", error=str(error))

    def _recorded(self, change: Callable[[], T], *, stoppable: bool = True) -> T:
        """Return what a change of the records gives, once PostgreSQL has it."""
        said = False
        while True:
            try:
                return change()
            except DBAPIError as error:
                if not said:
                    log.warning("job_table_unusable", error=str(error))
                said = True
                if stoppable and self._stopping:
                    raise Stopping from error
                time.sleep(LOOK_SECONDS)


def _seconds_of(job: Job) -> float:
    """Return how long the work on a job has taken, from its first claim to its end."""
    finished, started = job.finished_at or job.created_at, job.started_at or job.created_at
    return max(0.001, (finished - started).total_seconds())


def send_all(post: Post, turns: TurnTable, parts: list[Part], files: DataFolder) -> bool:
    """Send parts that are marked as sent; return whether the broker took all. The others wait again."""
    for place, part in enumerate(parts):
        try:
            post.send(part, files.upload_bytes(part.job_id))
        except (BrokerError, OSError) as error:
            log.warning("broker_unreachable", error=str(error))
            turns.unsend(parts[place:])
            return False
        log.debug("part_sent", job=part.job_id, part=part.index, queue=part.queue)
    return True

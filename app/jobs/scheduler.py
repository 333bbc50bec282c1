"""The scheduler: gives turns to jobs, segment by segment, and sees each to its end, on any pool.

It runs on the web process's event loop. It keeps open jobs in memory; the table holds what a restart needs,
and the volume holds what was made so far.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from math import ceil, inf
from typing import Any, Final

import structlog

from app.errors import (
    MouthpieceError,
    NotReady,
    Problem,
    QueueFull,
    ShuttingDown,
)
from app.jobs.files import DataFolder
from app.jobs.filing import Filing
from app.jobs.forever import forever
from app.jobs.job import Ended, Job, JobState, NewJob, utc_now
from app.jobs.open_job import OpenJob
from app.jobs.pool import Answer, Call, CallFailed, Pool, WorkerDied, WorkerLeft
from app.jobs.records import SILENT_SECONDS, Records
from app.jobs.table import JobPage, JobTable
from app.jobs.turn import Limits, Turns
from app.threads import on_table
from app.tracing import about

log = structlog.stdlib.get_logger(__name__)

LONGEST_RETRY_AFTER: Final = 600
"""Nobody is told to wait longer than this many seconds."""
NOTE_SECONDS: Final = 1.0
"""How long work waits for a change to be written down; on a full volume it goes on, fails, and says so."""
STOP_SECONDS: Final = 2.0
"""How long the ends of calls may take to be noted once the pool has ended."""


class Scheduler:
    """See the module; safe to use from any number of requests at once."""

    def __init__(
        self,
        table: JobTable,
        files: DataFolder,
        pool: Pool,
        limits: Limits,
        *,
        on_ended: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        """``on_ended`` hears of every job that ends."""
        self.pool = pool
        self.records = Records(table)
        self._table = table
        self._filing = Filing(files, self.records, self._is_needed)
        self.limits = limits
        self._on_ended = on_ended
        self._turns = Turns(limits.running_per_key)
        self._jobs: dict[str, OpenJob] = {}
        self._coming: dict[str, str | None] = {}
        self._asked: Call | None = None
        """The call that was asked last to end with its segment."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._job_seconds = 5.0

    # What the API asks for.

    async def submit(self, new: NewJob, arrived: str | None = None) -> Job:
        """Add a job. Raises ``QueueFull``, ``AvatarExists``.

        If its files ``arrived`` under another id, it replaces the job of its own id, which has ended; if that
        fails, both have their files as before. Raises ``Unavailable`` if others hold those for long.
        """
        self.check_room(new.owner)
        self._coming[new.id] = new.owner
        try:
            job = await self._replace(new, arrived) if arrived else await on_table(self._table.insert, new)
        finally:
            del self._coming[new.id]
        self._jobs[job.id] = OpenJob(job)
        self._wake.set()
        return job

    async def _replace(self, new: NewJob, arrived: str) -> Job:
        async with self._filing.replacing(new.id, arrived) as before:
            job = await on_table(partial(self._table.insert, new, replaces=True))
        self._spawn(self._filing.forget_arrival(before, new.traceparent))
        return job

    async def get(self, job_id: str) -> Job:
        """Return a job as it stands. Raises ``JobNotFound``."""
        open_job = self._jobs.get(job_id)
        return open_job.job if open_job else await on_table(self._table.get, job_id)

    async def page(
        self,
        *,
        state: JobState | None = None,
        avatar_id: str | None = None,
        limit: int = 50,
        cursor: int | None = None,
    ) -> JobPage:
        """Return up to ``limit`` jobs as they stand, newest first; see :meth:`JobTable.page`."""
        read = partial(self._table.page, state=state, avatar_id=avatar_id, limit=limit, cursor=cursor)
        page = await on_table(read)
        now = {job.id: job for job in page.jobs} | {job_id: job.job for job_id, job in self._jobs.items()}
        found = [
            job
            for job in now.values()
            if state in (None, job.state)
            and avatar_id in (None, job.avatar_id)
            and (page.next_cursor or 0) < job.number <= (inf if cursor is None else cursor)
        ]
        found.sort(key=lambda job: job.number, reverse=True)
        return JobPage(found[:limit], found[limit].number if len(found) > limit else page.next_cursor)

    def queued_before(self, job: Job) -> int:
        """Return how many jobs that are queued came before a job."""
        others = (each.job for each in self._jobs.values())
        return sum(each.state is JobState.QUEUED and each.number < job.number for each in others)

    async def follow(self, job_id: str) -> AsyncGenerator[Job, None]:
        """Yield a job now and whenever it has changed, at last in its terminal state.

        A slow reader gets the newest state, not every one. Raises ``JobNotFound``, ``ShuttingDown``.
        """
        job = self._jobs.get(job_id)
        if job is None:
            yield await self.get(job_id)
            return
        record = job.job
        while True:
            yield record
            if record.state.is_terminal:
                return
            while job.job.revision <= record.revision:
                if self._closed:
                    raise ShuttingDown("The service is stopping; the job continues after the next start.")
                await job.followers.wait()
            record = job.job

    async def forget_files(self, job_id: str, record: Job | None = None) -> None:
        """Delete the files of a job that is no more, or of which ``record`` is all that is kept.

        What takes a volume, or the table, longer goes on afterwards.
        """
        await asyncio.wait({self._spawn(self._filing.forget(job_id, record))}, timeout=NOTE_SECONDS)

    async def forget_arrival(self, arrived: str) -> None:
        """Delete files that came for a job, under an id that none has; otherwise as :meth:`forget_files`."""
        await asyncio.wait({self._spawn(self._filing.forget_arrival(arrived))}, timeout=NOTE_SECONDS)

    async def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job and return how it stands then. Raises ``JobNotFound``."""
        job = self._jobs.get(job_id)
        if job is None:
            return await self.get(job_id)
        if job.verdict is None:
            job.change(cancel_requested_at=utc_now())
            self._settle(job, JobState.CANCELED)
            if job.running:
                await self._note(job)
        self._end_when_over(job)
        return job.job

    def is_open(self, job_id: str) -> bool:
        """Return whether a job has not ended, or its end is not on record yet."""
        return job_id in self._jobs

    def is_prepared(self, job_id: str) -> bool:
        """Return whether what is on the disk of a render that has not ended may be sent."""
        job = self._jobs.get(job_id)
        return bool(job and job.prepared and (not job.verdict or job.verdict[0] is JobState.SUCCEEDED))

    def check_room(self, owner: str | None) -> None:
        """Raise ``QueueFull`` if no job of a key can be added; said early, before an upload is read."""
        queued = (job.job for job in self._jobs.values() if job.job.state is JobState.QUEUED)
        try:
            self.limits.check([*self._coming.values(), *(job.owner for job in queued)], owner)
        except QueueFull as error:
            etas = [job.job.eta_seconds for job in self._jobs.values() if job.begun]
            soonest = min((eta for eta in etas if eta is not None), default=self._job_seconds)
            error.retry_after = max(1, min(LONGEST_RETRY_AFTER, ceil(soonest)))
            raise

    def check_usable(self) -> None:
        """Raise ``NotReady`` if jobs would be lost with their table, or wait for a model that is unusable."""
        self.records.check("read")
        if self.pool.unusable:
            raise NotReady(self.pool.status)

    def check_ready(self) -> None:
        """Raise ``NotReady``, with the reason, unless a job that is submitted now would be begun soon."""
        self.records.check("read", "write", "turns")
        if not self.pool.size:
            raise NotReady(self.pool.status)

    # Its life.

    async def start(self) -> None:
        """Take up the jobs that an earlier service left, and start the pool without waiting for it."""
        for job in await on_table(self._table.open_jobs):
            open_job = self._jobs[job.id] = OpenJob(job)
            if job.cancel_requested_at:
                open_job.end(JobState.CANCELED)
                self._end_when_over(open_job)
            elif open_job.begun:
                open_job.change(state=JobState.QUEUED)
                await self._note(open_job)
        turns = forever("turns", self._next_turns, tell=self._note_trouble)
        self._loops = [asyncio.create_task(turns), asyncio.create_task(self.records.watch())]
        await self.pool.start(self._wake.set)
        self._wake.set()

    def close(self) -> None:
        """Let go of all who follow jobs: the service is about to stop."""
        self._closed = True
        for job in self._jobs.values():
            job.followers.notify()

    async def stop(self) -> None:
        """Stop giving turns and end the pool; what is not done goes on at the next start, as untried."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.wait(self._loops)
        await self.pool.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._tasks:  # the end of a call may be that of its job
                    await asyncio.wait(self._tasks)
        begun = [job for job in self._jobs.values() if job.begun]
        for job in begun:
            job.change(state=JobState.QUEUED, attempts=job.job.attempts - 1)
            self._save(job.job)
        if begun:
            await asyncio.wait(self._tasks, timeout=SILENT_SECONDS)

    async def _next_turns(self) -> None:
        await self._wake.wait()
        self._give_turns()
        self._wake.clear()  # only now: turns that could not be given are given with the next step

    def _note_trouble(self, error: Exception | None) -> None:
        reason = "The scheduler failed unexpectedly; the service's log says why."
        self.records.troubles["turns"] = reason if error else ""

    def _give_turns(self) -> None:
        while True:
            wanting = self._turns.wanting(self._jobs.values())
            best = min(wanting, key=self._turns.rank, default=None)
            if best is None or not self.pool.idle:
                break
            self._turns.served(best)
            if not best.begun:
                self._begin(best)
            self._start(best, best.next_call(self.pool.size))
        running = {call for job in self._jobs.values() for call in job.running}
        if self._asked not in running:
            self._asked = self._turns.to_shorten(self._jobs.values(), best, self.pool.idle)
            if self._asked:
                self.pool.give_way(self._asked)
        self.pool.wish(len(wanting) + len(running))

    def _begin(self, job: OpenJob) -> None:
        record, attempt = job.job, job.job.attempts + 1
        job.change(state=JobState.RUNNING, attempts=attempt, started_at=record.started_at or utc_now())
        log.info("job_started", **job.about, kind=record.kind, avatar=record.avatar_id, attempt=attempt)
        self._save(job.job)

    def _start(self, job: OpenJob, call: Call) -> None:
        work = self.pool.call(call, partial(job.hear, call))
        job.start(call, self._spawn(self._await(job, call, work)))

    async def _await(self, job: OpenJob, call: Call, work: Coroutine[Any, Any, Answer]) -> None:
        """See a call to its end, and have the job ended if that was its last."""
        try:
            job.take(call, await work)
        except CallFailed as failure:
            self._settle(job, JobState.FAILED, failure.problem)
        except WorkerDied as death:
            log.error("worker_died", **job.about, how=str(death))
            if job.verdict is None and (problem := job.die(call, death, self.limits.attempts)):
                self._settle(job, JobState.FAILED, problem)
            self._save(job.job)
        except (WorkerLeft, asyncio.CancelledError):
            log.debug("call_given_back", **job.about, method=call.method)
        except Exception as error:
            log.exception("job_broke", **job.about, exc_info=error)
            unforeseen = f"The job failed unexpectedly; the service's log says why, under job {job.job.id}."
            self._settle(job, JobState.FAILED, MouthpieceError(unforeseen).problem())
        finally:
            job.stop(call)
        self._wake.set()
        self._end_when_over(job)

    def _settle(self, job: OpenJob, state: JobState, problem: Problem | None = None) -> None:
        """Settle how a job ends, unless that is settled, and have all calls of it stopped."""
        if job.verdict is None:
            job.end(state, problem)
            for waiting in job.running.values():
                # Not at once: what was canceled before its first step would never give its worker back.
                asyncio.get_running_loop().call_soon(waiting.cancel)

    def _end_when_over(self, job: OpenJob) -> None:
        """End a job, once, whose end is settled and of which no call runs any more."""
        if job.verdict and not job.running and not job.ending:
            job.ending = True
            self._spawn(self._end(job))

    async def _end(self, job: OpenJob) -> None:
        ended = job.ended()
        succeeded = ended.job.state is JobState.SUCCEEDED
        seconds = round(ended.work_seconds, 3)
        log.info("job_ended", **job.about, state=ended.job.state, frames=ended.frames, seconds=seconds)
        saving = self._save(ended.job)
        if not succeeded:
            await self._end_without_result(job, ended.job, saving)
        if not await saving:
            log.warning("job_not_on_record", **job.about)
        self._count(ended)
        if succeeded:
            job.become(ended.job)
        del self._jobs[job.job.id]
        self._wake.set()
        if succeeded:  # what it was made of goes last: until it is on record, that may be needed once more
            await self._filing.keep_result(job.job)

    async def _end_without_result(self, job: OpenJob, record: Job, saving: asyncio.Task[Any]) -> None:
        """Tell of an end as soon as it is on record and the files are gone: who hears of it finds it so.

        A crash in between leaves nothing for good. But who waits is answered although a volume may be too
        full, or hang.
        """
        await asyncio.wait({saving}, timeout=NOTE_SECONDS)
        await self.forget_files(record.id, record)
        job.become(record)

    def _count(self, ended: Ended) -> None:
        """Have an end counted; what goes wrong with that changes nothing of it."""
        self._job_seconds += 0.2 * (ended.work_seconds - self._job_seconds)
        try:
            self._on_ended(ended)
        except Exception as error:
            log.exception("end_not_told", **about(ended.job.id, ended.job.traceparent), exc_info=error)

    def _is_needed(self, job_id: str) -> bool:
        """Return whether a job of this id comes, or is there and not about to end."""
        job = self._jobs.get(job_id)
        return job_id in self._coming or bool(job and not job.ending)

    async def _note(self, job: OpenJob) -> None:
        """Write down how an open job stands; if the table does not take it soon, go on meanwhile."""
        await asyncio.wait({self._save(job.job)}, timeout=NOTE_SECONDS)

    def _save(self, record: Job) -> asyncio.Task[Any]:
        return self._spawn(self.records.write(lambda: self._table.save(record)))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

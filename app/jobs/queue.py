"""How the web process reaches whoever does the work: four methods, whatever stands behind them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.errors import JobNotFound
from app.jobs.job import Job, NewJob
from app.jobs.table import JobTable

log = structlog.stdlib.get_logger(__name__)

POLL_SECONDS: Final = 0.1
"""How late a watcher may hear of a change made by another process."""


class JobQueue(Protocol):
    """A queue of jobs; safe to use from any number of requests at once."""

    async def submit(self, new: NewJob) -> Job:
        """Add a job to the end of the queue. Raises ``QueueFull``, ``AvatarExists``."""

    async def get(self, job_id: str) -> Job:
        """Return a job as it stands. Raises ``JobNotFound``."""

    async def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job and return how it stands then. Raises ``JobNotFound``."""

    def watch(self, job_id: str) -> AsyncGenerator[Job, None]:
        """Yield a job now and whenever it has changed, at last in its terminal state.

        A slow reader gets the newest state, not every one. Raises ``JobNotFound``, also when the job
        is deleted while it is watched.
        """


class LocalQueue:
    """The queue of one machine: the job table, looked at by one poller for all who watch."""

    def __init__(self, table: JobTable, poll_seconds: float = POLL_SECONDS) -> None:
        self._table = table
        self._poll_seconds = poll_seconds
        self._watchers: dict[str, set[_Watcher]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def submit(self, new: NewJob) -> Job:
        """See :class:`JobQueue`."""
        return await to_thread.run_sync(self._table.insert, new)

    async def get(self, job_id: str) -> Job:
        """See :class:`JobQueue`."""
        return await to_thread.run_sync(self._table.get, job_id)

    async def cancel(self, job_id: str) -> Job:
        """See :class:`JobQueue`."""
        return await to_thread.run_sync(self._table.request_cancel, job_id)

    async def watch(self, job_id: str) -> AsyncGenerator[Job, None]:
        """See :class:`JobQueue`."""
        watcher = _Watcher()
        self._watchers.setdefault(job_id, set()).add(watcher)
        try:
            watcher.tell(await self.get(job_id))
            if self._poller is None or self._poller.done():
                self._poller = asyncio.create_task(self._poll())
            while True:
                job = await watcher.news()
                yield job
                if job.state.is_terminal:
                    return
        finally:
            watchers = self._watchers[job_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[job_id]

    async def _poll(self) -> None:
        """Read all watched jobs with one query at a time, for as long as anybody watches."""
        while self._watchers:
            asked = list(self._watchers)
            try:
                found = {job.id: job for job in await to_thread.run_sync(self._table.get_many, asked)}
            except SQLAlchemyError as error:
                log.warning("job_table_unreadable", error=str(error))
            else:
                for job_id in asked:
                    for watcher in self._watchers.get(job_id, ()):
                        watcher.tell(found.get(job_id))
            await asyncio.sleep(self._poll_seconds)


class _Watcher:
    """The newest state of a job, kept for one reader until it takes it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._job: Job | None = None
        self._seen = -1

    def tell(self, job: Job | None) -> None:
        if job is None or job.revision > self._seen:
            self._job = job
            self._changed.set()

    async def news(self) -> Job:
        await self._changed.wait()
        self._changed.clear()
        if self._job is None:
            raise JobNotFound("The job was deleted while it was watched.")
        self._seen = self._job.revision
        return self._job

"""The queue of a cluster: records as on one machine, and each job is sent to the workers in its turn."""

from collections.abc import Callable

from anyio import to_thread

from app.cluster.parts import PartTable
from app.jobs.job import Job, NewJob
from app.jobs.queue import LocalQueue
from app.jobs.table import JobTable


class ClusterQueue:
    """See :class:`app.jobs.queue.JobQueue`."""

    def __init__(self, table: JobTable, parts: PartTable, on_news: Callable[[], None]) -> None:
        """``on_news`` is told that there is a job which may be sent."""
        records = LocalQueue(table)
        self._parts = parts
        self._on_news = on_news
        self.get = records.get
        self.watch = records.watch
        self._cancel = records.cancel

    async def submit(self, new: NewJob) -> Job:
        """See :class:`app.jobs.queue.JobQueue`."""
        job = await to_thread.run_sync(self._parts.submit, new)
        self._on_news()
        return job

    async def cancel(self, job_id: str) -> Job:
        """See :class:`app.jobs.queue.JobQueue`; workers look at the record several times a second."""
        job = await self._cancel(job_id)
        self._on_news()
        return job

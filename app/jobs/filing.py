"""The files of jobs, held by one at a time: by what deletes them, or puts those of another in their place."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from weakref import WeakValueDictionary

import structlog

from app.errors import JobNotFound, Unavailable
from app.jobs.files import DataFolder
from app.jobs.job import Job
from app.jobs.records import Records
from app.threads import WAIT_SECONDS, on_uploads, tidy_uploads
from app.tracing import about

log = structlog.stdlib.get_logger(__name__)


class Filing:
    """Belongs to the event loop."""

    def __init__(self, files: DataFolder, records: Records, is_needed: Callable[[str], bool]) -> None:
        """``is_needed`` tells whether a job of this id comes, or is there and not about to end."""
        self._files = files
        self._records = records
        self._is_needed = is_needed
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def replacing(self, job_id: str, arrived: str) -> AsyncGenerator[str, None]:
        """Give a job the files that arrived under another id; if the block fails, both have theirs as before.

        Yields the id of those that the job had. Raises ``Unavailable`` if others hold them for long.
        """
        async with self._held(job_id, WAIT_SECONDS):
            before = await on_uploads(self._files.replace, job_id, arrived)
            try:
                yield before
            except Exception:
                await tidy_uploads(partial(self._files.put_back, job_id, arrived, before))
                raise

    async def forget(self, job_id: str, record: Job | None) -> None:
        """Delete the files of a job that is no more, or of which ``record`` is all that is kept."""

        def is_anothers() -> bool:
            with suppress(JobNotFound):
                return self._records.table.get(job_id).number != (record.number if record else None)
            return False

        async with self._held(job_id, inf):
            if await self._records.read(is_anothers):
                return  # another one has taken its id, and has ended, too
            traceparent = record.traceparent if record else None
            await self._delete(job_id, traceparent, partial(self._files.forget, job_id))

    async def forget_arrival(self, arrived: str, traceparent: str | None = None) -> None:
        """Delete files under an id that no job has."""
        async with self._held(arrived, inf):
            await self._delete(arrived, traceparent, partial(self._files.forget, arrived))

    async def keep_result(self, job: Job) -> None:
        """Delete what a job was made of that has succeeded."""
        async with self._held(job.id, inf):
            await self._delete(job.id, job.traceparent, partial(self._files.keep_result, job))

    async def _delete(self, job_id: str, traceparent: str | None, delete: Callable[[], object]) -> None:
        """Delete files of a job that has ended, which are held; if that fails, the next start does it.

        Beside a result they lie until that expires. Those of a job that has taken its place stay.
        """
        if self._is_needed(job_id):
            return
        try:
            await tidy_uploads(delete)
        except Exception as error:
            log.error("files_not_deleted", **about(job_id, traceparent), error=str(error))

    @asynccontextmanager
    async def _held(self, job_id: str, seconds: float) -> AsyncGenerator[None, None]:
        """Hold the files of a job. Raises ``Unavailable`` if others do for so long."""
        lock = self._locks.setdefault(job_id, asyncio.Lock())
        try:
            async with asyncio.timeout(None if seconds == inf else seconds):
                await lock.acquire()
        except TimeoutError:
            raise Unavailable("The data volume does not respond; try again in a few seconds.") from None
        try:
            yield
        finally:
            lock.release()

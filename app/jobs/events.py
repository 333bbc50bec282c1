"""Job events for subscribers: from memory, at once; a slow reader gets the newest state."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from app.errors import ShuttingDown
from app.jobs.job import Job


class Events:
    """Who follows which job."""

    def __init__(self) -> None:
        self._followers: dict[str, set[_Follower]] = {}
        self._closed = False

    def tell(self, job: Job) -> None:
        """Tell a job's followers how it stands."""
        for follower in self._followers.get(job.id, ()):
            follower.tell(job)

    def close(self) -> None:
        """End all that follow, now and from now on, with ``ShuttingDown``."""
        self._closed = True
        for follower in self._all():
            follower.end(_shutting_down())

    async def follow(self, job: Job) -> AsyncGenerator[Job, None]:
        """Yield a job now and whenever it has changed, at last in its terminal state.

        Raises ``ShuttingDown`` when the service stops meanwhile.
        """
        if job.state.is_terminal:
            yield job
            return
        follower = _Follower()
        self._followers.setdefault(job.id, set()).add(follower)
        try:
            follower.tell(job)
            if self._closed:
                follower.end(_shutting_down())
            while True:
                job = await follower.news()
                yield job
                if job.state.is_terminal:
                    return
        finally:
            followers = self._followers[job.id]
            followers.discard(follower)
            if not followers:
                del self._followers[job.id]

    def _all(self) -> Iterable["_Follower"]:
        return [follower for followers in self._followers.values() for follower in followers]


class _Follower:
    """The newest state of a job, kept for one reader until it takes it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._job: Job | None = None
        self._error: Exception | None = None

    def tell(self, job: Job) -> None:
        if self._job is None or job.revision > self._job.revision:
            self._job = job
            self._changed.set()

    def end(self, error: Exception) -> None:
        self._error = error
        self._changed.set()

    async def news(self) -> Job:
        await self._changed.wait()
        self._changed.clear()
        if self._error is not None:
            raise self._error
        assert self._job is not None
        return self._job


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The service is stopping; the job continues after the next start.")

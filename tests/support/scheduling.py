"""A scheduler on a pool that pretends, and how a test drives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from app.jobs.files import DataFolder
from app.jobs.job import Ended, Job, JobKind, NewJob, new_id
from app.jobs.scheduler import Scheduler
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.jobs.turn import Limits
from tests.support.databases import put_fresh
from tests.support.pretending import PretendingPool


@dataclass
class Service:
    """A scheduler on a pool that pretends."""

    scheduler: Scheduler
    pool: PretendingPool
    table: JobTable
    files: DataFolder
    ended: list[Ended] = field(default_factory=list)

    async def submit(
        self,
        seconds: float = 3.0,
        *,
        owner: str | None = None,
        waited_for: bool = False,
        kind: JobKind = JobKind.RENDER,
        video_of: str = "",
    ) -> str:
        """Submit a job, perhaps one that brings the video of an implicit avatar; return its id."""
        params = {"seconds": seconds} | ({"video": "me.mp4"} if video_of else {})
        new = NewJob(new_id(), kind, video_of or new_id(), params, owner=owner, waited_for=waited_for)
        self.files.job(new.id).mkdir(parents=True)
        self.files.upload(new.id).write_bytes(b"sound")
        await self.scheduler.submit(new)
        await self.settle()
        return new.id

    async def settle(self) -> None:
        """Wait until nothing happens any more but what the test is to answer."""
        scheduler, quiet = self.scheduler, 0
        while quiet < 3:
            running = sum(len(job.running) for job in scheduler._jobs.values())
            busy = len(scheduler._tasks) > running or scheduler._wake.is_set()
            busy = busy or any(each.answer.done() for each in self.pool.running)
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0)
            if busy:
                await asyncio.sleep(0.0005)

    async def finish(self, job_id: str, segments: int | None = None) -> None:
        """Answer the call of a job that runs."""
        self.pool.finish(self.pool.find(job_id), segments)
        await self.settle()

    async def die(self, job_id: str) -> None:
        """Have the worker of a job's call die."""
        self.pool.die(self.pool.find(job_id))
        await self.settle()

    async def finish_all(self) -> list[str]:
        """Answer all calls until none is left; return the ids of the jobs in the order of the calls."""
        begun = len(self.pool.history)
        while self.pool.running:
            self.pool.finish(self.pool.running[0])
            await self.settle()
        return [call.job_id for call in self.pool.history[begun:]]

    async def job(self, job_id: str) -> Job:
        """Return a job as it stands."""
        return await self.scheduler.get(job_id)

    def methods(self, job_id: str) -> list[str]:
        """Return the methods of a job's calls until now."""
        return [call.method for call in self.pool.history if call.job_id == job_id]


@asynccontextmanager
async def running(
    root: Path,
    workers: int = 1,
    pool: PretendingPool | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Service]:
    """Run a scheduler on a data folder for as long as the block lasts."""
    files = DataFolder(root)
    engine: Engine = open_database(put_fresh(files.database))
    table, pool, ended = JobTable(engine), pool or PretendingPool(workers), list[Ended]()
    scheduler = Scheduler(table, files, pool, limits or Limits(queued=2000), on_ended=ended.append)
    await scheduler.start()
    service = Service(scheduler, pool, table, files, ended)
    await service.settle()
    try:
        yield service
    finally:
        await scheduler.stop()
        engine.dispose()

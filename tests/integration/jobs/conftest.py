from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from app.jobs.files import DataFolder
from app.jobs.job import Ended, Job, JobKind, NewJob, new_id
from app.jobs.pool import Pool
from app.jobs.scheduler import Scheduler
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.jobs.turn import Limits
from app.settings import Settings
from app.workers.local import LocalPool
from app.workers.member import Timeouts
from tests.support import waiting
from tests.support.databases import put_fresh
from tests.support.scripted_worker import ScriptedWorker
from tests.support.waiting import DEADLINE

TIMEOUTS = Timeouts(stop=DEADLINE, longest_delay=0.2)
"""Only what fails begins again soon: on a busy machine, a worker may be silent though it is at work."""
LIMITS = Limits(attempts=2)
AnyPool = TypeVar("AnyPool", bound=Pool)


@dataclass
class Service(Generic[AnyPool]):
    """A scheduler and a pool of scripted workers, without a web server in front."""

    table: JobTable
    files: DataFolder
    scheduler: Scheduler
    pool: AnyPool
    ended: list[Ended] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process of the first worker."""
        assert isinstance(self.pool, LocalPool)
        return self.pool.processes["worker-0"].pid

    async def submit(self, **params: Any) -> Job:
        """Submit a job whose parameters the scripted worker follows."""
        new = NewJob(new_id(), JobKind.RENDER, "anna", params)
        self.files.job(new.id).mkdir(parents=True)
        self.files.upload(new.id).write_bytes(b"sound")
        return await self.scheduler.submit(new)

    async def outcome(self, job: Job) -> Job:
        """Wait for a job's end."""
        async for last in self.scheduler.follow(job.id):
            job = last
        return job

    async def progress(self, job: Job) -> Job:
        """Wait until a job has reported progress."""
        async for last in self.scheduler.follow(job.id):
            if last.frames_done:
                return last
        raise AssertionError("it ended without progress")


def scripted_settings(data_dir: Path, model: Path = Path("fine.onnx"), **more: Any) -> Settings:
    """Return the settings of a service with scripted workers, which know of a model by its name."""
    return Settings(data_dir=data_dir, model=model, log_level="error", device="cpu", **more)


@asynccontextmanager
async def running(
    data_dir: Path, timeouts: Timeouts = TIMEOUTS, **settings: Any
) -> AsyncIterator[Service[LocalPool]]:
    """Run a service with scripted workers for as long as the block lasts."""
    given = scripted_settings(data_dir, **settings)
    pool = LocalPool(given, timeouts=timeouts, command=waiting.script(ScriptedWorker))
    async with served(given, pool, LIMITS.attempts) as service:
        yield service


@asynccontextmanager
async def served(settings: Settings, pool: AnyPool, attempts: int) -> AsyncIterator[Service[AnyPool]]:
    """Run a scheduler on a pool of scripted workers for as long as the block lasts."""
    files = DataFolder(settings.data_dir)
    engine = open_database(put_fresh(files.database))
    ended: list[Ended] = []
    table = JobTable(engine)
    scheduler = Scheduler(table, files, pool, Limits(attempts=attempts), on_ended=ended.append)
    await scheduler.start()
    try:
        yield Service(table, files, scheduler, pool, ended)
    finally:
        await scheduler.stop()
        engine.dispose()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Service[LocalPool]]]]:
    """Start services on the test's data folder; all are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Service[LocalPool]:
            return await stack.enter_async_context(running(tmp_path / "data", **options))

        yield start

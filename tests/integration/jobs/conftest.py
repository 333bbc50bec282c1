from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, NewJob, new_id
from app.jobs.messages import Ended
from app.jobs.queue import LocalQueue
from app.jobs.schema import open_database
from app.jobs.supervisor import Patience, Supervisor
from app.jobs.table import JobTable
from app.settings import Settings
from tests.support import waiting
from tests.support.scripted_worker import ScriptedRunner

PATIENCE = Patience(attempts=2, stall_seconds=1.5, cancel_seconds=0.5, longest_delay=0.2)


@dataclass
class Service:
    """A supervised render process without a web server in front."""

    table: JobTable
    files: DataFolder
    supervisor: Supervisor
    ended: list[Ended] = field(default_factory=list)

    async def submit(self, **params: Any) -> Job:
        """Submit a job whose parameters the scripted runner follows."""
        new = NewJob(new_id(), JobKind.RENDER, "anna", params)
        self.files.job(new.id).mkdir(parents=True)
        self.files.upload(new.id).write_bytes(b"sound")
        return await LocalQueue(self.table).submit(new)

    async def outcome(self, job: Job) -> Job:
        """Wait for a job's end."""
        async for last in LocalQueue(self.table, poll_seconds=0.02).watch(job.id):
            job = last
        return job

    async def progress(self, job: Job) -> Job:
        """Wait until a job has reported progress."""
        await waiting.until(lambda: self.table.get(job.id).progress.frames_done > 0)
        return self.table.get(job.id)


@asynccontextmanager
async def running(
    data_dir: Path, patience: Patience = PATIENCE, model: str = "fine"
) -> AsyncIterator[Service]:
    """Run a service with the scripted runner for as long as the block lasts."""
    settings = Settings(data_dir=data_dir, model=Path(f"{model}.onnx"), log_level="error")
    files = DataFolder(data_dir)
    engine = open_database(files.database)
    ended: list[Ended] = []
    table = JobTable(engine, max_queued=100)
    supervisor = Supervisor(
        table,
        files,
        settings_json=settings.model_dump_json(),
        patience=patience,
        on_ended=ended.append,
        command=waiting.script(ScriptedRunner),
    )
    await supervisor.start()
    try:
        yield Service(table, files, supervisor, ended)
    finally:
        await supervisor.stop()
        engine.dispose()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Service]]]:
    """Start services on the test's data folder; all are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Service:
            return await stack.enter_async_context(running(tmp_path / "data", **options))

        yield start

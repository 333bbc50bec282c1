import asyncio
import threading
from collections.abc import Collection
from contextlib import aclosing

import pytest
from anyio import to_thread
from sqlalchemy import Engine, delete
from sqlalchemy.exc import OperationalError

from app.errors import JobNotFound
from app.jobs.job import Job, JobKind, JobProgress, JobState, NewJob, new_id
from app.jobs.queue import LocalQueue
from app.jobs.schema import jobs
from app.jobs.table import JobTable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def render() -> NewJob:
    return NewJob(new_id(), JobKind.RENDER, "anna")


class CountingTable(JobTable):
    """A job table that counts how often it is polled, and can be made to fail."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, max_queued=5)
        self.polls = 0
        self.broken = False
        self.failed = threading.Event()

    def get_many(self, job_ids: Collection[str]) -> list[Job]:
        if len(job_ids) > 1:
            self.polls += 1
            if self.broken:
                self.failed.set()
                raise OperationalError("select", {}, Exception("disk gone"))
        return super().get_many(job_ids)


async def follow(queue: LocalQueue, job_id: str) -> list[Job]:
    async with aclosing(queue.watch(job_id)) as news:
        return [job async for job in news]


async def test_a_watcher_sees_a_job_from_start_to_end(table: JobTable) -> None:
    queue = LocalQueue(table, poll_seconds=0.01)
    job = await queue.submit(render())
    seen: list[tuple[JobState, int]] = []

    async with aclosing(queue.watch(job.id)) as news:
        async for job in news:
            seen.append((job.state, job.progress.frames_done))
            if job.state is JobState.QUEUED:
                table.claim()
            elif job.progress.frames_done == 0:
                table.report(job, JobProgress(5, 10, 1.0))
            else:
                table.finish(job, JobState.SUCCEEDED)
    assert seen == [
        (JobState.QUEUED, 0),
        (JobState.RUNNING, 0),
        (JobState.RUNNING, 5),
        (JobState.SUCCEEDED, 10),
    ]


async def test_a_finished_job_is_told_once_and_the_watch_ends(table: JobTable) -> None:
    queue = LocalQueue(table)
    job = await queue.submit(render())
    await queue.cancel(job.id)
    assert [job.state for job in await follow(queue, job.id)] == [JobState.CANCELED]


async def test_watching_an_unknown_job_fails_at_once(table: JobTable) -> None:
    with pytest.raises(JobNotFound):
        await follow(LocalQueue(table), "nobody")


async def test_a_job_deleted_while_it_is_watched_ends_the_watch(table: JobTable) -> None:
    queue = LocalQueue(table, poll_seconds=0.01)
    job = await queue.submit(render())
    async with aclosing(queue.watch(job.id)) as news:
        assert (await anext(news)).id == job.id
        with table._engine.begin() as connection:
            connection.execute(delete(jobs))
        with pytest.raises(JobNotFound):
            await anext(news)


async def test_a_hundred_watchers_share_one_poller(table: JobTable) -> None:
    counting = CountingTable(table._engine)
    queue = LocalQueue(counting, poll_seconds=0.05)
    pair = [await queue.submit(render()) for _ in range(2)]
    waits = [asyncio.create_task(follow(queue, job.id)) for job in pair for _ in range(50)]
    await asyncio.sleep(0.3)
    for job in pair:
        await queue.cancel(job.id)
    ends = [(await wait)[-1] for wait in waits]
    assert {job.state for job in ends} == {JobState.CANCELED}
    assert 1 <= counting.polls <= 12


async def test_a_table_that_cannot_be_read_for_a_while_loses_no_watcher(table: JobTable) -> None:
    counting = CountingTable(table._engine)
    queue = LocalQueue(counting, poll_seconds=0.01)
    pair = [await queue.submit(render()) for _ in range(2)]
    counting.broken = True
    waits = [asyncio.create_task(follow(queue, job.id)) for job in pair]
    assert await to_thread.run_sync(counting.failed.wait, 5)
    for job in pair:
        table.request_cancel(job.id)
    counting.broken = False
    assert [(await wait)[-1].state for wait in waits] == [JobState.CANCELED] * 2
